/**
 * The moments of AdamW, laid out as the parameters are in their buckets, so that those of neighbours are
 * neighbours too.
 */
import { CheckpointError } from '../errors.ts';
import type { Slot } from '../kernels/launch.ts';
import { padded } from '../kernels/optimizer.ts';
import { type Bucket, layTogether } from '../tensor/bucket.ts';
import type { Device } from '../tensor/device.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Elements of which the first moments lie together, followed by the second. */
const BLOCK = padded(1);
/** Bytes of the moments of one element. */
export const MOMENT_BYTES = 8;

/** @internal A run of a parameter's elements whose moments are in one buffer. */
export interface Piece {
  /** The moments, of whole blocks. */
  readonly moments: Slot;
  /** First element of the parameter, a multiple of 64, and how many. */
  readonly first: number;
  readonly count: number;
  /** Elements to where what follows may begin. */
  readonly room: number;
}

/** @internal Moments of one parameter, and the steps it has taken. */
export interface Moments {
  step: number;
  readonly pieces: readonly Piece[];
}

/** One kind of moment of one parameter, to be read. */
export interface MomentView {
  readonly shape: Shape;
  float32Data(): Promise<Float32Array>;
}

/** Elements whose moments a buffer holds at most: they are bound whole. */
function windowSize({ gpu }: Device): number {
  const bytes = Math.min(gpu.maxBindingBytes, gpu.limits.maxBufferSize);
  return Math.max(Math.floor(bytes / MOMENT_BYTES / BLOCK), 1) * BLOCK;
}

/** @internal The moments of an optimizer's parameters. */
export class MomentStore {
  private readonly windows: Tensor[] = [];
  private readonly known = new Map<Tensor, Moments>();

  get(value: Tensor): Moments | undefined {
    return this.known.get(value);
  }

  /**
   * Makes moments of zero for those of `values` that have none; those of neighbours are neighbours then, too.
   */
  reserve(values: readonly Tensor[]): void {
    const missing = values.filter((value) => !this.known.has(value));
    if (missing.length === 0) return;
    layTogether(missing);
    for (const span of spansOf(missing)) this.reserveSpan(span);
  }

  view(value: Tensor, which: 'first' | 'second'): MomentView {
    const { pieces } = this.known.get(value)!;
    return {
      shape: value.shape,
      float32Data: async () => {
        const all = new Float32Array(value.size);
        for (const { moments, first, count } of pieces) {
          const { buffer, offset, size } = moments;
          const both = new Float32Array(await value.device.gpu.read(buffer, offset!, size!));
          const start = which === 'first' ? 0 : BLOCK;
          for (let done = 0; done < count; done += BLOCK) {
            const from = 2 * done + start;
            all.set(both.subarray(from, from + Math.min(BLOCK, count - done)), first + done);
          }
        }
        return all;
      },
    };
  }

  /** Overwrites a parameter's moments. Throws `CheckpointError` where the sizes differ. */
  write(value: Tensor, expAvg: Float32Array, expAvgSq: Float32Array): void {
    if (expAvg.length !== value.size || expAvgSq.length !== value.size) {
      throw new CheckpointError(
        `AdamW: moments of ${expAvg.length} and ${expAvgSq.length} elements for a parameter of ${value.size}`,
      );
    }
    this.reserve([value]);
    for (const { moments, first, count } of this.known.get(value)!.pieces) {
      const both = new Float32Array(2 * padded(count));
      for (let done = 0; done < count; done += BLOCK) {
        const [from, to] = [first + done, first + Math.min(done + BLOCK, count)];
        both.set(expAvg.subarray(from, to), 2 * done);
        both.set(expAvgSq.subarray(from, to), 2 * done + BLOCK);
      }
      value.device.gpu.recorder.write(moments.buffer, moments.offset!, both);
    }
  }

  dispose(): void {
    for (const window of this.windows) window.dispose();
    this.windows.length = 0;
    this.known.clear();
  }

  /**
   * Moments of parameters of which each begins where the one before ends, cut into buffers as large as can be
   * bound.
   */
  private reserveSpan(span: readonly Tensor[]): void {
    const { device, place } = span[0]!;
    const from = place!.at;
    const size = span.at(-1)!.place!.next - from;
    const most = windowSize(device);
    const windows = Array.from({ length: Math.ceil(size / most) }, (_, number) => {
      const made = device.raw([padded(Math.min(most, size - number * most)), 2]);
      device.fill(made, 0);
      return made;
    });
    this.windows.push(...windows);
    for (const value of span) {
      const { at, next } = value.place!;
      const pieces: Piece[] = [];
      for (let first = 0; first < value.size; ) {
        const before = at - from + first;
        const count = Math.min(value.size - first, most - (before % most));
        const { buffer } = windows[Math.floor(before / most)]!.memory;
        const offset = (before % most) * MOMENT_BYTES;
        const moments = { buffer, offset, size: padded(count) * MOMENT_BYTES };
        const room = first + count === value.size ? next - at - first : count;
        pieces.push({ moments, first, count, room });
        first += count;
      }
      this.known.set(value, { step: 0, pieces });
    }
  }
}

/** Parameters in runs of neighbours. */
function spansOf(values: readonly Tensor[]): Tensor[][] {
  const buckets = new Map<Bucket, Tensor[]>();
  for (const value of values) {
    const { bucket } = value.place!;
    const those = buckets.get(bucket);
    if (those === undefined) buckets.set(bucket, [value]);
    else those.push(value);
  }
  const spans: Tensor[][] = [];
  for (const those of buckets.values()) {
    those.sort((a, b) => a.place!.at - b.place!.at);
    let next = -1;
    for (const value of those) {
      const { place } = value;
      if (place!.at === next) spans.at(-1)!.push(value);
      else spans.push([value]);
      next = place!.next;
    }
  }
  return spans;
}
