/** The largest and smallest numbers of a dimension, and where they are. */
import { ShapeError } from '../../errors.ts';
import { spreadAlong, takeAlong } from '../../kernels/along.ts';
import { cast } from '../../kernels/pointwise.ts';
import { type Axis, extreme } from '../../kernels/reduce.ts';
import { converted } from '../convert.ts';
import { defineOp } from '../op.ts';
import { formatShape, type Shape } from '../shape.ts';
import { noGrad } from '../tape.ts';
import type { Tensor } from '../tensor.ts';
import { combineInto } from './elementwise.ts';
import { axisOf, type ReduceOptions, sumAxis } from './reduction.ts';

/** The axis of x that is reduced, which must have elements. */
function axisFor(op: string, x: Tensor, options: ReduceOptions): { axis: Axis; reduced: Shape } {
  // A scalar has one dimension, as in PyTorch.
  const shape = x.rank === 0 ? [1] : x.shape;
  const found = axisOf(op, shape, options);
  if (found.axis.n === 0)
    throw new ShapeError(`${op}: ${formatShape(x.shape)} has no elements there`, {
      remedy: 'reduce a dimension with elements',
    });
  return x.rank === 0 ? { ...found, reduced: [] } : found;
}

/** Finds the extremes of x and their rows along the axis. */
function find(x: Tensor, axis: Axis, largest: boolean, to: { values?: Tensor; rows?: Tensor }): void {
  const { device } = x;
  const { outer, inner } = axis;
  if (outer * inner === 0) return;
  const own = to.values?.dtype === 'float32' ? to.values : undefined;
  const values = own ?? device.raw([outer, inner]);
  const rows = to.rows ?? device.raw([outer, inner], 'int32');
  extreme(device.gpu, { x: x.slot, values: values.slot, rows: rows.slot, ...axis, largest });
  if (to.values !== undefined && own === undefined)
    cast(device.gpu, { x: values.slot, y: to.values.slot, count: values.size });
  if (own === undefined) values.dispose();
  if (to.rows === undefined) rows.dispose();
}

const argOp = (name: 'argmax' | 'argmin') =>
  defineOp({
    name,
    inputs: { x: 'float' },
    shape: ({ x }, options: ReduceOptions) => ({ shape: axisFor(name, x, options).reduced, dtype: 'int32' }),
    forward: ({ x }, y, options) => find(x, axisFor(name, x, options).axis, name === 'argmax', { rows: y }),
    nonDifferentiable: 'a position is an integer',
  });

type Arg = (x: Tensor, dim?: number, keepdim?: boolean) => Tensor;

function defineArg(name: 'argmax' | 'argmin'): Arg {
  const op = argOp(name);
  return (x, dim, keepdim = false) => noGrad(() => op({ x }, { dim, keepdim }));
}

/**
 * The index of the largest number of a dimension, or, without `dim`, of all numbers in row-major order: int32. The
 * first of equal ones, as in PyTorch; NaN counts as the largest.
 */
export const argmax = defineArg('argmax');
/** The index of the smallest number, as `argmax`; NaN counts as the smallest. */
export const argmin = defineArg('argmin');

function defineEven(name: 'amax' | 'amin'): (x: Tensor, dim?: number, keepdim?: boolean) => Tensor {
  const op = defineOp({
    name,
    inputs: { x: 'float' },
    shape: ({ x }, options: ReduceOptions) => ({ shape: axisFor(name, x, options).reduced, dtype: x.dtype }),
    forward: ({ x }, y, options) => find(x, axisFor(name, x, options).axis, name === 'amax', { values: y }),
    saves: ['x', 'y'],
    backward: ({ dy, saved: { x, y }, options }) => ({ x: even(dy, x, y, axisFor(name, x, options).axis) }),
  });
  return (x, dim, keepdim = false) => op({ x }, { dim, keepdim });
}

/** Shares dy evenly among the elements of x that equal y. */
function even(dy: Tensor, x: Tensor, y: Tensor, { outer, n, inner }: Axis): Tensor {
  const { device } = dy;
  const reduced = [outer, 1, inner];
  const box = [outer, n, inner];
  const floats = (from: Tensor, shape: Shape): Tensor => converted(from.alias(shape), 'float32');
  const [numbers, best, slope] = [floats(x, box), floats(y, reduced), floats(dy, reduced)];
  const chosen = combineInto(device.raw(box), 'same', numbers, best);
  const count = device.raw(reduced);
  sumAxis(chosen, count, { outer, n, inner });
  const share = combineInto(device.raw(reduced), 'div', slope, count);
  const dx = combineInto(device.raw(box), 'mul', chosen, share);
  for (const used of [numbers, best, slope, chosen, count, share]) used.dispose();
  const shaped = dx.alias(x.shape);
  dx.dispose();
  return converted(shaped, dy.dtype);
}

/**
 * The largest number of a dimension, or of all numbers; NaN if there is one. Equal ones share the gradient evenly,
 * as in PyTorch; see `max`.
 */
export const amax = defineEven('amax');
/** The smallest number, as `amax`. */
export const amin = defineEven('amin');

/** `axis` is that of `dim`. */
interface TakeOptions extends ReduceOptions {
  dim: number;
  axis: Axis;
}

const takeOp = defineOp({
  name: 'takeAlong',
  inputs: { x: 'float', rows: 'int32' },
  shape: ({ x, rows }, _options: TakeOptions) => ({ shape: rows.shape, dtype: x.dtype }),
  forward: ({ x, rows }, y, { axis }) => {
    if (y.size > 0) takeAlong(y.device.gpu, { x: x.slot, rows: rows.slot, y: y.slot, ...axis });
  },
  saves: ['rows'],
  backward: ({ dy, saved: { rows }, shape, options: { axis } }) => {
    const dx = dy.device.raw(shape('x'), dy.dtype);
    if (dx.size > 0) spreadAlong(dy.device.gpu, { dy: dy.slot, rows: rows.slot, dx: dx.slot, ...axis });
    return { x: dx };
  },
});

/** The largest (or smallest) numbers of a dimension, and their indices, int32. */
export interface Extremes {
  values: Tensor;
  indices: Tensor;
}

interface Max {
  (x: Tensor): Tensor;
  (x: Tensor, dim: number, keepdim?: boolean): Extremes;
}

function defineMax(arg: Arg, all: (x: Tensor) => Tensor, op: string): Max {
  function max(x: Tensor): Tensor;
  function max(x: Tensor, dim: number, keepdim?: boolean): Extremes;
  function max(x: Tensor, dim?: number, keepdim = false): Tensor | Extremes {
    if (dim === undefined) return all(x);
    const { axis } = axisFor(op, x, { dim, keepdim });
    const indices = arg(x, dim, keepdim);
    return { values: takeOp({ x, rows: indices }, { axis, dim, keepdim }), indices };
  }
  return max;
}

/**
 * The largest number of all; or, with `dim`, the largest of a dimension, and their indices, as torch.max: the first
 * of equal numbers, and NaN if there is one. With `dim` the gradient goes to the number chosen; without, as that
 * of `amax`, to all that equal it, evenly.
 */
export const max = defineMax(argmax, (x) => amax(x), 'max');
/** The smallest number of all or of a dimension, as `max`. */
export const min = defineMax(argmin, (x) => amin(x), 'min');
