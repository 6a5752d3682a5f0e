/**
 * Launchers for optimizers and for clipping by the global norm. A dispatch takes as many runs of adjacent elements
 * as the adapter binds buffers, because a model has hundreds of parameters, most of them small.
 */
import type { GpuContext } from '../gpu/context.ts';
import {
  elementBytes,
  elementGrid,
  GROUP_SIZE,
  type Grid,
  type KernelVariant,
  kernel,
  launch,
  type Slot,
  slice,
  windows,
} from './launch.ts';

/** Storage buffers that these kernels bind at most, whatever the adapter grants. */
const MOST_BUFFERS = 16;

/** One variant for each number of tensors; `[0]` is that for one. */
function variants(shader: string, most: number, defines: Record<string, number | string | boolean> = {}) {
  return Array.from({ length: most }, (_, at) => kernel(shader, { ...defines, TENSORS: at + 1 }));
}

/** Runs per dispatch that binds `each` buffers for a run and `others` besides. */
function runsPerDispatch(gpu: GpuContext, each: number, others: number): number {
  const buffers = Math.min(gpu.limits.maxStorageBuffersPerShaderStage, MOST_BUFFERS);
  return Math.floor((buffers - others) / each);
}

/**
 * Elements and the gap that aligns the next run: as in shaders/common/parts.wgsl, and the blocks of AdamW's
 * moments.
 */
export function padded(count: number): number {
  return Math.ceil(count / 64) * 64;
}

/**
 * The kernels take four elements at once. Past a tensor's end its buffer goes on to a multiple of 256 bytes,
 * which nobody reads.
 */
function inVectors(slot: Slot): Slot {
  const bytes = 4 * elementBytes(slot);
  return slot.size === undefined ? slot : { ...slot, size: Math.ceil(slot.size / bytes) * bytes };
}

const updateKernels = (RULE: 'adamw' | 'lion') => ({
  plain: variants('moment_update', Math.floor((MOST_BUFFERS - 1) / 3), { RULE, COPIES: false }),
  copying: variants('moment_update', Math.floor((MOST_BUFFERS - 1) / 4), { RULE, COPIES: true }),
});
const adamwKernels = updateKernels('adamw');
const lionKernels = updateKernels('lion');

/** Adjacent elements of one parameter or of several. */
export interface UpdateRun {
  value: Slot;
  gradient: Slot;
  /** Blocks of 64 first moments, each followed by the second moments of the same elements, if there are any. */
  moments: Slot;
  /** float16: also takes the new values; for all runs of a launch or for none. */
  copy: Slot | null;
  count: number;
  lr: number;
  weightDecay: number;
  /** 1 for the first step. */
  step: number;
}

export interface OptimizerLaunch {
  /** At most `optimizerRuns`. */
  runs: readonly UpdateRun[];
  /** [norm, factor]; the kernel multiplies gradients by the factor. */
  scale: Slot;
  /** Whether to leave everything as it is if the norm is not finite. */
  skipNonFinite: boolean;
}

/** Runs that one launch takes, with copies or without. */
export function optimizerRuns(gpu: GpuContext, copies: boolean): number {
  return runsPerDispatch(gpu, copies ? 4 : 3, 1);
}

/** Elements per invocation. */
const UPDATE_RUN = { cpu: 512, gpu: 16 };

/** `floats`: what all runs share; `ofRun`: what each has of its own. */
function update(
  gpu: GpuContext,
  kernels: ReturnType<typeof updateKernels>,
  { runs, scale, skipNonFinite }: OptimizerLaunch,
  { floats, ofRun }: { floats: readonly number[]; ofRun: (run: UpdateRun) => readonly number[] },
): void {
  const total = runs.reduce((sum, { count }) => sum + padded(count), 0);
  const slots = [scale];
  for (const { value, gradient, moments, copy } of runs) {
    slots.push(inVectors(gradient), inVectors(value), moments);
    if (copy !== null) slots.push(inVectors(copy));
  }
  const uints = [total, Number(skipNonFinite), ...runs.map(({ count }) => count)];
  const grid = elementGrid(Math.ceil(total / UPDATE_RUN[gpu.kernels]));
  const variant = kernels[runs[0]?.copy ? 'copying' : 'plain'][runs.length - 1]!;
  launch(gpu, variant, slots, { uints, floats: [...floats, ...runs.flatMap(ofRun)] }, grid);
}

export interface AdamWLaunch extends OptimizerLaunch {
  beta1: number;
  beta2: number;
  eps: number;
}

export function adamw(gpu: GpuContext, { beta1, beta2, eps, ...launched }: AdamWLaunch): void {
  update(gpu, adamwKernels, launched, {
    floats: [beta1, beta2, eps, 1 - beta1, 1 - beta2],
    ofRun: ({ lr, weightDecay, step }) => [
      1 - lr * weightDecay,
      lr / (1 - beta1 ** step),
      Math.sqrt(1 - beta2 ** step),
    ],
  });
}

export interface LionLaunch extends OptimizerLaunch {
  beta1: number;
  beta2: number;
}

