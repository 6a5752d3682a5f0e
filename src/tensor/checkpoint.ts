/** Gradients without kept activations (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). */
import { cached } from '../cached.ts';
import { autocast, isAutocastEnabled } from './autocast.ts';
import type { Device, TensorTree } from './device.ts';
import { enableGrad, type Gradients, isGradEnabled, noGrad, record } from './tape.ts';
import { Tensor } from './tensor.ts';

/** The tree with another tensor in each tensor's place. */
function mapTensors<T extends TensorTree>(tree: T, map: (tensor: Tensor) => Tensor): T {
  const visit = (part: TensorTree): TensorTree => {
    if (part instanceof Tensor) return map(part);
    if (Array.isArray(part)) return part.map(visit);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, visit(value)]));
  };
  return visit(tree) as T;
}

/**
 * Computes a tensor of `inputs` without recording, and computes it again when backward reaches it, with
 * the same dropout: only one call's activations are in memory at a time. Gradients have the bits that they have
 * without it. They reach the tensors of `inputs`, which are kept until then, and the leaves that `body` uses
 * besides (the parameters of a model), but no other tensor computed outside. As torch.utils.checkpoint.
 */
export function checkpoint(device: Device, body: () => Tensor): Tensor;
export function checkpoint<T extends TensorTree>(
  device: Device,
  body: (inputs: T) => Tensor,
  inputs: T,
): Tensor;
export function checkpoint<T extends TensorTree>(
  device: Device,
  body: (inputs: T) => Tensor,
  inputs = undefined as T,
): Tensor {
  if (!isGradEnabled()) return device.tidy(() => body(inputs));
  const before = device.randomState;
  const half = isAutocastEnabled();
  const y = noGrad(() => device.tidy(() => body(inputs)));
  const kept = new Map<Tensor, Tensor>();
  // A leaf that learns gets its gradient itself.
  const again = mapTensors(inputs, (tensor) =>
    tensor.isLeaf && tensor.requiresGrad ? tensor : cached(kept, tensor, () => tensor.alias()),
  );
  const computed = [...kept]
    .filter(([{ requiresGrad }]) => requiresGrad)
    .map(([tensor, leaf], at) => ({ name: String(at), tensor, leaf }));
  const sources = computed.map(({ name, tensor }) => [name, tensor] as const);
  const leaves = computed.map(({ name, leaf }) => [name, leaf] as const);
  record(y, 'checkpoint', sources, [...kept.values()], (dy, earlier) => {
    const after = device.randomState;
    device.randomState = before;
    const scope = device.scope();
    try {
      for (const [name, leaf] of leaves) {
        leaf.requiresGrad = true;
        leaf.grad = earlier(name) ?? null;
      }
      enableGrad(() => (half ? autocast(() => body(again)) : body(again)).backward(dy));
      return takeGradients(leaves);
    } finally {
      scope.close();
      device.randomState = after;
    }
  });
  return y;
}

/** The leaves' gradients by name; zeros for a leaf that `body` did not use. */
function takeGradients(leaves: readonly (readonly [string, Tensor])[]): Gradients {
  const gradients: Record<string, Tensor> = {};
  for (const [name, leaf] of leaves) {
    const { device, grad, shape, dtype } = leaf;
    gradients[name] = grad ?? device.raw(shape, dtype);
    if (grad === null) device.fill(gradients[name], 0);
    leaf.grad = null;
  }
  return gradients;
}
