/** Comparisons, choices by condition, the larger and the smaller of two tensors. */
import { DtypeError } from '../../errors.ts';
import { binary, type Comparison, where as whereKernel } from '../../kernels/binary.ts';
import { defineOp } from '../op.ts';
import { broadcastStrides } from '../shape.ts';
import { noGrad } from '../tape.ts';
import type { Tensor } from '../tensor.ts';
import { broadcastTo, combine, defineBinary, reduceTo, timesSlope } from './elementwise.ts';

/** Throws `DtypeError` unless both have one of the types. */
function checkSame(op: string, a: Tensor, b: Tensor, dtypes: readonly string[]): void {
  if (a.dtype !== b.dtype)
    throw new DtypeError(`${op}: a is ${a.dtype}, b is ${b.dtype}`, { remedy: 'give them one type' });
  if (!dtypes.includes(a.dtype))
    throw new DtypeError(`${op}: a and b are ${a.dtype}`, { remedy: `they must be ${dtypes.join(' or ')}` });
}

/** Runs `body` with `value` as a tensor of x's type. */
function withOperand(
  op: string,
  x: Tensor,
  value: Tensor | number,
  body: (operand: Tensor) => Tensor,
): Tensor {
  if (typeof value !== 'number') return body(value);
  if (!x.dtype.startsWith('float') && !Number.isInteger(value))
    throw new DtypeError(`${op}: ${value} beside a tensor of ${x.dtype}`, { remedy: 'use an integer' });
  const operand = x.device.raw([], x.dtype);
  x.device.fill(operand, value);
  const result = body(operand);
  operand.dispose();
  return result;
}

function defineComparison(name: Comparison): (a: Tensor, b: Tensor | number) => Tensor {
  const op = defineOp({
    name,
    inputs: { a: 'any', b: 'any' },
    shape: ({ a, b }) => {
      checkSame(name, a, b, ['float32', 'float16', 'int32']);
      return { shape: broadcastTo(name, a.shape, b.shape), dtype: 'int32' };
    },
    forward: ({ a, b }, { slot, device, shape }) => {
      const strides = {
        stridesA: broadcastStrides(a.shape, shape),
        stridesB: broadcastStrides(b.shape, shape),
      };
      binary(device.gpu, { a: a.slot, b: b.slot, c: slot, operator: name, shape, ...strides });
    },
    nonDifferentiable: 'a comparison has steps only',
  });
  return (a, b) => withOperand(name, a, b, (operand) => noGrad(() => op({ a, b: operand })));
}

/** 1 where a = b, else 0: int32, with NumPy's broadcasting. b may be a number. NaN equals nothing. */
export const eq = defineComparison('eq');
/** 1 where a ≠ b, as `eq`. NaN differs from everything, itself included. */
export const ne = defineComparison('ne');
/** 1 where a < b, as `eq`. */
export const lt = defineComparison('lt');
/** 1 where a ≤ b, as `eq`. */
export const le = defineComparison('le');
/** 1 where a > b, as `eq`. */
export const gt = defineComparison('gt');
/** 1 where a ≥ b, as `eq`. */
export const ge = defineComparison('ge');

/** Fills y with a if the condition is not zero, else b, all broadcast to its shape; returns y. */
function choose(condition: Tensor, a: Tensor, b: Tensor, y: Tensor): Tensor {
  const { shape } = y;
  const stridesOf = (x: Tensor): number[] => broadcastStrides(x.shape, shape);
  whereKernel(y.device.gpu, {
    condition: condition.slot,
    a: a.slot,
    b: b.slot,
    y: y.slot,
    shape,
    strides: [stridesOf(condition), stridesOf(a), stridesOf(b)],
  });
  return y;
}

const whereOp = defineOp({
  name: 'where',
  inputs: { condition: 'int32', a: 'any', b: 'any' },
  shape: ({ condition, a, b }) => {
    checkSame('where', a, b, ['float32', 'float16', 'int32', 'uint32']);
    return { shape: broadcastTo('where', condition.shape, a.shape, b.shape), dtype: a.dtype };
  },
  forward: ({ condition, a, b }, y) => void choose(condition, a, b, y),
  saves: ['condition'],
  backward: ({ dy, saved: { condition }, needs, shape }) => {
    const zero = dy.device.raw([], dy.dtype);
    dy.device.fill(zero, 0);
    const part = (a: Tensor, b: Tensor): Tensor => choose(condition, a, b, dy.device.raw(dy.shape, dy.dtype));
    const gradients = {
      ...(needs.a && { a: reduceTo(part(dy, zero), shape('a')) }),
      ...(needs.b && { b: reduceTo(part(zero, dy), shape('b')) }),
    };
    zero.dispose();
    return gradients;
  },
});

/**
 * a where the condition, int32, is not zero, else b, with NumPy's broadcasting. One of a and b may be a number.
 * Throws `DtypeError` unless a and b have one type.
 */
export function where(condition: Tensor, a: Tensor, b: Tensor | number): Tensor;
export function where(condition: Tensor, a: number, b: Tensor): Tensor;
export function where(condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor {
  const like = [a, b].find((one) => typeof one !== 'number');
  if (like === undefined)
    throw new DtypeError('where: both values are numbers', { remedy: 'give a tensor, as device.full(…)' });
  return withOperand('where', like, a, (left) =>
    withOperand('where', like, b, (right) => whereOp({ condition, a: left, b: right })),
  );
}

/** dy times what a of maximum(a, b) gets of it. */
const shared = (dy: Tensor, a: Tensor, b: Tensor): Tensor =>
  timesSlope(dy, combine('maximumShare', a, b, dy.shape));

/**
 * The larger of a and b, with NumPy's broadcasting; NaN if either is. Where both are equal, each gets half of the
 * gradient, as in PyTorch.
 */
export const maximum = defineBinary('maximum', ['a', 'b'], ({ dy, saved: { a, b }, needs }) => ({
  ...(needs.a && { a: shared(dy, a, b) }),
  ...(needs.b && { b: shared(dy, b, a) }),
}));
/** The smaller of a and b, as `maximum`. */
export const minimum = defineBinary('minimum', ['a', 'b'], ({ dy, saved: { a, b }, needs }) => ({
  ...(needs.a && { a: shared(dy, b, a) }),
  ...(needs.b && { b: shared(dy, a, b) }),
}));
