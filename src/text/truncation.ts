/** Truncates texts to fit, and computes the windows over what was cut, as Python's tokenizers do. */
import { ConfigError, TokenizerError } from '../errors.ts';

const STRATEGIES = ['longest_first', 'only_first', 'only_second'] as const;
export type TruncationStrategy = (typeof STRATEGIES)[number];
export type Side = 'left' | 'right';

/** A range of a text's tokens, [start, end). */
export type Window = [start: number, end: number];

/** `true` means 'longest_first'; null means no truncation. Throws `ConfigError` for an unknown strategy. */
export function truncationStrategy(
  option: boolean | TruncationStrategy | 'do_not_truncate',
): TruncationStrategy | null {
  if (option === false || option === 'do_not_truncate') return null;
  if (option === true) return 'longest_first';
  if (!STRATEGIES.includes(option))
    throw new ConfigError(`truncation '${String(option)}' is not known`, {
      remedy: `use ${STRATEGIES.join(', ')}`,
    });
  return option;
}

/**
 * Number of tokens to keep of each text so that the total is at most `room`. Throws `TokenizerError` if the
 * strategy cannot reach it.
 */
export function truncatedLengths(
  lengths: readonly number[],
  room: number,
  strategy: TruncationStrategy,
): number[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  // Python keeps only the special tokens, whatever the strategy.
  if (room === 0) return lengths.map(() => 0);
  if (total <= room) return [...lengths];
  if (strategy === 'longest_first')
    return lengths.length === 1 ? [room] : longestFirst(lengths[0]!, lengths[1]!, room);
  const which = strategy === 'only_first' ? 0 : 1;
  const left = (lengths[which] ?? 0) - (total - room);
  if (left <= 0) {
    throw new TokenizerError(
      `truncation '${strategy}' cannot bring ${lengths.join(' and ')} tokens down to ${room}`,
      { remedy: "use 'longest_first'" },
    );
  }
  return lengths.map((length, index) => (index === which ? left : length));
}

/**
 * Cuts the longer text down to the length of the shorter one at most; beyond that both share the room, with
 * an odd token going to the longer.
 */
function longestFirst(first: number, second: number, room: number): [number, number] {
  const swapped = first > second;
  let [short, long] = swapped ? [second, first] : [first, second];
  if (short > room) long = short;
  else long = Math.max(short, room - short);
  if (short + long > room) {
    short = Math.floor(room / 2);
    long = short + (room % 2);
  }
  return swapped ? [long, short] : [short, long];
}

/**
 * Windows of `size` tokens over a text of `length`, starting at the side that is kept; each shares `stride`
 * tokens with the previous one. The first is what truncation keeps. Throws `ConfigError` if the windows would
 * not advance.
 */
export function windowsOf(length: number, size: number, stride: number, side: Side): Window[] {
  if (size >= length) return [[0, length]];
  if (size === 0) return [[0, 0]];
  if (stride >= size)
    throw new ConfigError(`stride ${stride} leaves windows of ${size} tokens no step`, {
      remedy: 'use a smaller stride, or a larger maxLength',
    });
  const out: Window[] = [];
  const step = size - stride;
  for (let at = 0; ; at += step) {
    const far = Math.min(at + size, length);
    out.push(side === 'right' ? [at, far] : [length - far, length - at]);
    if (far === length) return out;
  }
}
