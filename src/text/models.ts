/** The models of tokenizer.json: turn a word into tokens. */

import { isObject } from '../json.ts';
import { readBpe } from './bpe.ts';
import { type Fields, isTokenId, MAX_ID, shown } from './json-fields.ts';
import { readUnigram } from './unigram.ts';
import { readWordLevel, readWordPiece } from './word-piece.ts';

export interface Token {
  id: number;
  /** The token's text in the vocabulary. */
  value: string;
  /** [start, end) in UTF-16 units of the word. */
  start: number;
  end: number;
}

export interface Model {
  readonly vocab: ReadonlyMap<string, number>;
  /** Throws `TokenizerError` if the word has no token and the vocabulary no unknown token. */
  tokenize(word: string): Token[];
}

const KINDS = ['WordPiece', 'BPE', 'WordLevel', 'Unigram'] as const;
export type ModelKind = (typeof KINDS)[number];

/** The kind of a model; older files do not state it. */
export function modelKind(fields: Fields): ModelKind {
  if (fields.get('type') !== undefined) return fields.choice('type', KINDS);
  if (Array.isArray(fields.get('vocab'))) return 'Unigram';
  if (fields.get('merges') !== undefined) return 'BPE';
  return fields.get('continuing_subword_prefix') === undefined ? 'WordLevel' : 'WordPiece';
}

/** Throws `TokenizerError` naming the key that cannot be used. */
export function readModel(fields: Fields): Model {
  const kind = modelKind(fields);
  if (kind === 'Unigram') return readUnigram(fields);
  const vocab = readVocabulary(fields);
  if (kind === 'BPE') return readBpe(fields, vocab);
  return kind === 'WordPiece' ? readWordPiece(fields, vocab) : readWordLevel(fields, vocab);
}

function readVocabulary(fields: Fields): Map<string, number> {
  const json = fields.get('vocab');
  if (!isObject(json))
    return fields.fail('vocab', json === undefined ? 'is missing' : 'is not an object of tokens and ids');
  const vocab = new Map<string, number>();
  for (const [token, id] of Object.entries(json)) {
    if (!isTokenId(id))
      fields.fail(
        `vocab.${token}`,
        `has the id ${shown(id)}, not a whole number below ${MAX_ID}`,
        'the file may be damaged: download or save it again',
      );
    vocab.set(token, id);
  }
  return vocab;
}
