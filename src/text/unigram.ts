/** Unigram (SentencePiece): chooses the pieces with the highest total score. */
import { TokenizerError } from '../errors.ts';
import { byteTokens } from './bpe.ts';
import { type Fields, shown } from './json-fields.ts';
import type { Model, Token } from './models.ts';
import { sizeAt } from './unicode.ts';

/** An unknown character scores this much less than the worst piece. */
const UNKNOWN_PENALTY = 10;

export function readUnigram(fields: Fields): Model {
  const pieces = fields.list('vocab').map((entry, id): [string, number] => {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'number')
      return fields.fail(`vocab[${id}]`, `is ${shown(entry)}, not a piece and its score`);
    return [entry[0], entry[1]];
  });
  if (pieces.length === 0) fields.fail('vocab', 'is empty');
  const unknown = fields.get('unk_id') === undefined ? null : fields.count('unk_id');
  if (unknown !== null && unknown >= pieces.length)
    fields.fail('unk_id', `is ${unknown}, and there are ${pieces.length} pieces`);
  const vocab = new Map(pieces.map(([piece], id) => [piece, id]));
  const scores = pieces.map(([, score]) => score);
  const longest = pieces.reduce((most, [piece]) => Math.max(most, piece.length), 0);
  const worst = scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY);
  const lattice: Lattice = { vocab, scores, longest, unknown, unknownScore: worst - UNKNOWN_PENALTY };
  const fallback = fields.boolean('byte_fallback', false);
  return {
    vocab,
    tokenize(word) {
      return best(word, lattice, fields).flatMap(([start, end]): Token[] => {
        const value = word.slice(start, end);
        const id = vocab.get(value);
        if (id !== undefined) return [{ id, value, start, end }];
        const bytes = fallback ? byteTokens(value, vocab) : null;
        if (bytes !== null) return bytes.map((byte) => ({ id: byte, value: pieces[byte]![0], start, end }));
        return [{ id: unknown ?? missing(fields), value, start, end }];
      });
    },
  };
}

function missing(fields: Fields): never {
  throw new TokenizerError(
    `${fields.place('unk_id')} is missing, and the text has a character without a piece`,
  );
}

interface Lattice {
  vocab: ReadonlyMap<string, number>;
  scores: readonly number[];
  /** UTF-16 units of the longest piece. */
  longest: number;
  unknown: number | null;
  unknownScore: number;
}

/** The best path to a position: its score, the start of its last piece, and whether that piece is unknown. */
interface Path {
  score: number;
  start: number;
  unknown: boolean;
}

/** The ranges of the pieces; adjacent unknown characters form one piece. */
function best(word: string, lattice: Lattice, fields: Fields): [number, number][] {
  const { vocab, scores, longest, unknown, unknownScore } = lattice;
  const paths: (Path | undefined)[] = new Array(word.length + 1);
  paths[0] = { score: 0, start: 0, unknown: false };
  const offer = (end: number, score: number, start: number, isUnknown: boolean): void => {
    const path = paths[end];
    if (path === undefined || score > path.score) paths[end] = { score, start, unknown: isUnknown };
  };
  for (let start = 0; start < word.length; ) {
    const { score } = paths[start]!;
    const size = sizeAt(word, start);
    let single = false;
    for (let end = start + size; end <= Math.min(word.length, start + longest); end += 1) {
      const piece = vocab.get(word.slice(start, end));
      if (piece === undefined) continue;
      offer(end, score + scores[piece]!, start, piece === unknown);
      if (end === start + size) single = true;
    }
    if (!single) {
      if (unknown === null) missing(fields);
      offer(start + size, score + unknownScore, start, true);
    }
    start += size;
  }
  const out: [number, number][] = [];
  let fused = false;
  for (let end = word.length; end > 0; ) {
    const path = paths[end]!;
    if (path.unknown && fused) out.at(-1)![0] = path.start;
    else out.push([path.start, end]);
    fused = path.unknown;
    end = path.start;
  }
  return out.reverse();
}