export function lion(gpu: GpuContext, { beta1, beta2, ...launched }: LionLaunch): void {
  update(gpu, lionKernels, launched, {
    floats: [1 - beta1, 1 - beta2],
    ofRun: ({ lr, weightDecay }) => [1 - lr * weightDecay, lr],
  });
}

const partialKernels = {
  cpu: variants('grad_norm', MOST_BUFFERS - 1, { PART: 'partial', REDUCE: false }),
  gpu: variants('grad_norm', MOST_BUFFERS - 1, { PART: 'partial', REDUCE: true }),
};
const finishKernel = kernel('grad_norm', { PART: 'finish', SCALED: false });
const finishScaledKernel = kernel('grad_norm', { PART: 'finish', SCALED: true });
const scaleKernels = variants('grad_norm', MOST_BUFFERS - 1, { PART: 'scale' });

/**
 * Elements that one invocation sums or scales, and the most workgroups. A workgroup leaves one partial sum, on
 * a CPU 64.
 */
const NORM_RUN = { cpu: 64, gpu: 16 };
const NORM_GROUPS = { cpu: 32, gpu: 2048 };

export interface Gradient {
  slot: Slot;
  count: number;
}

/** Gradients of one dispatch. */
interface GradientBatch {
  slots: Slot[];
  counts: number[];
  /** Elements, gaps included. */
  total: number;
}

function gradientBatches(gpu: GpuContext, gradients: readonly Gradient[]): GradientBatch[] {
  const most = runsPerDispatch(gpu, 1, 1);
  const out: GradientBatch[] = [];
  let last: GradientBatch | undefined;
  for (const { slot, count } of gradients) {
    for (const w of windows(gpu, count)) {
      if (last === undefined || last.slots.length === most) {
        last = { slots: [], counts: [], total: 0 };
        out.push(last);
      }
      last.slots.push(inVectors(slice(slot, w)));
      last.counts.push(w.count);
      last.total += padded(w.count);
    }
  }
  return out;
}

function run(
  gpu: GpuContext,
  kernels: readonly KernelVariant[],
  { slots, counts, total }: GradientBatch,
  other: { slot: Slot; first: number },
  grid: Grid,
): void {
  const uints = [total, other.first, ...counts];
  launch(gpu, kernels[slots.length - 1]!, [other.slot, ...slots], { uints }, grid);
}

export interface GradientNormLaunch {
  gradients: readonly Gradient[];
  maxNorm: number;
  /** The factor of the loss; a slot holds it as its first number. */
  lossScale: number | Slot;
  /**
   * [norm, factor]: the norm of the gradients divided by lossScale; the factor that divides them and brings
   * the norm down to maxNorm.
   */
  result: Slot;
}

/** The largest float32: infinity is not for WGSL. */
const MOST_FLOAT = 3.4028234663852886e38;

/** The order of additions depends on the counts, their order, and the adapter. */
export function gradientNorm(gpu: GpuContext, options: GradientNormLaunch): void {
  const { gradients, maxNorm, lossScale, result } = options;
  const batches = gradientBatches(gpu, gradients);
  const groups = batches.map(({ total }) =>
    Math.min(Math.ceil(total / GROUP_SIZE / NORM_RUN[gpu.kernels]), NORM_GROUPS[gpu.kernels]),
  );
  const parts = groups.map((count) => (gpu.kernels === 'cpu' ? count * GROUP_SIZE : count));
  const count = parts.reduce((sum, part) => sum + part, 0);
  gpu.borrow(count, (slot) => {
    let first = 0;
    for (const [at, batch] of batches.entries()) {
      run(gpu, partialKernels[gpu.kernels], batch, { slot, first }, [groups[at]!, 1, 1]);
      first += parts[at]!;
    }
    const known = typeof lossScale === 'number';
    const floats = [Math.min(maxNorm, MOST_FLOAT), known ? 1 / lossScale : 1];
    const slots = known ? [slot, result] : [slot, result, lossScale];
    launch(gpu, known ? finishKernel : finishScaledKernel, slots, { uints: [count], floats }, [1, 1, 1]);
  });
}

/** gradients *= scale[1]. */
export function scaleGradients(gpu: GpuContext, gradients: readonly Gradient[], scale: Slot): void {
  for (const batch of gradientBatches(gpu, gradients)) {
    const grid = elementGrid(Math.ceil(batch.total / NORM_RUN[gpu.kernels]));
    run(gpu, scaleKernels, batch, { slot: scale, first: 0 }, grid);
  }
}

const lossScaleKernel = kernel('loss_scale');

export interface LossScaleLaunch {
  /** [norm, factor] of the step's gradients. */
  norm: Slot;
  /** [scale, finite steps in a row, steps left out]. */
  state: Slot;
  growthInterval: number;
  growthFactor: number;
  backoffFactor: number;
}

/** Adapts the scale of the loss to whether the gradients were finite. */
export function updateLossScale(gpu: GpuContext, options: LossScaleLaunch): void {
  const { norm, state, growthInterval, growthFactor, backoffFactor } = options;
  const floats = [growthInterval, growthFactor, backoffFactor];
  launch(gpu, lossScaleKernel, [norm, state], { floats }, [1, 1, 1]);
}
