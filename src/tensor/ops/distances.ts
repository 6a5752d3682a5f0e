/** Values for each distance between two tokens, laid out by query and key. */
import { ShapeError } from '../../errors.ts';
import { stridedCopy } from '../../kernels/pointwise.ts';
import { converted } from '../convert.ts';
import { defineOp } from '../op.ts';
import { formatShape, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { sumTo } from './reduction.ts';

/** What has distances of its own: each query, each key, or neither. */
export type DistanceRows = 'query' | 'key' | 'none';

interface Box {
  /** [matrices, L, L]. */
  shape: Shape;
  strides: readonly number[];
  offset: number;
}

/** How x, with rows of 2 · L − 1 distances, is read over queries and keys. */
function boxOf(matrices: number, length: number, rows: DistanceRows): Box {
  const width = 2 * length - 1;
  const matrix = rows === 'none' ? width : length * width;
  const query = rows === 'query' ? width + 1 : 1;
  const key = rows === 'key' ? width - 1 : -1;
  return { shape: [matrices, length, length], strides: [matrix, query, key], offset: length - 1 };
}

const byDistanceOp = defineOp({
  name: 'byDistance',
  inputs: { x: 'float' },
  shape: ({ x }, { rows }: { rows: DistanceRows }) => {
    const length = ((x.shape.at(-1) ?? 0) + 1) / 2;
    const lead = x.shape.slice(0, rows === 'none' ? -1 : -2);
    if (length < 1 || !Number.isInteger(length) || (rows !== 'none' && x.shape.at(-2) !== length))
      throw new ShapeError(`byDistance: ${formatShape(x.shape)} with rows of '${rows}'`, {
        remedy: "it must be [.., L, 2 · L − 1], or for 'none' [.., 2 · L − 1]",
      });
    return { shape: [...lead, length, length], dtype: x.dtype };
  },
  forward: ({ x }, y, { rows }) => {
    const length = y.shape.at(-1)!;
    const { shape, strides, offset } = boxOf(y.size / length ** 2, length, rows);
    stridedCopy(x.device.gpu, {
      source: x.slot,
      target: y.slot,
      shape,
      sourceStrides: strides,
      targetStrides: [length * length, length, 1],
      sourceOffset: offset,
    });
  },
  saves: [],
  backward: ({ dy, options: { rows }, shape }) => {
    const length = dy.shape.at(-1)!;
    const matrices = sizeOf(dy.shape) / length ** 2;
    // Without rows of its own a distance sums up over queries.
    const spread = dy.device.raw([matrices, length, 2 * length - 1], dy.dtype);
    dy.device.fill(spread, 0);
    const box = boxOf(matrices, length, rows === 'none' ? 'query' : rows);
    stridedCopy(dy.device.gpu, {
      source: dy.slot,
      target: spread.slot,
      shape: box.shape,
      sourceStrides: [length * length, length, 1],
      targetStrides: box.strides,
      targetOffset: box.offset,
    });
    const given =
      rows === 'none' ? converted(sumTo(spread, [matrices, 1, 2 * length - 1]), dy.dtype) : spread.alias();
    spread.dispose();
    const x = given.alias(shape('x'));
    given.dispose();
    return { x };
  },
});

/**
 * y[.., i, j] = x[.., i, d] of query i, x[.., j, d] of key j, or x[.., d], where d = i − j + L − 1 is the
 * place of their distance: x [.., L, 2 · L − 1], or for 'none' [.., 2 · L − 1], → [.., L, L]. Throws
 * `ShapeError`.
 */
export function byDistance(x: Tensor, rows: DistanceRows): Tensor {
  return byDistanceOp({ x }, { rows });
}
