/** How two texts give up tokens to fit, as Python's tokenizers do it. */
import { TokenizerError } from '../errors.ts';

export type TruncationStrategy = 'longest_first' | 'only_first' | 'only_second';

/** Tokens kept of each text so that both take at most `room`. Throws `TokenizerError` where the strategy cannot get there. */
export function truncatedLengths(
  first: number,
  second: number,
  room: number,
  strategy: TruncationStrategy,
): [number, number] {
  if (first + second <= room) return [first, second];
  if (strategy === 'longest_first') return longestFirst(first, second, Math.max(room, 0));
  const [cut, kept] = strategy === 'only_first' ? [first, second] : [second, first];
  const left = room - kept;
  if (left <= 0 || left > cut) {
    throw new TokenizerError(
      `truncation '${strategy}' cannot bring ${first} and ${second} tokens down to ${room}`,
      {
        remedy: "use 'longest_first'",
      },
    );
  }
  return strategy === 'only_first' ? [left, second] : [first, left];
}

/** The longer text is cut to the shorter one's length at most; past that both share the room, the odd token going to the longer. */
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
