/** Launchers for kernels that work on rows: softmax and LayerNorm. */
import type { GpuContext } from '../gpu/context.ts';
import { elementGrid, kernel, launch, rowGrid, rowThreads, type Slot } from './launch.ts';

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
  launch(gpu, byRowThreads(gpu, softmaxForward), [x, y], { uints: [rows, cols] }, rowGrid(gpu, rows));
}

/** dx from the softmax's result y and dy. */
export function softmaxGradient(
  gpu: GpuContext,
  options: { y: Slot; dy: Slot; dx: Slot; rows: number; cols: number },
): void {
  const { y, dy, dx, rows, cols } = options;
  launch(gpu, byRowThreads(gpu, softmaxBackward), [y, dy, dx], { uints: [rows, cols] }, rowGrid(gpu, rows));
}

/** `moments`: [rows, 2], the mean and 1/σ of each row, which backward needs. */
export function layerNorm(
  gpu: GpuContext,
  options: RowsLaunch & { weight: Slot; bias: Slot; moments: Slot; eps: number },
): void {
  const { x, y, rows, cols, weight, bias, moments, eps } = options;
  const scalars = { uints: [rows, cols], floats: [eps] };
  launch(
    gpu,
    byRowThreads(gpu, layerNormForward),
    [x, weight, bias, y, moments],
    scalars,
    rowGrid(gpu, rows),
  );
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
  const slots = [x, moments, dy, weight, dx];
  launch(gpu, byRowThreads(gpu, layerNormInput), slots, { uints: [rows, cols] }, rowGrid(gpu, rows));
}

/** Rows that one invocation sums for the gradients of weight and bias. */
export const LAYER_NORM_CHUNK = 32;

/** Partial sums [ceil(rows / LAYER_NORM_CHUNK), cols] of the gradients of weight and bias. */
export function layerNormWeightGradients(
  gpu: GpuContext,
  options: LayerNormGradientLaunch & { dweight: Slot; dbias: Slot },
): void {
  const { x, moments, dy, dweight, dbias, rows, cols } = options;
  const chunks = Math.ceil(rows / LAYER_NORM_CHUNK);
  const uints = [rows, cols, LAYER_NORM_CHUNK, chunks];
  launch(gpu, layerNormWeights, [x, moments, dy, dweight, dbias], { uints }, elementGrid(chunks * cols));
}
