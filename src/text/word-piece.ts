/** WordPiece (BERT) and WordLevel (whole words). */
import { TokenizerError } from '../errors.ts';
import type { Fields } from './json-fields.ts';
import type { Model, Token } from './models.ts';

export function readWordPiece(fields: Fields, vocab: ReadonlyMap<string, number>): Model {
  const unknown = fields.string('unk_token');
  const prefix = fields.string('continuing_subword_prefix', '##');
  const limit = fields.count('max_input_chars_per_word', 100);
  const longest = [...vocab.keys()].reduce((most, token) => Math.max(most, token.length), 0);
  return {
    vocab,
    tokenize(word) {
      const tooLong = word.length > limit && Array.from(word).length > limit;
      const pieces = tooLong ? null : wordPieces(vocab, prefix, longest, word);
      return pieces ?? [unknownToken(vocab, unknown, word, fields)];
    },
  };
}

export function readWordLevel(fields: Fields, vocab: ReadonlyMap<string, number>): Model {
  const unknown = fields.string('unk_token');
  return {
    vocab,
    tokenize(word) {
      const id = vocab.get(word);
      if (id === undefined) return [unknownToken(vocab, unknown, word, fields)];
      return [{ id, value: word, start: 0, end: word.length }];
    },
  };
}

/** The unknown token in place of a whole word. */
function unknownToken(
  vocab: ReadonlyMap<string, number>,
  unknown: string,
  word: string,
  fields: Fields,
): Token {
  const id = vocab.get(unknown);
  if (id === undefined) {
    throw new TokenizerError(
      `${fields.file}: the vocabulary has no token for '${word}', and no unknown token '${unknown}'`,
      { remedy: 'is it the model’s own vocabulary?' },
    );
  }
  return { id, value: unknown, start: 0, end: word.length };
}

/** Takes the longest matching piece first; null if some part matches none. */
function wordPieces(
  vocab: ReadonlyMap<string, number>,
  prefix: string,
  longest: number,
  word: string,
): Token[] | null {
  const out: Token[] = [];
  for (let start = 0; start < word.length; ) {
    const lead = start === 0 ? '' : prefix;
    let end = Math.min(word.length, start + longest - lead.length);
    let found: number | undefined;
    for (; end > start; end -= 1) {
      found = vocab.get(lead + word.slice(start, end));
      if (found !== undefined) break;
    }
    if (found === undefined) return null;
    out.push({ id: found, value: lead + word.slice(start, end), start, end });
    start = end;
  }
  return out;
}
