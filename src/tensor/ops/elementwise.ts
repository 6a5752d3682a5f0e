/** Pointwise operations: activations, arithmetic with broadcasting, scaling, dropout. */
import { ConfigError, ShapeError } from '../../errors.ts';
import type { FloatDtype } from '../../gpu/dtype.ts';
import type { Activation } from '../../kernels/activations.ts';
import { type BinaryOperator, binary } from '../../kernels/binary.ts';
import { MAX_STRIDED_RANK } from '../../kernels/elements.ts';
import { cast, type DropoutKey, dropout as dropoutKernel, unary } from '../../kernels/pointwise.ts';
import { checkChoice, checkOptions } from '../../options.ts';
import { converted } from '../convert.ts';
import { type BackwardContext, defineOp } from '../op.ts';
import { broadcastShapes, broadcastStrides, formatShape, type Shape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { sumTo } from './reduction.ts';

const same = ({ x }: { x: Tensor }) => ({ shape: x.shape, dtype: x.dtype });

function defineActivation(name: Exclude<Activation, 'none'>): (x: Tensor) => Tensor {
  const op = defineOp({
    name,
    inputs: { x: 'float' },
    shape: same,
    forward: ({ x }, y) => unary(x.device.gpu, { x: x.slot, y: y.slot, count: x.size, activation: name }),
    saves: ['x'],
    backward: ({ dy, saved: { x } }) => {
      const dx = dy.device.raw(dy.shape, dy.dtype);
      unary(dy.device.gpu, { x: x.slot, dy: dy.slot, y: dx.slot, count: dy.size, activation: name });
      return { x: dx };
    },
  });
  return (x) => op({ x });
}

export interface GeluOptions {
  /**
   * 'tanh': 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))), as in OpenAI's GPT and Google's
   * BERT. Default 'none': exact.
   */
  approximate?: 'none' | 'tanh';
}

const exactGelu = defineActivation('gelu');
const tanhGelu = defineActivation('gelu_tanh');
/** x · Φ(x) (Hendrycks and Gimpel, 2016). Throws `ConfigError` for an unknown approximation. */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  checkOptions<GeluOptions>('gelu', options, { approximate: true });
  checkChoice('gelu: approximate', options.approximate, ['none', 'tanh']);
  return options.approximate === 'tanh' ? tanhGelu(x) : exactGelu(x);
}
/** x · sigmoid(1.702 · x), a cheaper GELU (Hendrycks and Gimpel, 2016), as in CLIP. */
export const quickGelu = defineActivation('quick_gelu');
export const tanh = defineActivation('tanh');
export const relu = defineActivation('relu');
/** 1 / (1 + e^−x). */
export const sigmoid = defineActivation('sigmoid');
/** x · sigmoid(x). */
export const silu = defineActivation('silu');
export const exp = defineActivation('exp');

const activationOps = {
  gelu: exactGelu,
  gelu_tanh: tanhGelu,
  quick_gelu: quickGelu,
  tanh,
  relu,
  sigmoid,
  silu,
  exp,
};

/** @internal The activation of that name. */
export function activate(x: Tensor, activation: Activation): Tensor {
  return activation === 'none' ? x : activationOps[activation](x);
}

const affine = defineOp({
  name: 'affine',
  inputs: { x: 'float' },
  shape: (inputs, _options: { scale: number; shift: number }) => same(inputs),
  forward: ({ x }, y, options) =>
    unary(x.device.gpu, { x: x.slot, y: y.slot, count: x.size, activation: 'none', ...options }),
  saves: [],
  backward: ({ dy, options }) => ({ x: scaled(dy, options.scale) }),
});

/** factor · x, outside every scope. */
function scaled(x: Tensor, factor: number): Tensor {
  const y = x.device.raw(x.shape, x.dtype);
  unary(x.device.gpu, { x: x.slot, y: y.slot, count: x.size, activation: 'none', scale: factor });
  return y;
}

/** factor · x + shift, with numbers that the host knows. */
export function scale(x: Tensor, factor: number, shift = 0): Tensor {
  return affine({ x }, { scale: factor, shift });
}

const toOp = defineOp({
  name: 'to',
  inputs: { x: 'float' },
  shape: ({ x }, { dtype }: { dtype: FloatDtype }) => ({ shape: x.shape, dtype }),
  // Version 0 means that nobody has overwritten the tensor since a kernel stored it.
  view: ({ x }) => (x.rounded !== null && x.version + x.rounded.version === 0 ? x.rounded.alias() : null),
  forward: ({ x }, y) => cast(x.device.gpu, { x: x.slot, y: y.slot, count: x.size }),
  saves: [],
  // The tape widens a float16 gradient when it adds it to others of x.
  backward: ({ dy, options }) => ({
    x: options.dtype === 'float16' ? dy.alias() : converted(dy.alias(), 'float16'),
  }),
});

export type { FloatDtype };

/**
 * Casts x to another type of float, as torch.Tensor.to; gives x itself if it has that type. float16 rounds to
 * nearest, and values beyond its range become infinite. Throws `DtypeError` for integers, and if the adapter
 * has no float16.
 */
export function to(x: Tensor, dtype: FloatDtype): Tensor {
  return x.dtype === dtype ? x : toOp({ x }, { dtype });
}

