/** Launchers for losses. */
import type { GpuContext } from '../gpu/context.ts';
import { elementGrid, kernel, launch, rowGrid, type Slot } from './launch.ts';
import { byRowThreads } from './normalize.ts';

const rowLoss = [1, 64].map((ROW_THREADS) => kernel('cross_entropy', { PART: 'loss', ROW_THREADS }));
const meanLoss = kernel('cross_entropy', { PART: 'mean' });
const backward = kernel('cross_entropy', { PART: 'backward' });
const pairKernels = (['mse', 'bce'] as const).map((LOSS) => ({
  forward: kernel('pair_loss', { LOSS, BACKWARD: false }),
  backward: kernel('pair_loss', { LOSS, BACKWARD: true }),
}));

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
  /** [rows, 3]: each row's loss, 1 if it counts, and logsumexp. */
  stats: Slot;
  /** [1]: the number of rows that count. */
  valid: Slot;
}

/** loss: [1], the mean over the rows that count. */
export function crossEntropy(gpu: GpuContext, options: CrossEntropyLaunch & { loss: Slot }): void {
  const { x, targets, rows, cols, ignoreIndex, clampTargets, stats, valid, loss } = options;
  const scalars = { uints: [rows, cols, ignoreIndex >>> 0, clampTargets ? 1 : 0] };
  launch(gpu, byRowThreads(gpu, rowLoss), [x, targets, stats], scalars, rowGrid(gpu, rows));
  launch(gpu, meanLoss, [stats, loss, valid], scalars, [1, 1, 1]);
}

export function crossEntropyGradient(
  gpu: GpuContext,
  options: CrossEntropyLaunch & { dy: Slot; dx: Slot },
): void {
  const { x, targets, rows, cols, ignoreIndex, clampTargets, stats, valid, dy, dx } = options;
  const scalars = { uints: [rows, cols, ignoreIndex >>> 0, clampTargets ? 1 : 0] };
  launch(gpu, backward, [x, targets, stats, valid, dy, dx], scalars, elementGrid(rows * cols));
}

export interface PairLossLaunch {
  loss: 'mse' | 'bce';
  x: Slot;
  targets: Slot;
  count: number;
}

/** y: [count], each element's loss / count. */
export function pairLoss(
  gpu: GpuContext,
  { loss, x, targets, count, y }: PairLossLaunch & { y: Slot },
): void {
  const scalars = { uints: [count], floats: [1 / count] };
  launch(gpu, pairKernels[loss === 'mse' ? 0 : 1]!.forward, [x, targets, y], scalars, elementGrid(count));
}

export function pairLossGradient(gpu: GpuContext, options: PairLossLaunch & { dy: Slot; dx: Slot }): void {
  const { loss, x, targets, count, dy, dx } = options;
  const scalars = { uints: [count], floats: [1 / count] };
  launch(
    gpu,
    pairKernels[loss === 'mse' ? 0 : 1]!.backward,
    [x, targets, dy, dx],
    scalars,
    elementGrid(count),
  );
}
