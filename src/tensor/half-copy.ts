/** What mixed precision keeps of weights: their values in float16, cast again only where the weights have changed since. */
import { cast } from '../kernels/pointwise.ts';
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

  private constructor(sources: readonly Tensor[]) {
    const [{ device, shape }] = sources as [Tensor];
    const parts: Part[] = [];
    let size = 0;
    let rows = 0;
    for (const source of sources) {
      parts.push({ source, at: size, version: -1 });
      size += source.size;
      rows += source.shape[0]!;
    }
    this.parts = parts;
    this.tensor = device.raw([rows, ...shape.slice(1)], 'float16');
    for (const { halfCopy } of sources) halfCopy?.dispose();
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