/** @internal Fills c with a (operator) b, both broadcast to its shape; returns c. */
export function combineInto(c: Tensor, operator: BinaryOperator, a: Tensor, b: Tensor): Tensor {
  const { shape } = c;
  const strides = { stridesA: broadcastStrides(a.shape, shape), stridesB: broadcastStrides(b.shape, shape) };
  binary(c.device.gpu, { a: a.slot, b: b.slot, c: c.slot, operator, shape, ...strides });
  return c;
}

/** @internal Computes a (operator) b into a new tensor, outside every scope. */
export function combine(operator: BinaryOperator, a: Tensor, b: Tensor, shape: Shape): Tensor {
  return combineInto(a.device.raw(shape, a.dtype), operator, a, b);
}

/** @internal dy · slope, both of dy's shape. Takes the slope over. */
export function timesSlope(dy: Tensor, slope: Tensor): Tensor {
  const product = combine('mul', dy, slope, dy.shape);
  slope.dispose();
  return product;
}

/** @internal Sums a gradient of the broadcast shape to the input's shape. Takes the gradient over. */
export function reduceTo(gradient: Tensor, shape: Shape): Tensor {
  if (sameShape(gradient.shape, shape)) return gradient;
  const reduced = sumTo(gradient, shape);
  gradient.dispose();
  return converted(reduced, gradient.dtype);
}

type Side = 'a' | 'b';

/** The gradients of both sides in the broadcast shape, from dy and the saved inputs `S`. */
type Rule<S extends Side> = (context: BackwardContext<Side, Readonly<Record<S, Tensor>>, undefined>) => {
  readonly [side in Side]?: Tensor;
};

/** @internal The shape of a result of broadcasting. Throws `ShapeError`. */
export function broadcastTo(op: string, ...shapes: readonly Shape[]): Shape {
  const shape = shapes.reduce((left, right) => broadcastShapes(op, left, right));
  if (shape.length > MAX_STRIDED_RANK)
    throw new ShapeError(`${op}: ${formatShape(shape)} has more than ${MAX_STRIDED_RANK} dimensions`);
  return shape;
}

/** @internal An operation of two tensors with broadcasting. */
export function defineBinary<S extends Side>(
  operator: BinaryOperator,
  saves: readonly S[],
  rule: Rule<S>,
): (a: Tensor, b: Tensor) => Tensor {
  const op = defineOp({
    name: operator,
    inputs: { a: 'float', b: 'float' },
    shape: ({ a, b }) => ({ shape: broadcastTo(operator, a.shape, b.shape), dtype: a.dtype }),
    forward: ({ a, b }, y) => void combineInto(y, operator, a, b),
    saves,
    backward: (context) => {
      const { a, b } = rule(context);
      return {
        a: a && reduceTo(a, context.shape('a')),
        b: b && reduceTo(b, context.shape('b')),
      };
    },
  });
  return (a, b) => op({ a, b });
}

/** a + b, with NumPy's broadcasting. */
export const add = defineBinary('add', [], ({ dy, needs }) => ({
  ...(needs.a && { a: dy.alias() }),
  ...(needs.b && { b: dy.alias() }),
}));
export const sub = defineBinary('sub', [], ({ dy, needs }) => ({
  ...(needs.a && { a: dy.alias() }),
  ...(needs.b && { b: scaled(dy, -1) }),
}));
export const mul = defineBinary('mul', ['a', 'b'], ({ dy, saved, needs }) => ({
  ...(needs.a && { a: combine('mul', dy, saved.b, dy.shape) }),
  ...(needs.b && { b: combine('mul', dy, saved.a, dy.shape) }),
}));
/** a / b; d/db = −dy · a / b². */
export const div = defineBinary('div', ['a', 'b'], ({ dy, saved: { a, b }, needs }) => {
  const quotient = combine('div', dy, b, dy.shape);
  if (!needs.b) return { a: quotient };
  const product = combine('mul', quotient, a, dy.shape);
  const slope = combine('div', product, b, dy.shape);
  product.dispose();
  const result = { ...(needs.a && { a: quotient }), b: scaled(slope, -1) };
  slope.dispose();
  if (!needs.a) quotient.dispose();
  return result;
});

const dropoutOp = defineOp({
  name: 'dropout',
  inputs: { x: 'float' },
  shape: (inputs, _key: DropoutKey) => same(inputs),
  forward: ({ x }, y, key) => dropoutKernel(x.device.gpu, { x: x.slot, y: y.slot, count: x.size, key }),
  saves: [],
  backward: ({ dy, options: key }) => {
    const dx = dy.device.raw(dy.shape, dy.dtype);
    dropoutKernel(dy.device.gpu, { x: dy.slot, y: dx.slot, count: dy.size, key });
    return { x: dx };
  },
});

/** Throws `ConfigError` unless 0 ≤ p < 1. */
export function checkDropout(p: number): void {
  if (!(p >= 0 && p < 1)) throw new ConfigError(`dropout: p is ${p}`, { remedy: 'use 0 ≤ p < 1' });
}

/** Zeroes each element with probability p and scales the rest by 1/(1−p). The identity if p is 0. */
export function dropout(x: Tensor, p: number): Tensor {
  checkDropout(p);
  return p === 0 ? x : dropoutOp({ x }, x.device.nextDropoutKey(p));
}
