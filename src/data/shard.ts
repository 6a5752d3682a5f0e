/** Parts of batches, of which each process of a group makes its own. */
import type { Batch } from './collate.ts';

export interface Shard {
  rank: number;
  size: number;
}

/** Batches whose examples another process trains. */
const spares = new WeakSet<Batch>();

/** Whether a batch is to count for nothing: it stands in for a part that has no examples. */
export const isSpare = (batch: Batch): boolean => spares.has(batch);

/**
 * Makes a batch of this process's part of `items`, which are all of a batch, in order: parts differ by one at
 * most. Each part has a number of its own among all parts of all batches, in place of the batch's number
 * `stream`.
 */
export function collatePart<T, B extends Batch>(
  items: readonly T[],
  shard: Shard | undefined,
  stream: number,
  make: (part: readonly T[], stream: number) => B,
): B {
  if (shard === undefined) return make(items, stream);
  const { rank, size } = shard;
  const start = (at: number): number => Math.floor((items.length * at) / size);
  const part = items.slice(start(rank), start(rank + 1));
  const own = stream * size + rank;
  if (part.length > 0) return make(part, own);
  const spare = make(items.slice(0, 1), own);
  spares.add(spare);
  return spare;
}
