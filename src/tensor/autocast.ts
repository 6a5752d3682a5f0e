/** Mixed precision (Micikevicius et al., "Mixed Precision Training", 2018). */
import { Mode } from './mode.ts';
import { to } from './ops/elementwise.ts';
import type { Tensor } from './tensor.ts';

const mode = new Mode();

export function isAutocastEnabled(): boolean {
  return mode.active;
}

/**
 * Runs `body` in mixed precision, as torch.autocast with float16: matrix products and attention take float16
 * and give float16, adding up in float32; what follows them stays float16 until `to(x, 'float32')`, or until
 * `addLayerNorm` adds it to a float32 residual. Weights stay float32, and so do their gradients. An async
 * body counts until it settles; do not start other work beside it. `backward` may run outside.
 */
export function autocast<T>(body: () => T): T {
  return mode.run(body);
}

/** @internal Runs `use` on x as matrix products take it now. */
export function withAutocast(x: Tensor, use: (x: Tensor) => Tensor): Tensor {
  if (!mode.active || x.dtype !== 'float32') return use(x);
  const half = to(x, 'float16');
  const y = use(half);
  half.dispose();
  return y;
}
