/** The moments of AdamW, laid out as the parameters are in their buckets, so that those of neighbours are neighbours too. */
import { CheckpointError } from '../errors.ts';
import { padded } from '../kernels/optimizer.ts';
import { type Bucket, layTogether } from '../tensor/bucket.ts';
import type { Device } from '../tensor/device.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Elements of which the first moments lie together, followed by the second. */
const BLOCK = padded(1);
/** Bytes of the moments of one element. */
export const MOMENT_BYTES = 8;

/** A run of a parameter's elements whose moments are in one buffer. */
export interface Piece {
  /** The moments of a stretch of the bucket, [elements, 2]. */
  readonly window: Tensor;
  /** Elements before it in that stretch, a multiple of 64. */
  readonly at: number;
  /** First element of the parameter, a multiple of 64 too, and how many. */
  readonly first: number;
  readonly count: number;
}

/** Moments of one parameter, and the steps it has taken. */
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

export class MomentStore {
  private readonly windows = new Map<Bucket, Map<number, Tensor>>();
  private readonly known = new Map<Tensor, Moments>();

  get(value: Tensor): Moments | undefined {
    return this.known.get(value);
  }

  /** Makes moments of zero for those of `values` that have none. */
  reserve(values: readonly Tensor[]): void {
    const missing = values.filter((value) => !this.known.has(value));
    layTogether(missing);
    for (const value of missing) this.known.set(value, { step: 0, pieces: this.piecesOf(value) });
  }

  view(value: Tensor, which: 'first' | 'second'): MomentView {
    const { pieces } = this.known.get(value)!;
    return {
      shape: value.shape,
      float32Data: async () => {
        const all = new Float32Array(value.size);
        for (const { window, at, first, count } of pieces) {
          const { buffer } = window.memory;
          const both = new Float32Array(
            await value.device.gpu.read(buffer, at * MOMENT_BYTES, padded(count) * MOMENT_BYTES),
          );
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
    for (const { window, at, first, count } of this.known.get(value)!.pieces) {
      const both = new Float32Array(2 * padded(count));
      for (let done = 0; done < count; done += BLOCK) {
        const [from, to] = [first + done, first + Math.min(done + BLOCK, count)];
        both.set(expAvg.subarray(from, to), 2 * done);
        both.set(expAvgSq.subarray(from, to), 2 * done + BLOCK);
      }
      window.write(both, 2 * at);
    }
  }

  dispose(): void {
    for (const windows of this.windows.values()) for (const window of windows.values()) window.dispose();
    this.windows.clear();
    this.known.clear();
  }

  private piecesOf({ device, size, place }: Tensor): Piece[] {
    const { bucket, at: start } = place!;
    const most = windowSize(device);
    const pieces: Piece[] = [];
    for (let first = 0; first < size; ) {
      const number = Math.floor((start + first) / most);
      const at = (start + first) % most;
      const count = Math.min(size - first, most - at);
      const window = this.windowOf(device, bucket, number, Math.min(most, bucket.size - number * most));
      pieces.push({ window, at, first, count });
      first += count;
    }
    return pieces;
  }

  private windowOf(device: Device, bucket: Bucket, number: number, size: number): Tensor {
    const windows = this.windows.get(bucket) ?? new Map<number, Tensor>();
    this.windows.set(bucket, windows);
    const known = windows.get(number);
    if (known !== undefined) return known;
    const made = device.raw([size, 2]);
    device.fill(made, 0);
    windows.set(number, made);
    return made;
  }
}
