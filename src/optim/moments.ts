/** The moments of many parameters in a few large buffers, so that one dispatch reaches those of several. */
import { CheckpointError } from '../errors.ts';
import { padded } from '../kernels/optimizer.ts';
import type { Device } from '../tensor/device.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A run of a parameter's elements and where their moments lie: the first ones at `at`, the second ones at `at + padded(count)`. */
export interface Segment {
  readonly arena: Tensor;
  readonly at: number;
  /** First element of the parameter, and how many; `first` is a multiple of 64. */
  readonly first: number;
  readonly count: number;
}

/** Moments of one parameter, and the steps it has taken. */
export interface Moments {
  step: number;
  readonly segments: readonly Segment[];
}

/** One kind of moment of one parameter, to be read. */
export interface MomentView {
  readonly shape: Shape;
  float32Data(): Promise<Float32Array>;
}

/** Bytes of a buffer of moments, where the adapter binds as many: larger ones are harder to find a place for. */
const ARENA_BYTES = 2 ** 29;
/** The least a segment takes: 64 elements of both moments. */
const UNIT = 2 * padded(1);

export class MomentStore {
  private readonly arenas: Tensor[] = [];
  private readonly known = new Map<Tensor, Moments>();

  get(value: Tensor): Moments | undefined {
    return this.known.get(value);
  }

  /** Makes moments of zero for those of `values` that have none, next to one another. */
  reserve(values: readonly Tensor[]): void {
    const missing = values.filter((value) => !this.known.has(value));
    let needed = missing.reduce((sum, { size }) => sum + 2 * padded(size), 0);
    let arena: Tensor | null = null;
    let used = 0;
    for (const value of missing) {
      const segments: Segment[] = [];
      for (let first = 0; first < value.size; ) {
        if (arena === null || used === arena.size) {
          arena = this.makeArena(value.device, needed);
          used = 0;
        }
        const count = Math.min(value.size - first, (arena.size - used) / 2);
        segments.push({ arena, at: used, first, count });
        used += 2 * padded(count);
        needed -= 2 * padded(count);
        first += count;
      }
      this.known.set(value, { step: 0, segments });
    }
  }

  view(value: Tensor, which: 'first' | 'second'): MomentView {
    const { segments } = this.known.get(value)!;
    return {
      shape: value.shape,
      float32Data: async () => {
        const all = new Float32Array(value.size);
        for (const { arena, at, first, count } of segments) {
          const start = which === 'first' ? at : at + padded(count);
          const bytes = await value.device.gpu.read(arena.slot.buffer, start * 4, count * 4);
          all.set(new Float32Array(bytes), first);
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
    for (const { arena, at, first, count } of this.known.get(value)!.segments) {
      arena.write(expAvg.subarray(first, first + count), at);
      arena.write(expAvgSq.subarray(first, first + count), at + padded(count));
    }
  }

  dispose(): void {
    for (const arena of this.arenas) arena.dispose();
    this.arenas.length = 0;
    this.known.clear();
  }

  private makeArena(device: Device, needed: number): Tensor {
    const { gpu } = device;
    const most = Math.min(gpu.maxBindingBytes, gpu.limits.maxBufferSize, ARENA_BYTES) / 4;
    const arena = device.raw([Math.min(needed, Math.max(Math.floor(most / UNIT), 1) * UNIT)]);
    device.fill(arena, 0);
    this.arenas.push(arena);
    return arena;
  }
}
