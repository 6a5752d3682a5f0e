/** Sums over one axis, and the largest and smallest numbers. */
import type { GpuContext } from '../gpu/context.ts';
import { byDtype, floatDtypeOf } from '../gpu/dtype.ts';
import { elementGrid, kernel, launch, rowWindows, type Slot, slice, type Window } from './launch.ts';

/** A tensor seen as [outer, n, inner], of which the middle dimension is reduced. */
export interface Axis {
  outer: number;
  n: number;
  inner: number;
}

/** Rows reduced by one invocation; more give partial results, which are reduced in turn. */
const CHUNK = 64;
/** Results, of four bytes each, in 256. */
const RESULTS_ALIGNED = 64;

/** A range of [outer, n, inner], and that of its results [outer, chunks, inner]. */
interface Part extends Axis {
  chunks: number;
  /** The row with which it begins. */
  first: number;
  source: (slot: Slot) => Slot;
  result: (slot: Slot) => Slot;
}

/** The number of chunks of each column. */
function chunksOf({ n }: Axis): number {
  return Math.max(Math.ceil(n / CHUNK), 1);
}

/** Cuts an axis into parts that can be bound. */
function partsOf(gpu: GpuContext, axis: Axis): Part[] {
  const { outer, n, inner } = axis;
  if (outer === 1) {
    // Windows of whole chunks: their results follow one another.
    return rowWindows(gpu, n, inner, RESULTS_ALIGNED * CHUNK).map((w) => {
      const chunks = Math.ceil(w.count / CHUNK);
      const results: Window = { first: w.first / CHUNK, count: chunks, whole: w.whole };
      return {
        ...{ outer: 1, n: w.count, inner, chunks, first: w.first },
        source: (slot) => slice(slot, w, inner),
        result: (slot) => slice(slot, results, inner),
      };
    });
  }
  const chunks = chunksOf(axis);
  return rowWindows(gpu, outer, n * inner).map((w) => ({
    ...{ outer: w.count, n, inner, chunks, first: 0 },
    source: (slot) => slice(slot, w, n * inner),
    result: (slot) => slice(slot, w, chunks * inner),
  }));
}

const sums = byDtype((T) => ({
  byVectors: kernel('reduce', { WIDTH: 4, T }),
  byElements: kernel('reduce', { WIDTH: 1, T }),
}));

export interface SumLaunch extends Axis {
  /** [outer, n, inner] → y: [outer, inner], float32 whatever x is. */
  x: Slot;
  y: Slot;
  scale?: number;
}

/** y = scale · Σ over the middle axis. The order of additions depends on the shape alone. */
export function sum(gpu: GpuContext, options: SumLaunch): void {
  const { x, y, outer, n, inner, scale = 1 } = options;
  const { byVectors, byElements } = sums[floatDtypeOf(x)];
  const [variant, width] = inner % 4 === 0 ? [byVectors, inner / 4] : [byElements, inner];
  const run = (target: Slot, targetScale: number): void => {
    for (const part of partsOf(gpu, { outer, n, inner })) {
      const uints = [part.outer, part.n, width, part.chunks, CHUNK];
      const grid = elementGrid(part.outer * part.chunks * width);
      launch(gpu, variant, [part.source(x), part.result(target)], { uints, floats: [targetScale] }, grid);
    }
  };
  const chunks = chunksOf(options);
  if (chunks === 1) {
    run(y, scale);
    return;
  }
  gpu.borrow(outer * chunks * inner, (partials) => {
    run(partials, 1);
    sum(gpu, { x: partials, y, outer, n: chunks, inner, scale });
  });
}

const extremes = (OP: '>' | '<') => ({
  ...byDtype((T) => kernel('extreme', { OP, CARRIED: false, T })),
  carried: kernel('extreme', { OP, CARRIED: true, T: 'f32' }),
});
const largestKernels = extremes('>');
const smallestKernels = extremes('<');

export interface ExtremeLaunch extends Axis {
  /** [outer, n, inner], n at least 1. */
  x: Slot;
  /** [outer, inner]: float32 whatever x is. */
  values: Slot;
  /** int32 [outer, inner]: the rows of the values. */
  rows: Slot;
  largest: boolean;
}

/**
 * The largest or smallest numbers of the middle axis, and their rows. NaN beats every number; of equal ones the
 * first counts.
 */
export function extreme(gpu: GpuContext, options: ExtremeLaunch, carried?: Slot): void {
  const { x, values, rows, outer, n, inner, largest } = options;
  const kernels = largest ? largestKernels : smallestKernels;
  const variant = carried === undefined ? kernels[floatDtypeOf(x)] : kernels.carried;
  const run = (foundValues: Slot, foundRows: Slot): void => {
    for (const part of partsOf(gpu, { outer, n, inner })) {
      const uints = [part.outer, part.n, inner, part.chunks, CHUNK, part.first];
      const slots = [part.source(x), part.result(foundValues), part.result(foundRows)];
      if (carried !== undefined) slots.push(part.source(carried));
      launch(gpu, variant, slots, { uints }, elementGrid(part.outer * part.chunks * inner));
    }
  };
  const chunks = chunksOf(options);
  if (chunks === 1) {
    run(values, rows);
    return;
  }
  const count = outer * chunks * inner;
  gpu.borrow(count, (partValues) =>
    gpu.borrow(count, (partRows) => {
      run(partValues, partRows);
      extreme(gpu, { x: partValues, values, rows, outer, n: chunks, inner, largest }, partRows);
    }),
  );
}
