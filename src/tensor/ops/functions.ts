/** Functions of each number: logarithm, root, absolute value, limits, powers. */
import { ConfigError } from '../../errors.ts';
import type { NumberFunction } from '../../kernels/activations.ts';
import { unary } from '../../kernels/pointwise.ts';
import { checkOptions } from '../../options.ts';
import { defineOp } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { combine, defineBinary, timesSlope } from './elementwise.ts';

interface Limits {
  low: number;
  high: number;
}

function defineFunction(name: NumberFunction): (x: Tensor, limits?: Limits) => Tensor {
  const op = defineOp({
    name,
    inputs: { x: 'float' },
    shape: ({ x }, _limits: Limits) => ({ shape: x.shape, dtype: x.dtype }),
    forward: ({ x }, y, limits) =>
      unary(x.device.gpu, { x: x.slot, y: y.slot, count: x.size, activation: name, ...limits }),
    saves: ['x'],
    backward: ({ dy, saved: { x }, options: limits }) => {
      const dx = dy.device.raw(dy.shape, dy.dtype);
      const slots = { x: x.slot, dy: dy.slot, y: dx.slot };
      unary(dy.device.gpu, { ...slots, count: dy.size, activation: name, ...limits });
      return { x: dx };
    },
  });
  return (x, limits = { low: 0, high: 0 }) => op({ x }, limits);
}

const logOf = defineFunction('log');
const sqrtOf = defineFunction('sqrt');
const absOf = defineFunction('abs');
const clampOf = defineFunction('clamp');
const powerOf = defineFunction('power');

/** The natural logarithm: −∞ at 0, NaN below. */
export function log(x: Tensor): Tensor {
  return logOf(x);
}

/** √x, NaN below 0. */
export function sqrt(x: Tensor): Tensor {
  return sqrtOf(x);
}

/** |x|. Its gradient at 0 is 0. */
export function abs(x: Tensor): Tensor {
  return absOf(x);
}

export interface ClampOptions {
  /** Default: no limit. */
  min?: number | undefined;
  /** Default: no limit. Wins over a larger `min`. */
  max?: number | undefined;
}

/**
 * x, but at least `min` and at most `max`; NaN stays. The gradient passes from limit to limit, both included.
 * Throws `ConfigError` without any limit.
 */
export function clamp(x: Tensor, options: ClampOptions): Tensor {
  checkOptions<ClampOptions>('clamp', options, { min: true, max: true });
  const { min, max } = options;
  if (min === undefined && max === undefined)
    throw new ConfigError('clamp: there is no limit', { remedy: 'give min, max or both' });
  if (Number.isNaN(min) || Number.isNaN(max))
    throw new ConfigError(`clamp: a limit is not a number: min ${min}, max ${max}`);
  return clampOf(x, { low: min ?? Number.NEGATIVE_INFINITY, high: max ?? Number.POSITIVE_INFINITY });
}

/** d/da = dy · b · a^(b − 1), d/db = dy · a^b · ln a. */
const tensorPower = defineBinary('pow', ['a', 'b'], ({ dy, saved: { a, b }, needs }) => ({
  ...(needs.a && { a: timesSlope(dy, combine('powSlope', a, b, dy.shape)) }),
  ...(needs.b && { b: timesSlope(dy, combine('powExponentSlope', a, b, dy.shape)) }),
}));

/**
 * x to the power of a number, or of each number of a tensor, with broadcasting; NaN for a negative number to a
 * power that is not whole.
 */
export function pow(x: Tensor, exponent: number | Tensor): Tensor {
  return typeof exponent === 'number' ? powerOf(x, { low: exponent, high: 0 }) : tensorPower(x, exponent);
}
