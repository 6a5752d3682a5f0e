/** Launchers for kernels that work on rows: softmax and LayerNorm. */
import type { GpuContext } from '../gpu/context.ts';
import {
  ALIGNED,
  elementGrid,
  kernel,
  launch,
  rowGrid,
  rowThreads,
  rowWindows,
  type Slot,
  slice,
} from './launch.ts';

const threads = [1, 64] as const;
const softmaxForward = threads.map((ROW_THREADS) => kernel('softmax', { BACKWARD: false, ROW_THREADS }));
const softmaxBackward = threads.map((ROW_THREADS) => kernel('softmax', { BACKWARD: true, ROW_THREADS }));
const layerNormForward = threads.map((ROW_THREADS) => kernel('layer_norm', { ROW_THREADS }));
const layerNormInput = threads.map((ROW_THREADS) =>
  kernel('layer_norm_backward', { PART: 'input', ROW_THREADS }),
);
const layerNormWeights = kernel('layer_norm_backward', { PART: 'weights' });

/** The variant for this adapter of a pair made for 1 and 64 threads a row. */
export function byRowThreads<T>(gpu: GpuContext, pair: readonly T[]): T {
  return pair[threads.indexOf(rowThreads(gpu))]!;
}

export interface RowsLaunch {
  x: Slot;
  y: Slot;
  rows: number;
  cols: number;
}

export function softmax(gpu: GpuContext, { x, y, rows, cols }: RowsLaunch): void {
  const variant = byRowThreads(gpu, softmaxForward);
  for (const w of rowWindows(gpu, rows, cols)) {
    const slots = [slice(x, w, cols), slice(y, w, cols)];
    launch(gpu, variant, slots, { uints: [w.count, cols] }, rowGrid(gpu, w.count));
  }
}

/** dx from the softmax's result y and dy. */
export function softmaxGradient(
  gpu: GpuContext,
  options: { y: Slot; dy: Slot; dx: Slot; rows: number; cols: number },
): void {
  const { y, dy, dx, rows, cols } = options;
  const variant = byRowThreads(gpu, softmaxBackward);
  for (const w of rowWindows(gpu, rows, cols)) {
    const slots = [slice(y, w, cols), slice(dy, w, cols), slice(dx, w, cols)];
    launch(gpu, variant, slots, { uints: [w.count, cols] }, rowGrid(gpu, w.count));
  }
}

/** `moments`: [rows, 2], the mean and 1/σ of each row, which backward needs. */
export function layerNorm(
  gpu: GpuContext,
  options: RowsLaunch & { weight: Slot; bias: Slot; moments: Slot; eps: number },
): void {
  const { x, y, rows, cols, weight, bias, moments, eps } = options;
  const variant = byRowThreads(gpu, layerNormForward);
  for (const w of rowWindows(gpu, rows, cols)) {
    const slots = [slice(x, w, cols), weight, bias, slice(y, w, cols), slice(moments, w, 2)];
    launch(gpu, variant, slots, { uints: [w.count, cols], floats: [eps] }, rowGrid(gpu, w.count));
  }
}

export interface LayerNormGradientLaunch {
  x: Slot;
  moments: Slot;
  dy: Slot;
  rows: number;
  cols: number;
}

export function layerNormInputGradient(
  gpu: GpuContext,
  options: LayerNormGradientLaunch & { weight: Slot; dx: Slot },
): void {
  const { x, moments, dy, weight, dx, rows, cols } = options;
  const variant = byRowThreads(gpu, layerNormInput);
  for (const w of rowWindows(gpu, rows, cols)) {
    const slots = [slice(x, w, cols), slice(moments, w, 2), slice(dy, w, cols), weight, slice(dx, w, cols)];
    launch(gpu, variant, slots, { uints: [w.count, cols] }, rowGrid(gpu, w.count));
  }
}

/** Rows that one invocation sums for the gradients of weight and bias. */
export const LAYER_NORM_CHUNK = 32;

/** Partial sums [ceil(rows / LAYER_NORM_CHUNK), cols] of the gradients of weight and bias. */
export function layerNormWeightGradients(
  gpu: GpuContext,
  options: LayerNormGradientLaunch & { dweight: Slot; dbias: Slot },
): void {
  const { x, moments, dy, dweight, dbias, rows, cols } = options;
  for (const w of rowWindows(gpu, rows, cols, ALIGNED * LAYER_NORM_CHUNK)) {
    // The sums of the window's chunks follow those of the windows before it.
    const chunks = Math.ceil(w.count / LAYER_NORM_CHUNK);
    const sums = { first: w.first / LAYER_NORM_CHUNK, count: chunks, whole: w.whole };
    const slots = [
      slice(x, w, cols),
      slice(moments, w, 2),
      slice(dy, w, cols),
      slice(dweight, sums, cols),
      slice(dbias, sums, cols),
    ];
    const uints = [w.count, cols, LAYER_NORM_CHUNK, chunks];
    launch(gpu, layerNormWeights, slots, { uints }, elementGrid(chunks * cols));
  }
}
