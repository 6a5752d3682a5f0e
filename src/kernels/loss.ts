/** Launchers for losses. */
import type { GpuContext } from '../gpu/context.ts';
import { elementGrid, kernel, launch, rowWindows, type Slot, slice, windows } from './launch.ts';
import { rowKernel, shareRows } from './rows.ts';

const lossKernel = (WEIGHTED: boolean, SMOOTHED: boolean) =>
  rowKernel('cross_entropy', { PART: 'loss', WEIGHTED, SMOOTHED }, { unroll: 4 });
const lossKernels = {
  plain: lossKernel(false, false),
  weighted: lossKernel(true, false),
  smoothed: lossKernel(true, true),
};
const gradientKernel = (SMOOTHED: boolean) =>
  rowKernel('cross_entropy', { PART: 'backward', SMOOTHED }, { unroll: 4 });
// A row's statistics have its class's weight.
const gradientKernels = { plain: gradientKernel(false), smoothed: gradientKernel(true) };
const meanLoss = kernel('cross_entropy', { PART: 'mean' });
const pairKernel = (LOSS: 'mse' | 'bce') => ({
  forward: kernel('pair_loss', { LOSS, BACKWARD: false }),
  backward: kernel('pair_loss', { LOSS, BACKWARD: true }),
});
const pairKernels = { mse: pairKernel('mse'), bce: pairKernel('bce') };

export interface CrossEntropyLaunch {
  /** [rows, cols]. */
  x: Slot;
  /** int32 [rows]. */
  targets: Slot;
  rows: number;
  cols: number;
  /** Rows with this target do not count. */
  ignoreIndex: number;
  /** Move targets into 0 to cols first. */
  clampTargets: boolean;
  /** [rows, 4]: each row's loss, 1 if it counts, and the two parts of its logsumexp. */
  stats: Slot;
  /** Weights of classes, [cols], and the part of each target that is spread over all classes. */
  weighting?: { weight: Slot; smoothing: number } | undefined;
  /** [1]: the number of rows that count, or the sum of their targets' weights. */
  valid: Slot;
}

/** loss: [1], the mean over the rows that count. */
export function crossEntropy(gpu: GpuContext, options: CrossEntropyLaunch & { loss: Slot }): void {
  const { x, targets, rows, cols, ignoreIndex, clampTargets, stats, valid, loss, weighting } = options;
  const rule = [ignoreIndex >>> 0, clampTargets ? 1 : 0];
  const { weight, smoothing = 0 } = weighting ?? {};
  const kind = weight === undefined ? 'plain' : smoothing === 0 ? 'weighted' : 'smoothed';
  const variant = lossKernels[kind](gpu, cols, x);
  const more = weight === undefined ? [] : [weight];
  const floats = kind === 'smoothed' ? [smoothing] : [];
  for (const w of rowWindows(gpu, rows, cols)) {
    const slots = [slice(x, w, cols), slice(targets, w), slice(stats, w, 4), ...more];
    const { share, grid } = shareRows(gpu, w.count);
    launch(gpu, variant, slots, { uints: [w.count, cols, share, ...rule], floats }, grid);
  }
  launch(gpu, meanLoss, [stats, loss, valid], { uints: [rows] }, [1, 1, 1]);
}

export function crossEntropyGradient(
  gpu: GpuContext,
  options: CrossEntropyLaunch & { dy: Slot; dx: Slot },
): void {
  const { x, targets, rows, cols, ignoreIndex, clampTargets, stats, valid, dy, dx, weighting } = options;
  const rule = [ignoreIndex >>> 0, clampTargets ? 1 : 0];
  const { weight, smoothing = 0 } = weighting ?? {};
  const smoothed = weight !== undefined && smoothing > 0;
  const variant = gradientKernels[smoothed ? 'smoothed' : 'plain'](gpu, cols, x);
  const more = smoothed ? [weight] : [];
  const floats = smoothed ? [smoothing] : [];
  for (const w of rowWindows(gpu, rows, cols)) {
    const slots = [
      slice(x, w, cols),
      slice(targets, w),
      slice(stats, w, 4),
      valid,
      dy,
      slice(dx, w, cols),
      ...more,
    ];
    const { share, grid } = shareRows(gpu, w.count);
    launch(gpu, variant, slots, { uints: [w.count, cols, share, ...rule], floats }, grid);
  }
}

export interface PairLossLaunch {
  loss: 'mse' | 'bce';
  x: Slot;
  targets: Slot;
  y: Slot;
  /** [1]: the gradient of the sum of losses. */
  dy?: Slot;
  count: number;
}

/** y: each element's loss / count; or, if there is a `dy`, the gradient of x. */
export function pairLoss(gpu: GpuContext, { loss, x, targets, count, y, dy }: PairLossLaunch): void {
  const variant = pairKernels[loss][dy === undefined ? 'forward' : 'backward'];
  for (const w of windows(gpu, count)) {
    const slots = [slice(x, w), slice(targets, w), ...(dy === undefined ? [] : [dy]), slice(y, w)];
    launch(gpu, variant, slots, { uints: [w.count], floats: [1 / count] }, elementGrid(w.count));
  }
}
