/** Sums and means. */

import { binary } from '../../kernels/binary.ts';
import { unary } from '../../kernels/pointwise.ts';
import { type Axis, sum as sumKernel } from '../../kernels/reduce.ts';
import { converted } from '../convert.ts';
import { defineOp } from '../op.ts';
import { broadcastStrides, normalizeDim, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** @internal Sums the middle dimension of x into y. */
export function sumAxis(x: Tensor, y: Tensor, axis: Axis & { scale?: number }): void {
  sumKernel(x.device.gpu, { x: x.slot, y: y.slot, ...axis });
}

/**
 * @internal Sums x over the dimensions in which `shape` was broadcast to it: float32, outside every scope.
 */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const lead = x.rank - shape.length;
  let current = x.alias();
  for (let d = 0; d < x.rank; d += 1) {
    const wanted = d < lead ? 1 : shape[d - lead]!;
    const n = current.shape[d]!;
    if (n === wanted) continue;
    const next = current.device.raw(current.shape.map((size, at) => (at === d ? 1 : size)));
    const outer = sizeOf(current.shape.slice(0, d));
    sumAxis(current, next, { outer, n, inner: sizeOf(current.shape.slice(d + 1)) });
    current.dispose();
    current = next;
  }
  current = converted(current, 'float32');
  const shaped = current.alias(shape);
  current.dispose();
  return shaped;
}

export interface ReduceOptions {
  dim: number | undefined;
  keepdim: boolean;
}

/** @internal How a reduction sees x, all dimensions as one without `dim`, and the shape of its result. */
export function axisOf(
  op: string,
  shape: Shape,
  { dim, keepdim }: ReduceOptions,
): { axis: Axis; reduced: Shape } {
  const from = dim === undefined ? 0 : normalizeDim(op, dim, shape);
  const to = dim === undefined ? shape.length : from + 1;
  const [before, middle, after] = [shape.slice(0, from), shape.slice(from, to), shape.slice(to)];
  const axis = { outer: sizeOf(before), n: sizeOf(middle), inner: sizeOf(after) };
  return { axis, reduced: [...before, ...(keepdim ? middle.map(() => 1) : []), ...after] };
}

function defineReduction(name: 'sum' | 'mean'): (x: Tensor, dim?: number, keepdim?: boolean) => Tensor {
  const factor = ({ n }: Axis): number => (name === 'mean' ? 1 / n : 1);
  const op = defineOp({
    name,
    inputs: { x: 'float32' },
    shape: ({ x }, options: ReduceOptions) => ({
      shape: axisOf(name, x.shape, options).reduced,
      dtype: 'float32',
    }),
    forward: ({ x }, y, options) => {
      const { axis } = axisOf(name, x.shape, options);
      sumAxis(x, y, { ...axis, scale: factor(axis) });
    },
    saves: [],
    backward: ({ dy, options, shape }) => {
      const { axis } = axisOf(name, shape('x'), options);
      return { x: spread(dy, shape('x'), axis, factor(axis)) };
    },
  });
  return (x, dim, keepdim = false) => op({ x }, { dim, keepdim });
}

/** Repeats dy, seen as [outer, 1, inner], n times to fill `shape`, and scales it by `factor`. */
function spread(dy: Tensor, shape: Shape, { outer, n, inner }: Axis, factor: number): Tensor {
  const { device } = dy;
  const scaled = device.raw([dy.size]);
  unary(device.gpu, { x: dy.slot, y: scaled.slot, count: dy.size, activation: 'none', scale: factor });
  // A broadcast product with 1 repeats.
  const one = device.raw([1]);
  device.fill(one, 1);
  const dx = device.raw(shape);
  const box = [outer, n, inner];
  const strides = { stridesA: [0, 0, 0], stridesB: broadcastStrides([outer, 1, inner], box) };
  binary(device.gpu, { a: one.slot, b: scaled.slot, c: dx.slot, operator: 'mul', shape: box, ...strides });
  scaled.dispose();
  one.dispose();
  return dx;
}

/** The sum over one dimension, or over all to a scalar `[]`. float32. */
export const sum = defineReduction('sum');
/** The mean over one dimension, or over all to a scalar `[]`. float32. */
export const mean = defineReduction('mean');
