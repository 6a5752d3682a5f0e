/** Vectors of texts: of unit length, and the largest numbers over tokens. */
import { ShapeError } from '../../errors.ts';
import { spreadAlong } from '../../kernels/along.ts';
import { maxTokens as maxTokensKernel, unitRows } from '../../kernels/text-vectors.ts';
import { checkOptions } from '../../options.ts';
import { defineOp } from '../op.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

export interface NormalizeOptions {
  /** Least length by which a vector is divided. Default 1e-12. */
  eps?: number;
}

const rowsOf = (shape: Shape) => ({ rows: sizeOf(shape) / shape.at(-1)!, cols: shape.at(-1)! });

const normalizeOp = defineOp({
  name: 'normalize',
  inputs: { x: 'float32' },
  shape: ({ x }, _options: Required<NormalizeOptions>) => {
    if (x.rank === 0 || x.shape.at(-1) === 0)
      throw new ShapeError(`normalize: ${formatShape(x.shape)} has no last dimension to work on`);
    return { shape: x.shape, dtype: 'float32' };
  },
  forward: ({ x }, y, options) =>
    unitRows(x.device.gpu, { x: x.slot, y: y.slot, ...rowsOf(x.shape), ...options }),
  saves: ['x'],
  backward: ({ dy, saved: { x }, options }) => {
    const dx = dy.device.raw(dy.shape);
    unitRows(dy.device.gpu, { x: x.slot, dy: dy.slot, y: dx.slot, ...rowsOf(x.shape), ...options });
    return { x: dx };
  },
});

/** x / max(‖x‖₂, eps) over the last dimension, as torch's `F.normalize`. float32. */
export function normalize(x: Tensor, options: NormalizeOptions = {}): Tensor {
  checkOptions<NormalizeOptions>('normalize', options, { eps: true });
  return normalizeOp({ x }, { eps: options.eps ?? 1e-12 });
}

const sizesOf = ([texts, length, cols]: Shape) => ({ texts: texts!, length: length!, cols: cols! });

const maxTokensOp = defineOp({
  name: 'maxTokens',
  inputs: { x: 'float32', mask: 'int32' },
  shape: ({ x, mask }) => {
    if (x.rank !== 3 || !sameShape(mask.shape, x.shape.slice(0, 2)))
      throw new ShapeError(`maxTokens: x ${formatShape(x.shape)} · mask ${formatShape(mask.shape)}`, {
        remedy: 'x must be [texts, length, width], mask [texts, length]',
      });
    return { shape: [x.shape[0]!, x.shape[2]!], dtype: 'float32' };
  },
  forward: ({ x, mask }, y) => {
    const tokens = x.device.raw(y.shape, 'uint32');
    const slots = { x: x.slot, mask: mask.slot, y: y.slot, tokens: tokens.slot };
    maxTokensKernel(x.device.gpu, { ...slots, ...sizesOf(x.shape) });
    return { tokens };
  },
  saves: ['tokens'],
  backward: ({ dy, saved: { tokens }, shape }) => {
    const dx = dy.device.raw(shape('x'));
    const { texts, length, cols } = sizesOf(shape('x'));
    const slots = { dy: dy.slot, dx: dx.slot, rows: tokens.slot };
    spreadAlong(dy.device.gpu, { ...slots, outer: texts, n: length, inner: cols });
    return { x: dx };
  },
});

/**
 * The largest value of each column over the tokens that the mask shows: x [texts, length, width], mask int32
 * [texts, length] → [texts, width]. The lowest float32 for a text without a token.
 */
export function maxTokens(x: Tensor, mask: Tensor): Tensor {
  return maxTokensOp({ x, mask });
}
