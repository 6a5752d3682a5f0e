/** Softmax and LayerNorm over the last dimension. */

import { ShapeError } from '../../errors.ts';
import {
  type LayerNormLaunch,
  layerNormGradient,
  layerNorm as layerNormKernel,
  softmax as softmaxKernel,
} from '../../kernels/normalize.ts';
import type { DropoutKey } from '../../kernels/pointwise.ts';
import { checkOptions } from '../../options.ts';
import { type BackwardContext, defineOp } from '../op.ts';
import { formatShape, normalizeDim, type Shape, sameShape, sizeOf } from '../shape.ts';
import type { Dtype, Tensor } from '../tensor.ts';
import { checkDropout } from './elementwise.ts';

function rowsOf(op: string, shape: Shape): { rows: number; cols: number } {
  const cols = shape.at(-1);
  if (cols === undefined || cols === 0) {
    throw new ShapeError(`${op}: ${formatShape(shape)} has no last dimension to work on`);
  }
  return { rows: sizeOf(shape) / cols, cols };
}

const softmaxOp = defineOp({
  name: 'softmax',
  inputs: { x: 'float' },
  shape: ({ x }) => {
    rowsOf('softmax', x.shape);
    return { shape: x.shape, dtype: x.dtype };
  },
  forward: ({ x }, y) => softmaxKernel(x.device.gpu, { x: x.slot, y: y.slot, ...rowsOf('softmax', x.shape) }),
  saves: ['y'],
  backward: ({ dy, saved }) => {
    const dx = dy.device.raw(dy.shape, dy.dtype);
    const dims = rowsOf('softmax', dy.shape);
    softmaxKernel(dy.device.gpu, { x: saved.y.slot, dy: dy.slot, y: dx.slot, ...dims });
    return { x: dx };
  },
});

/** e^x / Σ e^x over the last dimension. Throws `ShapeError` if `dim` names another one. */
export function softmax(x: Tensor, dim = -1): Tensor {
  if (normalizeDim('softmax', dim, x.shape) !== x.rank - 1)
    throw new ShapeError(`softmax: dimension ${dim} is not the last of ${formatShape(x.shape)}`, {
      remedy: 'permute() it to the end',
    });
  return softmaxOp({ x });
}

/** Throws `ShapeError` unless weight and bias have x's last dimension, and residual, if given, x's shape. */
function checkLayerNorm(
  op: string,
  inputs: { x: Tensor; residual?: Tensor; weight: Tensor; bias?: Tensor | undefined },
): void {
  const { x, residual, weight, bias } = inputs;
  const { cols } = rowsOf(op, x.shape);
  const fits = residual === undefined || sameShape(residual.shape, x.shape);
  if (fits && [weight, bias ?? weight].every(({ shape }) => sameShape(shape, [cols]))) return;
  const given = Object.entries(inputs).flatMap(([name, tensor]) =>
    tensor === undefined ? [] : [`${name} ${formatShape(tensor.shape)}`],
  );
  throw new ShapeError(`${op}: shapes do not fit: ${given.join(' · ')}`, {
    remedy: `weight and bias must be [${cols}]${fits ? '' : ', and residual as x'}`,
  });
}

/** Runs `use` on the bias, or on zeros in its place. */
function withBias<T>(weight: Tensor, bias: Tensor | undefined, use: (bias: Tensor) => T): T {
  if (bias !== undefined) return use(bias);
  const zeros = weight.device.raw(weight.shape);
  weight.device.fill(zeros, 0);
  const result = use(zeros);
  zeros.dispose();
  return result;
}

/** Normalizes x, or its sum with a residual (`added`), into y. Returns the moments, which backward needs. */
function normalizeInto(
  y: Tensor,
  { x, weight, bias }: { x: Tensor; weight: Tensor; bias?: Tensor | undefined },
  eps: number,
  added?: LayerNormLaunch['added'],
): Tensor {
  const { device } = x;
  const { rows, cols } = rowsOf('layerNorm', x.shape);
  const moments = device.raw([rows, 2]);
  withBias(weight, bias, (addend) =>
    layerNormKernel(device.gpu, {
      x: x.slot,
      y: y.slot,
      weight: weight.slot,
      bias: addend.slot,
      moments: moments.slot,
      rows,
      cols,
      eps,
      added,
    }),
  );
  return moments;
}

/** The addend of a normalized sum with a residual: its dropout mask and its type. */
interface Added {
  key: DropoutKey | null;
  dtype: Dtype;
}

/**
 * Computes the gradients of the normalized tensor, of weight and of bias; and of the addend if it differs
 * from the first.
 */
