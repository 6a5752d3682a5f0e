/** Sums over one axis. */
import type { GpuContext } from '../gpu/context.ts';
import { elementGrid, kernel, launch, type Slot } from './launch.ts';

const reduceKernel = kernel('reduce');

export interface SumLaunch {
  /** [outer, n, inner] → y: [outer, inner]. */
  x: Slot;
  y: Slot;
  outer: number;
  n: number;
  inner: number;
  scale?: number;
  /** Lends a buffer for partial sums; it is used until the launch is recorded. */
  borrow: (elements: number, use: (slot: Slot) => void) => void;
}

/** Rows summed by one invocation; more become partial sums, which are summed in turn. */
const CHUNK = 64;

/** y = scale · Σ over the middle axis. The order of additions depends on the shape alone. */
export function sum(gpu: GpuContext, options: SumLaunch): void {
  const { x, y, outer, n, inner, scale = 1, borrow } = options;
  const chunks = Math.max(Math.ceil(n / CHUNK), 1);
  const run = (target: Slot, targetScale: number): void => {
    const scalars = { uints: [outer, n, inner, chunks, CHUNK], floats: [targetScale] };
    launch(gpu, reduceKernel, [x, target], scalars, elementGrid(outer * chunks * inner));
  };
  if (chunks === 1) {
    run(y, scale);
    return;
  }
  borrow(outer * chunks * inner, (partials) => {
    run(partials, 1);
    sum(gpu, { x: partials, y, outer, n: chunks, inner, scale, borrow });
  });
}
