/** A text as windows of tokens, each token with its word. */
import type { Settings } from '../data/dataset.ts';
import type { TaggedText } from '../data/tokens.ts';
import { DataError } from '../errors.ts';
import type { Encoding } from '../text/assemble.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import type { EncodingOptions } from './task.ts';

export interface TextWindow {
  inputIds: readonly number[];
  tokenTypeIds: readonly number[];
  /** Word of each token; −1 for special tokens, and for what another window knows better. */
  words: readonly number[];
  /** Whether a token is its word's first. */
  first: readonly boolean[];
  /** [start, end) of each token in the text, in UTF-16 units. */
  places: readonly (readonly [number, number])[];
}

/** Encodes a text or a pair, cut to fit. Throws `DataError` for a longer one if `truncation` is false. */
export function encodeText(
  tokenizer: PreTrainedTokenizer,
  { text, pair, place }: { text: string; pair?: string; place: string },
  { maxLength, truncation = true }: EncodingOptions,
): Encoding {
  const encoding = tokenizer.encode(text, pair, { truncation, maxLength });
  if (encoding.inputIds.length <= maxLength) return encoding;
  throw tooLong(`${place} has ${encoding.inputIds.length} tokens`, maxLength);
}

function tooLong(what: string, maxLength: number): DataError {
  return new DataError(`${what}, the model takes ${maxLength}`, {
    remedy: 'switch truncation on, or shorten the text',
  });
}

/** Tokens that adjacent windows share unless asked otherwise. */
const STRIDE = 128;

/** What a training on windows depends on. */
export const windowSettings = ({ maxLength, docStride = STRIDE }: EncodingOptions): Settings => ({
  maxLength,
  docStride,
});

/** Tokens that adjacent windows share: as asked, at most a third of a window. */
export function strideOf({ docStride = STRIDE }: Pick<EncodingOptions, 'docStride'>, room: number): number {
  return Math.max(0, Math.min(docStride, Math.floor(room / 3)));
}

/**
 * Whether a tokenizer encodes a word by itself as it does in a text. RoBERTa's does not: there a word has the
 * space before it.
 */
export function isolatesWords(tokenizer: PreTrainedTokenizer): boolean {
  const { inputIds } = tokenizer.encode(['a', 'a'], undefined, { isSplitIntoWords: true });
  return inputIds.join() === tokenizer.encode('a a').inputIds.join();
}

/**
 * Encodes a text, its words each by itself if they `split` it. Throws `DataError` for a longer text if
 * `truncation` is false. A word that several windows have belongs to the one with the most context around it.
 */
export function windowsOfText(
  { text, words, place }: TaggedText,
  tokenizer: PreTrainedTokenizer,
  { maxLength, truncation = true, docStride, split }: EncodingOptions & { split: boolean },
): TextWindow[] {
  const input = split ? words.map(([start, end]) => text.slice(start, end)) : text;
  const stride = strideOf({ ...(docStride !== undefined && { docStride }) }, maxLength - 2);
  const { overflowing = [], ...whole } = tokenizer.encode(input, undefined, {
    isSplitIntoWords: split,
    truncation: true,
    maxLength,
    stride,
    returnOverflowingTokens: true,
  });
  if (!truncation && overflowing.length > 0)
    throw tooLong(`${place} has more than a window of tokens`, maxLength);
  const windows = [whole, ...overflowing].map((encoding) => wordsOfTokens(encoding, words, split));
  keepBest(windows);
  return windows;
}

interface Window extends TextWindow {
  words: number[];
  first: boolean[];
}

function wordsOfTokens(
  { inputIds, tokenTypeIds, offsets, wordIds, sequenceIds }: Encoding,
  words: TaggedText['words'],
  split: boolean,
): Window {
  const found: number[] = [];
  const places: [number, number][] = [];
  let next = 0;
  for (const [at, [from, to]] of offsets.entries()) {
    const special = sequenceIds[at] === null;
    let word = special ? -1 : wordIds[at]!;
    const shift = split && !special ? words[word]![0] : 0;
    places.push([from + shift, to + shift]);
    if (!split && !special && words.length > 0) {
      while (next < words.length && words[next]![1] <= from) next += 1;
      word = next < words.length && words[next]![0] < Math.max(to, from + 1) ? next : -1;
    }
    found.push(word);
  }
  const first = found.map((word, at) => word >= 0 && word !== found[at - 1]);
  return { inputIds, tokenTypeIds, words: found, first, places };
}

/** Gives each word to one window. */
function keepBest(windows: readonly Window[]): void {
  if (windows.length === 1) return;
  const owner = new Map<number, { window: number; context: number }>();
  for (const [number, { words }] of windows.entries()) {
    const inside = [...words.keys()].filter((at) => words[at]! >= 0);
    const [start, end] = [inside[0] ?? 0, inside.at(-1) ?? 0];
    const ranges = new Map<number, [number, number]>();
    for (const at of inside) ranges.set(words[at]!, [ranges.get(words[at]!)?.[0] ?? at, at]);
    for (const [word, [from, to]] of ranges) {
      // The text's own ends cut nothing off.
      const left = number === 0 ? Number.POSITIVE_INFINITY : from - start;
      const right = number === windows.length - 1 ? Number.POSITIVE_INFINITY : end - to;
      const context = Math.min(left, right);
      if (context > (owner.get(word)?.context ?? -1)) owner.set(word, { window: number, context });
    }
  }
  for (const [number, { words, first }] of windows.entries())
    for (const [at, word] of words.entries())
      if (word >= 0 && owner.get(word)!.window !== number) [words[at], first[at]] = [-1, false];
}
