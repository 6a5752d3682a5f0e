/** Sums and means. */

import { binary, cast, unary } from '../../kernels/pointwise.ts';
import { sum as sumKernel } from '../../kernels/reduce.ts';
import { defineOp } from '../op.ts';
import { broadcastStrides, normalizeDim, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Sums the middle dimension of x, seen as [outer, n, inner], into y. */
function sumAxis(
  x: Tensor,
  y: Tensor,
  dims: { outer: number; n: number; inner: number; scale?: number },
): void {
  sumKernel(x.device.gpu, { x: x.slot, y: y.slot, ...dims });
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
  const shaped = current.dtype === 'float32' ? current.alias(shape) : current.device.raw(shape);
  if (current.dtype !== 'float32')
    cast(x.device.gpu, { x: current.slot, y: shaped.slot, count: current.size });
  current.dispose();
  return shaped;
}

interface ReduceOptions {
  dim: number | undefined;
  keepdim: boolean;
  mean: boolean;
}

/** [outer, n, inner] of a reduction, and the shape `kept` in which the reduced dimension has size 1. */
function axisOf(
  op: string,
  shape: Shape,
  dim: number | undefined,
): { outer: number; n: number; inner: number; kept: number[] } {
  if (dim === undefined) return { outer: 1, n: sizeOf(shape), inner: 1, kept: shape.map(() => 1) };
  const d = normalizeDim(op, dim, shape);
  const kept = shape.map((size, at) => (at === d ? 1 : size));
  return { outer: sizeOf(shape.slice(0, d)), n: shape[d]!, inner: sizeOf(shape.slice(d + 1)), kept };
}

function defineReduction(name: 'sum' | 'mean'): (x: Tensor, options: ReduceOptions) => Tensor {
  const op = defineOp({
    name,
    inputs: { x: 'float32' },
    shape: ({ x }, { dim, keepdim }: ReduceOptions) => {
      const { kept } = axisOf(name, x.shape, dim);
      const removed =
        dim === undefined ? [] : kept.filter((_, at) => at !== normalizeDim(name, dim, x.shape));
      return { shape: keepdim ? kept : removed, dtype: 'float32' };
    },
    forward: ({ x }, y, { dim, mean: average }) => {
      const { outer, n, inner } = axisOf(name, x.shape, dim);
      sumAxis(x, y, { outer, n, inner, scale: average ? 1 / n : 1 });
    },
    saves: [],
    backward: ({ dy, options: { dim, mean: average }, shape: shapeOf }) => {
      const shape = shapeOf('x');
      const { outer, n, inner } = axisOf(name, shape, dim);
      return { x: spread(dy, shape, { outer, n, inner }, average ? 1 / n : 1) };
    },
  });
  return (x, options) => op({ x }, options);
}

/** Repeats dy, seen as [outer, 1, inner], n times to fill `shape`, and scales it by `factor`. */
function spread(
  dy: Tensor,
  shape: Shape,
  { outer, n, inner }: { outer: number; n: number; inner: number },
  factor: number,
): Tensor {
  const { device } = dy;
  const scaled = device.raw([dy.size]);
  unary(device.gpu, { x: dy.slot, y: scaled.slot, count: dy.size, activation: 'none', scale: factor });
  // A broadcast product with 1 repeats.
  const one = device.raw([1]);
  device.fill(one, 1);
  const dx = device.raw(shape);
  binary(device.gpu, {
    a: one.slot,
    b: scaled.slot,
    c: dx.slot,
    operator: 'mul',
    shape: [outer, n, inner],
    stridesA: [0, 0, 0],
    stridesB: broadcastStrides([outer, 1, inner], [outer, n, inner]),
  });
  scaled.dispose();
  one.dispose();
  return dx;
}

const sumOp = defineReduction('sum');
const meanOp = defineReduction('mean');

/** The sum over one dimension, or over all to a scalar `[]`. float32. */
export function sum(x: Tensor, dim?: number, keepdim = false): Tensor {
  return sumOp(x, { dim, keepdim, mean: false });
}

/** The mean over one dimension, or over all to a scalar `[]`. float32. */
export function mean(x: Tensor, dim?: number, keepdim = false): Tensor {
  return meanOp(x, { dim, keepdim, mean: true });
}
