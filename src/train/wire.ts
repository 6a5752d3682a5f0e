/** Sums of gradients over a group of processes, sent as float32 or as float16. */
import type { ProcessGroup } from '../platform/contract.ts';
import { float16ToFloat32, float32ToFloat16 } from '../tensor/float16.ts';

/** Writes the sum of all processes' `values` into `sums`: the same bits in each process. */
export type Reduce = (group: ProcessGroup, values: Float32Array, sums: Float32Array) => Promise<void>;

export const reduceFloat32: Reduce = (group, values, sums) => group.allReduce(values, sums);

/** Bytes of a part before its halves: the number they were multiplied by, as float32. */
const HEAD = 4;

/** A power of two that brings the largest finite value to the upper end of float16's range. */
function scaleOf(values: Float32Array): number {
  let most = 0;
  for (let at = 0; at < values.length; at += 1) {
    const size = Math.abs(values[at]!);
    if (size > most && size < Number.POSITIVE_INFINITY) most = size;
  }
  // Between 2^14 and 2^15; its inverse must be a normal float32, too.
  return most === 0 ? 1 : 2 ** Math.max(-126, Math.min(14 - Math.floor(Math.log2(most)), 126));
}

/** Writes float32 values as a scale and halves. */
function pack(values: Float32Array, into: Uint8Array): void {
  const scale = scaleOf(values);
  const scaled = new Float32Array(values.length);
  for (let at = 0; at < values.length; at += 1) scaled[at] = values[at]! * scale;
  into.set(new Uint8Array(Float32Array.of(scale).buffer));
  into.set(new Uint8Array(float32ToFloat16(scaled).buffer), HEAD);
}

/** The values of a packed part, the scale undone. */
function unpack(part: Uint8Array): Float32Array {
  const [scale] = new Float32Array(part.slice(0, HEAD).buffer);
  const values = float16ToFloat32(new Uint16Array(part.slice(HEAD).buffer));
  const inverse = 1 / scale!;
  for (let at = 0; at < values.length; at += 1) values[at] = values[at]! * inverse;
  return values;
}

/**
 * Each process sums one part of the values in float32, and sends the sum to all: both ways as float16 times a
 * power of two of the part's own, so that small gradients keep their bits.
 */
export const reduceFloat16: Reduce = async (group, values, sums) => {
  const { size } = group;
  const each = Math.ceil(values.length / size);
  const bytes = HEAD + 2 * each;
  const own = new Float32Array(each);
  const parts = new Uint8Array(size * bytes);
  const partOf = (all: Uint8Array, rank: number): Uint8Array =>
    all.subarray(rank * bytes, (rank + 1) * bytes);
  for (let rank = 0; rank < size; rank += 1) {
    own.fill(0);
    own.set(values.subarray(rank * each, (rank + 1) * each));
    pack(own, partOf(parts, rank));
  }
  const received = new Uint8Array(parts.length);
  await group.allToAll(parts, received);
  own.fill(0);
  for (let rank = 0; rank < size; rank += 1) {
    const more = unpack(partOf(received, rank));
    for (let at = 0; at < each; at += 1) own[at] = own[at]! + more[at]!;
  }
  const summed = new Uint8Array(bytes);
  pack(own, summed);
  await group.allGather(summed, received);
  for (let rank = 0; rank < size; rank += 1) {
    const from = rank * each;
    sums.set(
      unpack(partOf(received, rank)).subarray(0, Math.max(0, values.length - from)),
      Math.min(from, values.length),
    );
  }
};
