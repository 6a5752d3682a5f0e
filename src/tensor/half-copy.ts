/**
 * What mixed precision keeps of weights: their values in float16, cast again only where the weights have
 * changed since.
 */
import { ALIGNED, type Slot, slice } from '../kernels/launch.ts';
import { cast } from '../kernels/pointwise.ts';
import { halfMemory } from './bucket.ts';
import type { Tensor } from './tensor.ts';

/** A weight's place in the copy, and the version of it that is there; −1 for none. */
interface Part {
  readonly source: Tensor;
  readonly at: number;
  version: number;
}

export class HalfCopy {
  /** float16: the parts one after the other along their first dimension. */
  readonly tensor: Tensor;
  private readonly parts: readonly Part[];
  /** Every part can be bound without its neighbours. */
  private readonly apart: boolean;

  private constructor(sources: readonly Tensor[]) {
    const parts: Part[] = [];
    let size = 0;
    for (const source of sources) {
      parts.push({ source, at: size, version: -1 });
      size += source.size;
    }
    this.parts = parts;
    this.apart = parts.every(({ at }) => at % ALIGNED === 0);
    for (const { halfCopy } of sources) halfCopy?.dispose();
    this.tensor = halfMemory(sources);
    for (const source of sources) source.halfCopy = this;
  }

  /** The up to date copy of some weights of one width, which lives as long as they do. */
  static of(sources: readonly Tensor[]): HalfCopy {
    const known = sources[0]!.halfCopy;
    const same =
      known?.parts.length === sources.length &&
      sources.every((source, i) => known.parts[i]!.source === source);
    const copy = same ? known : new HalfCopy(sources);
    copy.refresh();
    return copy;
  }

  /**
   * Counts `source` as overwritten by a kernel that writes it in `runs` of elements. Where its copy is up to
   * date and each run can be bound apart, gives the place for the float16 values, and takes it that the
   * kernel stores them too.
   */
  static overwrite(source: Tensor, runs: readonly { first: number }[]): Slot | null {
    const copy = source.halfCopy;
    const part = copy?.parts.find((one) => one.source === source);
    const follows =
      part?.version === source.version && copy!.apart && runs.every(({ first }) => first % ALIGNED === 0);
    source.overwritten();
    if (!follows) return null;
    part!.version = source.version;
    const whole = copy!.parts.length === 1;
    return slice(copy!.tensor.slot, { first: part!.at, count: source.size, whole });
  }

  dispose(): void {
    for (const { source } of this.parts) source.halfCopy = null;
    this.tensor.dispose();
  }

  private refresh(): void {
    for (const part of this.parts) {
      const { source, at } = part;
      if (part.version === source.version) continue;
      cast(source.device.gpu, { x: source.slot, y: this.tensor.slot, count: source.size, at });
      part.version = source.version;
    }
  }
}
