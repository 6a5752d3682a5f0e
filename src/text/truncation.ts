/**
 * How one text or two give up tokens to fit, and the windows that go over what was cut: the rules of Python's
 * tokenizers.
 */
import { ConfigError, TokenizerError } from '../errors.ts';

const STRATEGIES = ['longest_first', 'only_first', 'only_second'] as const;
export type TruncationStrategy = (typeof STRATEGIES)[number];
export type Side = 'left' | 'right';

/** A text's tokens [start, end). */
export type Window = [start: number, end: number];

/** `true` is 'longest_first'; null is none. Throws `ConfigError` for a strategy that there is not. */
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
 * Tokens kept of each text so that all take at most `room`. Throws `TokenizerError` where the strategy cannot
 * get there.
 */
export function truncatedLengths(
  lengths: readonly number[],
  room: number,
  strategy: TruncationStrategy,
): number[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  // Python keeps the special tokens alone, whatever the strategy.
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
 * The longer text is cut to the shorter one's length at most; past that both share the room, the odd token
 * going to the longer.
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
 * Windows of `size` tokens over a text of `length`, from the side that is kept; each shares `stride` tokens
 * with the one before. The first is what truncation leaves. Throws `ConfigError` where the windows would not
 * move on.
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
