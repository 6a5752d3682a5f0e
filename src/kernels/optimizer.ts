/** Launchers for AdamW and for clipping by the global norm. */
import type { GpuContext } from '../gpu/context.ts';
import { elementGrid, kernel, launch, loopGrid, type Slot, slice, windows } from './launch.ts';

const adamwKernel = kernel('adamw');
const normPartial = kernel('grad_norm', { PART: 'partial' });
const normFinish = kernel('grad_norm', { PART: 'finish' });

export interface AdamWLaunch {
  value: Slot;
  gradient: Slot;
  /** First and second moments. */
  first: Slot;
  second: Slot;
  count: number;
  lr: number;
  weightDecay: number;
  beta1: number;
  beta2: number;
  eps: number;
  /** 1 for the first step. */
  step: number;
}

export function adamw(gpu: GpuContext, o: AdamWLaunch): void {
  const floats = [
    1 - o.lr * o.weightDecay,
    o.beta1,
    o.beta2,
    o.lr / (1 - o.beta1 ** o.step),
    Math.sqrt(1 - o.beta2 ** o.step),
    o.eps,
    1 - o.beta1,
    1 - o.beta2,
  ];
  for (const w of windows(gpu, o.count)) {
    const slots = [o.gradient, o.value, o.first, o.second].map((slot) => slice(slot, w));
    launch(gpu, adamwKernel, slots, { uints: [w.count], floats }, loopGrid(gpu, w.count));
  }
}

/** How many partial sums the squares of `count` elements make. */
export function normParts(count: number): number {
  return Math.min(Math.ceil(count / 256), 1024);
}

/** partials[first …] = sums of squares of x; returns how many were written. */
export function squaredNorm(
  gpu: GpuContext,
  options: { x: Slot; count: number; partials: Slot; first: number },
): number {
  let written = 0;
  for (const w of windows(gpu, options.count)) {
    const parts = normParts(w.count);
    const uints = [w.count, parts, options.first + written];
    const slots = [slice(options.x, w), options.partials];
    launch(gpu, normPartial, slots, { uints, floats: [0] }, elementGrid(parts));
    written += parts;
  }
  return written;
}

/** result = [norm, factor], the factor that brings the norm down to maxNorm (1 where it is below). */
export function finishNorm(
  gpu: GpuContext,
  options: { partials: Slot; count: number; maxNorm: number; result: Slot },
): void {
  const { partials, count, maxNorm, result } = options;
  launch(gpu, normFinish, [partials, result], { uints: [count, 0, 0], floats: [maxNorm] }, [1, 1, 1]);
}
