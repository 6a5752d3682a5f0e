/** Clipping by the norm of all gradients together. */

import { windows } from '../kernels/launch.ts';
import { finishNorm, normParts, squaredNorm } from '../kernels/optimizer.ts';
import { scaleInPlace } from '../kernels/pointwise.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * Scales the gradients of `parameters` so that their joint L2 norm is at most `maxNorm`, as torch.nn.utils.clip_grad_norm_.
 * Returns [norm before, factor] as a tensor [2] on the GPU, so that nothing waits; null where there are no gradients.
 */
export function clipGradNorm(parameters: readonly Tensor[], maxNorm: number): Tensor | null {
  const gradients = parameters.map((tensor) => tensor.grad).filter((grad) => grad !== null);
  const device = gradients[0]?.device;
  if (device === undefined) return null;
  const { gpu } = device;
  const parts = gradients.reduce(
    (total, { size }) => total + windows(gpu, size).reduce((sum, w) => sum + normParts(w.count), 0),
    0,
  );
  const partials = device.raw([parts]);
  const result = device.empty([2]);
  let first = 0;
  for (const gradient of gradients) {
    first += squaredNorm(gpu, { x: gradient.slot, count: gradient.size, partials: partials.slot, first });
  }
  finishNorm(gpu, { partials: partials.slot, count: parts, maxNorm, result: result.slot });
  for (const gradient of gradients) {
    scaleInPlace(gpu, { factors: result.slot, index: 1, y: gradient.slot, count: gradient.size });
  }
  partials.dispose();
  return result;
}
