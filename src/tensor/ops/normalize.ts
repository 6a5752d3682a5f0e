/** Softmax and LayerNorm over the last dimension. */
import { ShapeError } from '../../errors.ts';
import {
  LAYER_NORM_CHUNK,
  layerNormInputGradient,
  layerNorm as layerNormKernel,
  layerNormWeightGradients,
  softmaxGradient,
  softmax as softmaxKernel,
} from '../../kernels/normalize.ts';
import { defineOp } from '../op.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { sumTo } from './reduction.ts';

function rowsOf(op: string, shape: Shape): { rows: number; cols: number } {
  const cols = shape.at(-1);
  if (cols === undefined || cols === 0) {
    throw new ShapeError(`${op}: ${formatShape(shape)} has no last dimension to work on`);
  }
  return { rows: sizeOf(shape) / cols, cols };
}

const softmaxOp = defineOp<{ x: Tensor }>({
  name: 'softmax',
  shape: ({ x }) => {
    rowsOf('softmax', x.shape);
    return { shape: x.shape, dtype: 'float32' };
  },
  forward: ({ x }, y) => softmaxKernel(x.device.gpu, { x: x.slot, y: y.slot, ...rowsOf('softmax', x.shape) }),
  saves: ['y'],
  backward: (dy, { y }) => {
    const dx = dy.device.raw(dy.shape);
    const dims = rowsOf('softmax', dy.shape);
    softmaxGradient(dy.device.gpu, { y: y!.slot, dy: dy.slot, dx: dx.slot, ...dims });
    return { x: dx };
  },
});

/** e^x / Σ e^x over the last dimension. */
export function softmax(x: Tensor): Tensor {
  return softmaxOp({ x }, undefined);
}

interface LayerNormInputs extends Readonly<Record<string, Tensor>> {
  x: Tensor;
  weight: Tensor;
  bias: Tensor;
}

const layerNormOp = defineOp<LayerNormInputs, { eps: number }>({
  name: 'layerNorm',
  shape: ({ x, weight, bias }) => {
    const { cols } = rowsOf('layerNorm', x.shape);
    if (!sameShape(weight.shape, [cols]) || !sameShape(bias.shape, [cols])) {
      const given = `x ${formatShape(x.shape)} · weight ${formatShape(weight.shape)} · bias ${formatShape(bias.shape)}`;
      throw new ShapeError(`layerNorm: shapes do not fit: ${given}`, {
        remedy: `weight and bias must be [${cols}]`,
      });
    }
    return { shape: x.shape, dtype: 'float32' };
  },
  forward: ({ x, weight, bias }, y, { eps }) => {
    const { rows, cols } = rowsOf('layerNorm', x.shape);
    const moments = x.device.raw([rows, 2]);
    const slots = { x: x.slot, y: y.slot, weight: weight.slot, bias: bias.slot, moments: moments.slot };
    layerNormKernel(x.device.gpu, { ...slots, rows, cols, eps });
    return { moments };
  },
  saves: ['x', 'weight', 'moments'],
  backward: (dy, { x, weight, moments }, needs) => {
    const { device } = dy;
    const { rows, cols } = rowsOf('layerNorm', dy.shape);
    const common = { x: x!.slot, moments: moments!.slot, dy: dy.slot, rows, cols };
    const gradients: { x?: Tensor; weight?: Tensor; bias?: Tensor } = {};
    if (needs.x) {
      gradients.x = device.raw(dy.shape);
      layerNormInputGradient(device.gpu, { ...common, weight: weight!.slot, dx: gradients.x.slot });
    }
    if (needs.weight || needs.bias) {
      const chunks = Math.ceil(rows / LAYER_NORM_CHUNK);
      const dweight = device.raw([chunks, cols]);
      const dbias = device.raw([chunks, cols]);
      layerNormWeightGradients(device.gpu, { ...common, dweight: dweight.slot, dbias: dbias.slot });
      if (needs.weight) gradients.weight = sumTo(dweight, [cols]);
      if (needs.bias) gradients.bias = sumTo(dbias, [cols]);
      dweight.dispose();
      dbias.dispose();
    }
    return gradients;
  },
});

/** (x − mean) / sqrt(var + eps) · weight + bias over the last dimension (Ba, Kiros and Hinton, 2016). */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
  return layerNormOp({ x, weight, bias }, { eps });
}
