/** Conversion between float32 and float16. */
import { cast } from '../kernels/pointwise.ts';
import type { Dtype, Tensor } from './tensor.ts';

/** Casts x to `dtype`, outside every scope. Takes x over. */
export function converted(x: Tensor, dtype: Dtype): Tensor {
  if (x.dtype === dtype) return x;
  const y = x.device.raw(x.shape, dtype);
  cast(x.device.gpu, { x: x.slot, y: y.slot, count: x.size });
  x.dispose();
  return y;
}
