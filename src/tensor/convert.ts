/** Values in another type of float. */
import { cast } from '../kernels/pointwise.ts';
import type { Dtype, Tensor } from './tensor.ts';

/** The same values in the given type, outside every scope; takes the tensor over. */
export function converted(x: Tensor, dtype: Dtype): Tensor {
  if (x.dtype === dtype) return x;
  const y = x.device.raw(x.shape, dtype);
  cast(x.device.gpu, { x: x.slot, y: y.slot, count: x.size });
  x.dispose();
  return y;
}
