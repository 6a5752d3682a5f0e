/** Gated linear units. */
import { ShapeError } from '../../errors.ts';
import { type Activation, activations } from '../../kernels/activations.ts';
import { gated as gatedKernel } from '../../kernels/gated.ts';
import { checkChoice } from '../../options.ts';
import { defineOp } from '../op.ts';
import { formatShape, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

function dimsOf(shape: Shape): { rows: number; width: number } {
  const width = shape.at(-1)! / 2;
  return { rows: sizeOf(shape) / 2 / width, width };
}

const gatedOp = defineOp({
  name: 'gated',
  inputs: { x: 'float' },
  shape: ({ x }, _activation: Activation) => {
    const columns = x.shape.at(-1) ?? 0;
    if (columns === 0 || columns % 2 !== 0)
      throw new ShapeError(`gated: the last dimension of ${formatShape(x.shape)} is not two halves`);
    return { shape: [...x.shape.slice(0, -1), columns / 2], dtype: x.dtype };
  },
  forward: ({ x }, y, activation) =>
    gatedKernel(x.device.gpu, { x: x.slot, y: y.slot, activation, ...dimsOf(x.shape) }),
  saves: ['x'],
  backward: ({ dy, saved: { x }, options: activation }) => {
    const dx = dy.device.raw(x.shape, dy.dtype);
    gatedKernel(dy.device.gpu, { x: x.slot, dy: dy.slot, y: dx.slot, activation, ...dimsOf(x.shape) });
    return { x: dx };
  },
});

/**
 * activation(a) · b, where a and b are the halves of x's last dimension: [.., 2 · I] → [.., I]. With 'gelu'
 * GeGLU (Shazeer, 2020). Throws `ShapeError`.
 */
export function gated(x: Tensor, activation: Activation): Tensor {
  checkChoice('gated: the activation', activation, activations);
  return gatedOp({ x }, activation);
}
