/** Sums over one axis. */
import type { GpuContext } from '../gpu/context.ts';
import { byDtype, floatDtypeOf } from '../gpu/dtype.ts';
import { elementGrid, kernel, launch, rowWindows, type Slot, slice } from './launch.ts';

const variants = byDtype((T) => ({
  byVectors: kernel('reduce', { WIDTH: 4, T }),
  byElements: kernel('reduce', { WIDTH: 1, T }),
}));

export interface SumLaunch {
  /** [outer, n, inner] → y: [outer, inner], float32 whatever x is. */
  x: Slot;
  y: Slot;
  outer: number;
  n: number;
  inner: number;
  scale?: number;
}

/** Rows summed by one invocation; more become partial sums, which are summed in turn. */
const CHUNK = 64;
/** Sums, of four bytes each, in 256. */
const SUMS_ALIGNED = 64;

/** y = scale · Σ over the middle axis. The order of additions depends on the shape alone. */
export function sum(gpu: GpuContext, options: SumLaunch): void {
  const { x, y, outer, n, inner, scale = 1 } = options;
  const chunks = Math.max(Math.ceil(n / CHUNK), 1);
  const { byVectors, byElements } = variants[floatDtypeOf(x)];
  const [variant, width] = inner % 4 === 0 ? [byVectors, inner / 4] : [byElements, inner];
  const run = (target: Slot, targetScale: number): void => {
    if (outer === 1) {
      // Windows of whole chunks: their sums follow one another.
      for (const w of rowWindows(gpu, n, inner, SUMS_ALIGNED * CHUNK)) {
        const parts = Math.ceil(w.count / CHUNK);
        const sums = { first: w.first / CHUNK, count: parts, whole: w.whole };
        const slots = [slice(x, w, inner), slice(target, sums, inner)];
        const scalars = { uints: [1, w.count, width, parts, CHUNK], floats: [targetScale] };
        launch(gpu, variant, slots, scalars, elementGrid(parts * width));
      }
      return;
    }
    for (const w of rowWindows(gpu, outer, n * inner)) {
      const slots = [slice(x, w, n * inner), slice(target, w, chunks * inner)];
      const scalars = { uints: [w.count, n, width, chunks, CHUNK], floats: [targetScale] };
      launch(gpu, variant, slots, scalars, elementGrid(w.count * chunks * width));
    }
  };
  if (chunks === 1) {
    run(y, scale);
    return;
  }
  gpu.borrow(outer * chunks * inner, (partials) => {
    run(partials, 1);
    sum(gpu, { x: partials, y, outer, n: chunks, inner, scale });
  });
}