function layerNormGradients(
  {
    dy,
    needs,
    gradient,
  }: Pick<BackwardContext<'weight' | 'bias', unknown, unknown>, 'dy' | 'needs' | 'gradient'>,
  saved: Readonly<Record<'x' | 'weight' | 'moments', Tensor>>,
  sum: Added | null,
) {
  const { device } = dy;
  const { rows, cols } = rowsOf('layerNorm', dy.shape);
  // The kernel computes both; the tape drops a gradient that nobody needs.
  const [dweight, dbias] = (['weight', 'bias'] as const).map((name) =>
    needs[name] ? gradient(name) : device.raw([cols]),
  ) as [Tensor, Tensor];
  const dx = device.raw(dy.shape, dy.dtype);
  const apart = sum !== null && (sum.key !== null || sum.dtype !== dy.dtype);
  const added = apart ? device.raw(dy.shape, sum.dtype) : undefined;
  layerNormGradient(device.gpu, {
    x: saved.x.slot,
    weight: saved.weight.slot,
    moments: saved.moments.slot,
    dy: dy.slot,
    dx: dx.slot,
    dweight: dweight.slot,
    dbias: dbias.slot,
    rows,
    cols,
    added: added && { dx: added.slot, key: sum!.key },
  });
  return { dx, dweight, dbias, added };
}

const layerNormOp = defineOp({
  name: 'layerNorm',
  inputs: { x: 'float', weight: 'float32', bias: 'float32?' },
  shape: (inputs, _options: { eps: number }) => {
    checkLayerNorm('layerNorm', inputs);
    return { shape: inputs.x.shape, dtype: inputs.x.dtype };
  },
  forward: (inputs, y, { eps }) => ({ moments: normalizeInto(y, inputs, eps) }),
  saves: ['x', 'weight', 'moments'],
  backward: (context) => {
    const { dx, dweight, dbias } = layerNormGradients(context, context.saved, null);
    return { x: dx, weight: dweight, bias: dbias };
  },
});

/**
 * (x − mean) / sqrt(var + eps) · weight + bias over the last dimension (Ba, Kiros and Hinton, 2016); a bias of
 * null is none.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor | null, eps = 1e-5): Tensor {
  return layerNormOp({ x, weight, bias: bias ?? undefined }, { eps });
}

const addLayerNormOp = defineOp({
  name: 'addLayerNorm',
  inputs: { x: 'float', residual: 'wide', weight: 'float32', bias: 'float32?' },
  shape: (inputs, _options: { eps: number; key: DropoutKey | null }) => {
    checkLayerNorm('addLayerNorm', inputs);
    return { shape: inputs.x.shape, dtype: inputs.residual.dtype };
  },
  forward: (inputs, y, { eps, key }) => {
    const { x, residual } = inputs;
    const sums = x.device.raw(x.shape, y.dtype);
    if (x.dtype !== y.dtype) y.rounded = x.device.raw(x.shape, x.dtype);
    const added = { residual: residual.slot, sums: sums.slot, dropout: key, rounded: y.rounded?.slot };
    return { sums, moments: normalizeInto(y, inputs, eps, added) };
  },
  saves: ['sums', 'weight', 'moments'],
  backward: (context) => {
    const { sums, weight, moments } = context.saved;
    const sum = { key: context.options.key, dtype: context.dtype('x') };
    const gradients = layerNormGradients(context, { x: sums, weight, moments }, sum);
    const { dx, dweight, dbias, added = dx.alias() } = gradients;
    return { x: added, residual: dx, weight: dweight, bias: dbias };
  },
});

export interface AddLayerNormOptions {
  /** Default 1e-5. */
  eps?: number;
  /** Default 0. */
  dropout?: number;
}

/**
 * layerNorm(residual + dropout(x)) over the last dimension; x and residual have one shape. Elements of x are
 * dropped with probability `dropout`, by the mask that `dropout(x, p)` would draw. A float16 x may meet a
 * float32 residual, as in PyTorch's autocast: the sum and the result are then float32. Throws `ShapeError`,
 * and `ConfigError` unless 0 ≤ dropout < 1.
 */
export function addLayerNorm(
  x: Tensor,
  residual: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  options: AddLayerNormOptions = {},
): Tensor {
  checkOptions<AddLayerNormOptions>('addLayerNorm', options, { eps: true, dropout: true });
  const { eps = 1e-5, dropout = 0 } = options;
  checkDropout(dropout);
  const key = dropout === 0 ? null : x.device.nextDropoutKey(dropout);
  return addLayerNormOp({ x, residual, weight, bias: bias ?? undefined }, { eps, key });
}
