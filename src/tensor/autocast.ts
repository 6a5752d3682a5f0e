/** Mixed precision (Micikevicius et al., "Mixed Precision Training", 2018). */
import { Mode } from './mode.ts';
import { to } from './ops/elementwise.ts';
import type { Tensor } from './tensor.ts';

const mode = new Mode();

export function isAutocastEnabled(): boolean {
  return mode.active;
}

/**
 * Runs `body` in mixed precision, as torch.autocast with float16. Matrix products and attention read and give
 * float16 and accumulate in float32; later results stay float16 until `to(x, 'float32')`, or until
 * `addLayerNorm` adds them to a float32 residual. Weights and their gradients stay float32. The mode lasts
 * until an async body settles; do not start other work meanwhile. `backward` may run outside.
 */
export function autocast<T>(body: () => T): T {
  return mode.run(body);
}

/** @internal Runs a synchronous `body` in the types of its tensors, within `autocast` too. */
export function withoutAutocast<T>(body: () => T): T {
  return mode.suspend(body);
}

/** @internal Runs `use` on x, cast to float16 if autocast is on. */
export function withAutocast(x: Tensor, use: (x: Tensor) => Tensor): Tensor {
  if (!mode.active || x.dtype !== 'float32') return use(x);
  const half = to(x, 'float16');
  const y = use(half);
  half.dispose();
  return y;
}

/**
 * @internal Runs `use` on the second operand of a product: on a weight as it is, because it has its float16 copy;
 * on a computed operand as `withAutocast`.
 */
export function withAutocastOperand(operand: Tensor, use: (operand: Tensor) => Tensor): Tensor {
  return operand.isLeaf ? use(operand) : withAutocast(operand, use);
}
