/** Clipping by the norm of all gradients together. */

import { type Gradient, gradientNorm, scaleGradients } from '../kernels/optimizer.ts';
import { check, checkOptions } from '../options.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { GradScaler } from './grad-scaler.ts';
import { gradientRuns, normRuns } from './gradients.ts';

export interface ClipFactorOptions {
  /** The factor of the loss before `backward`; the gradients are divided by it. */
  lossScale?: number | GradScaler;
  /** A tensor [2] to write into, which a loop may use again and again; a new one unless given. */
  out?: Tensor;
}

/** Runs `use` on tensors of gradients, and disposes of them. */
function withRuns(runs: readonly Tensor[], use: (gradients: readonly Gradient[]) => void): void {
  use(runs.map(({ slot, size }) => ({ slot, count: size })));
  for (const run of runs) run.dispose();
}

/**
 * [joint L2 norm of the gradients, factor that brings it down to `maxNorm`] as a tensor [2] on the GPU, so
 * that nothing waits; null if there are no gradients. Gradients stay as they are: `optimizer.step({ gradScale
 * })` multiplies them by the factor as it reads them, which saves `clipGradNorm`'s pass over them. A norm
 * that is NaN makes the factor NaN, an infinite one makes it 0, as in PyTorch.
 */
export function clipFactor(
  parameters: readonly Tensor[],
  maxNorm: number,
  options: ClipFactorOptions = {},
): Tensor | null {
  checkOptions<ClipFactorOptions>('clipFactor', options, { lossScale: true, out: true });
  const { lossScale = 1, out } = options;
  check('clipFactor: maxNorm', maxNorm, maxNorm >= 0, 'use a number of 0 or more');
  const device = parameters.find(({ grad }) => grad !== null)?.device;
  if (device === undefined) return null;
  const fits = typeof lossScale !== 'number' || (lossScale > 0 && Number.isFinite(lossScale));
  check('clipFactor: lossScale', lossScale, fits, 'use a finite number > 0');
  const result = out ?? device.empty([2]);
  withRuns(normRuns(parameters), (gradients) =>
    gradientNorm(device.gpu, {
      gradients,
      maxNorm,
      lossScale: typeof lossScale === 'number' ? lossScale : lossScale.scale.slot,
      result: result.slot,
    }),
  );
  return result;
}

/**
 * Scales the gradients of `parameters` so that their joint L2 norm is at most `maxNorm`, as
 * torch.nn.utils.clip_grad_norm_. Returns [norm before, factor] as a tensor [2] on the GPU, so that nothing
 * waits; null if there are no gradients.
 */
export function clipGradNorm(parameters: readonly Tensor[], maxNorm: number): Tensor | null {
  const result = clipFactor(parameters, maxNorm);
  if (result !== null) scaleByFactor(parameters, result);
  return result;
}

/** @internal Multiplies gradients by the factor of [norm, factor], in place. */
export function scaleByFactor(parameters: readonly Tensor[], factor: Tensor): void {
  withRuns(gradientRuns(parameters), (gradients) =>
    scaleGradients(factor.device.gpu, gradients, factor.slot),
  );
}
