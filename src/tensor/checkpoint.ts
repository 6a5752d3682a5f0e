/** Gradients without kept activations (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). */
import { autocast, isAutocastEnabled } from './autocast.ts';
import type { Device } from './device.ts';
import { enableGrad, isGradEnabled, noGrad, record } from './tape.ts';
import type { Tensor } from './tensor.ts';

/**
 * Computes a float32 tensor without recording, and computes it again when backward reaches it, with the same
 * dropout: only one call's activations are in memory at a time. Gradients reach the leaves that `body` uses,
 * the parameters of a model, and no other tensor computed outside. As torch.utils.checkpoint.
 */
export function checkpoint(device: Device, body: () => Tensor): Tensor {
  if (!isGradEnabled()) return device.tidy(body);
  const before = device.randomState;
  const half = isAutocastEnabled();
  const y = noGrad(() => device.tidy(body));
  record(y, 'checkpoint', [], [], (dy) => {
    const after = device.randomState;
    device.randomState = before;
    const scope = device.scope();
    try {
      enableGrad(() => (half ? autocast(body) : body()).backward(dy));
    } finally {
      scope.close();
      device.randomState = after;
    }
    return {};
  });
  return y;
}
