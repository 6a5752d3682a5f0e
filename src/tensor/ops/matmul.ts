/** Matrix products, with bias and activation in their epilogue. */

import { DtypeError, ShapeError } from '../../errors.ts';
import { type Activation, activations } from '../../kernels/activations.ts';
import { type Slot, shifted } from '../../kernels/launch.ts';
import { type MatmulLaunch, matmul as matmulKernel } from '../../kernels/matmul/matmul.ts';
import { cast, unary } from '../../kernels/pointwise.ts';
import { checkChoice, checkOptions } from '../../options.ts';
import { withAutocast, withAutocastOperand } from '../autocast.ts';
import { type BackwardContext, defineOp } from '../op.ts';
import { float16Copy } from '../parameters.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../shape.ts';
import type { Dtype, Tensor } from '../tensor.ts';
import { sumTo } from './reduction.ts';

export interface MatmulOptions {
  /** Read a with its last two dimensions swapped. */
  transposeA?: boolean;
  transposeB?: boolean;
}

interface Inputs {
  a: Tensor;
  b: Tensor;
  bias?: Tensor | undefined;
}

interface Plan {
  m: number;
  n: number;
  k: number;
  /** Number of products; 1 if the batch of a folds into its rows. */
  batch: number;
  shape: number[];
  sharedB: boolean;
  transposeA: boolean;
  transposeB: boolean;
}

function describe({ a, b }: Inputs, { transposeA, transposeB }: MatmulOptions): string {
  return `a ${formatShape(a.shape)}${transposeA ? 'ᵀ' : ''} · b ${formatShape(b.shape)}${transposeB ? 'ᵀ' : ''}`;
}

/** @internal The product's sizes. Throws `ShapeError` if the shapes do not fit. */
export function planOf(inputs: Inputs, options: MatmulOptions): Plan {
  const { a, b, bias } = inputs;
  const { transposeA = false, transposeB = false } = options;
  if (a.rank < 2 || b.rank < 2)
    throw new ShapeError(`matmul: both sides need two dimensions: ${describe(inputs, options)}`);
  const [aRows, aCols] = [a.shape.at(-2)!, a.shape.at(-1)!];
  const [bRows, bCols] = [b.shape.at(-2)!, b.shape.at(-1)!];
  const [m, k] = transposeA ? [aCols, aRows] : [aRows, aCols];
  const [inner, n] = transposeB ? [bCols, bRows] : [bRows, bCols];
  if (k !== inner) {
    const flipped = transposeB ? bRows : bCols;
    const remedy =
      flipped === k ? `pass transposeB: ${!transposeB}?` : 'the last dimension of a must be the first of b';
    throw new ShapeError(`matmul: inner dimensions differ: ${describe(inputs, options)}`, { remedy });
  }
  const lead = a.shape.slice(0, -2);
  const sharedB = b.rank === 2;
  if (!sharedB && !sameShape(lead, b.shape.slice(0, -2)))
    throw new ShapeError(`matmul: batch dimensions differ: ${describe(inputs, options)}`);
  if (bias !== undefined && !sameShape(bias.shape, [n])) {
    throw new ShapeError(
      `matmul: bias ${formatShape(bias.shape)} does not fit ${describe(inputs, options)}`,
      { remedy: `it must be [${n}]` },
    );
  }
  const matrices = sizeOf(lead);
  const shape = [...lead, m, n];
  const flags = { sharedB, transposeA, transposeB };
  if (sharedB && !transposeA) return { m: m * matrices, n, k, batch: 1, shape, ...flags };
  return { m, n, k, batch: matrices, shape, ...flags };
}

/**
 * @internal The tensor that a product with this a needs of b: b itself, or the float16 copy of a float32 weight.
 * The caller disposes of it. Kernels read it as `asRead` gives it.
 */
export function operandB({ a, b }: Inputs): Tensor {
  const frozen = b.isLeaf && !b.requiresGrad;
  if (a.dtype === b.dtype || (a.dtype === 'float32' && b.dtype === 'float16' && frozen)) return b.alias();
  if (a.dtype === 'float16' && b.dtype === 'float32' && b.isLeaf) return float16Copy(b).alias();
  throw new DtypeError(`matmul: a is ${a.dtype}, b ${b.dtype}`, {
    remedy:
      'give them one type with to(); only weights may be of another type, float16 ones if they are frozen',
  });
}

/**
 * @internal Runs `use` on an operand in the type of the other one: a frozen float16 weight is widened for one
 * product at a time, so that only float16 stays in memory.
 */
export function asRead<T>(operand: Tensor, dtype: Dtype, use: (operand: Tensor) => T): T {
  if (operand.dtype === dtype) return use(operand);
  const { device, shape, size } = operand;
  const wide = device.raw(shape, dtype);
  cast(device.gpu, { x: operand.slot, y: wide.slot, count: size });
  const result = use(wide);
  wide.dispose();
  return result;
}

// Launch options are written out field by field: V8 is slow at literals of several spreads and gives each a
// hidden class of its own.

function launchOptions({ a, bias }: Inputs, operand: Tensor, y: Tensor, plan: Plan): MatmulLaunch {
  const { m, n, k, batch, sharedB, transposeA, transposeB } = plan;
  return {
    a: a.slot,
    b: operand.slot,
    bias: bias?.slot,
    c: y.slot,
    m,
    n,
    k,
    batch,
    batchStrideB: sharedB ? 0 : undefined,
    transposeA,
    transposeB,
  };
}

/** @internal The kernel's further work on each element of the result. */
export type Epilogue = Pick<MatmulLaunch, 'activation' | 'preactivation'>;

/** @internal Computes da in the stored shape of a; `epilogue` is applied to da. */
export function gradientA(dy: Tensor, b: Tensor, shape: Shape, plan: Plan, epilogue?: Epilogue): Tensor {
  const { m, n, k, batch, sharedB, transposeA: swap, transposeB } = plan;
  const da = dy.device.raw(shape, dy.dtype);
  matmulKernel(dy.device.gpu, {
    a: swap ? b.slot : dy.slot,
    b: swap ? dy.slot : b.slot,
    c: da.slot,
    m: swap ? k : m,
    n: swap ? m : k,
    k: n,
    batch,
    batchStrideA: swap && sharedB ? 0 : undefined,
    batchStrideB: !swap && sharedB ? 0 : undefined,
    transposeA: swap && transposeB,
    transposeB: swap || !transposeB,
    ...epilogue,
  });
  return da;
}

/**
 * Fills db, in the stored shape of b, and returns it; sums over the batch if b is shared. Also fills `dbias`,
 * if given, with the sums of dy's columns (`along` below).
 */
function gradientB(dy: Tensor, a: Tensor, db: Tensor, plan: Plan, dbias?: Tensor): Tensor {
  const { m, n, k, batch, sharedB, transposeA, transposeB: swap } = plan;
  const run = (aSlot: Slot, dySlot: Slot, matrices: number, accumulate: boolean): void => {
    matmulKernel(dy.device.gpu, {
      a: swap ? dySlot : aSlot,
      b: swap ? aSlot : dySlot,
      c: db.slot,
      sums: dbias?.slot,
      m: swap ? n : k,
      n: swap ? k : n,
      k: m,
      batch: matrices,
      accumulate,
      transposeA: swap || !transposeA,
      transposeB: swap && transposeA,
    });
  };
  if (!sharedB || batch === 1) {
    run(a.slot, dy.slot, batch, false);
    return db;
  }
  for (let z = 0; z < batch; z += 1) run(shifted(a.slot, z * m * k), shifted(dy.slot, z * m * n), 1, z > 0);
  return db;
}

/** A product in an op's backward: a, the operand of b (`operandB`), and the gradient of its result. */
interface Product<Name extends string> {
  dy: Tensor;
  a: Tensor;
  operand: Tensor;
  options: MatmulOptions;
  /** The op's inputs that receive the gradients; without `a` if the op has no such input. */
  names: { a?: Name; b: Name; bias: Name };
}

/** @internal Computes the gradients of a product's a, b and bias that are needed. */
export function productGradients<Name extends string>(
  { needs, shape, gradient }: Pick<BackwardContext<Name, unknown, unknown>, 'needs' | 'shape' | 'gradient'>,
  { dy, a, operand: b, options, names }: Product<Name>,
): { a: Tensor | undefined; b: Tensor | undefined; bias: Tensor | undefined } {
  const plan = planOf({ a, b }, options);
  // If one product gives db with dyᵀ on its left, the sums of that side's rows are the bias' gradient.
  const along = needs[names.bias] && needs[names.b] && plan.transposeB && plan.batch === 1;
  const alone = needs[names.bias] && !along;
  const bias = along ? gradient(names.bias) : alone ? sumTo(dy, shape(names.bias)) : undefined;
  const wantsA = names.a !== undefined && needs[names.a];
  return {
    a: wantsA ? asRead(b, a.dtype, (read) => gradientA(dy, read, a.shape, plan)) : undefined,
    b: needs[names.b] ? gradientB(dy, a, gradient(names.b), plan, along ? bias : undefined) : undefined,
    bias,
  };
}

const PRODUCT_NAMES = { a: 'a', b: 'b', bias: 'bias' } as const;

const matmulOp = defineOp({
  name: 'matmul',
  inputs: { a: 'float', b: 'any', bias: 'float32?' },
  shape: (inputs, options: MatmulOptions) => ({
    shape: planOf(inputs, options).shape,
    dtype: inputs.a.dtype,
  }),
  forward: (inputs, y, options) => {
    const operand = operandB(inputs);
    asRead(operand, inputs.a.dtype, (read) =>
      matmulKernel(y.device.gpu, launchOptions(inputs, read, y, planOf(inputs, options))),
    );
    return { operand };
  },
  saves: ['a', 'operand'],
  backward: (context) => {
    const { dy, saved, options } = context;
    return productGradients(context, { ...saved, dy, options, names: PRODUCT_NAMES });
  },
});

/** @internal Options of a linear layer's product: a is its input, b its weight. */
export const LINEAR: MatmulOptions = { transposeB: true };

/**
 * @internal Fills y with activation(x · weightᵀ + bias). Returns the weight's operand (`operandB`) and, if
 * `recorded`, the activation's argument.
 */
export function linearForward(
  { x, weight, bias }: { x: Tensor; weight: Tensor; bias?: Tensor | undefined },
  y: Tensor,
  activation: Activation,
  recorded: boolean,
): { operand: Tensor; preactivation?: Tensor } {
  const { device } = y;
  const inputs = { a: x, b: weight, bias };
  const operand = operandB(inputs);
  const preactivation = recorded ? device.raw(y.shape, y.dtype) : undefined;
  asRead(operand, x.dtype, (read) =>
    matmulKernel(device.gpu, {
      ...launchOptions(inputs, read, y, planOf(inputs, LINEAR)),
      activation,
      preactivation: preactivation && { slot: preactivation.slot, use: 'store' },
    }),
  );
  return preactivation === undefined ? { operand } : { operand, preactivation };
}

const linearActivationOp = defineOp({
  name: 'linearActivation',
  inputs: { a: 'float', b: 'any', bias: 'float32?' },
  shape: (inputs, _activation: Activation) => ({
    shape: planOf(inputs, LINEAR).shape,
    dtype: inputs.a.dtype,
  }),
  forward: ({ a, b, bias }, y, activation, recorded) =>
    linearForward({ x: a, weight: b, bias }, y, activation, recorded),
  saves: ['a', 'operand', 'preactivation'],
  backward: (context) => {
    const { dy, saved, options: activation } = context;
    const { a, operand, preactivation } = saved;
    const { device } = dy;
    const inner = device.raw(dy.shape, dy.dtype);
    const slots = { x: preactivation!.slot, dy: dy.slot, y: inner.slot };
    unary(device.gpu, { ...slots, count: dy.size, activation });
    const product = { dy: inner, a, operand, options: LINEAR, names: PRODUCT_NAMES };
    const gradients = productGradients(context, product);
    inner.dispose();
    return gradients;
  },
});

/**
 * a · b over the last two dimensions, each transposed on request. Leading dimensions of both must be equal; a
 * b of two dimensions is shared. Both are float32 or both float16, and so is the result. A leaf b, a weight, may
 * be of another type than a: float32 is rounded to float16, and float16 that needs no gradient is widened.
 * Throws `ShapeError` naming both shapes, `DtypeError` naming both types.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  checkOptions<MatmulOptions>('matmul', options, { transposeA: true, transposeB: true });
  return withAutocast(a, (left) =>
    withAutocastOperand(b, (right) => matmulOp({ a: left, b: right }, options)),
  );
}

/**
 * activation(x · weightᵀ + bias): x [..., in], weight [out, in], bias [out] → [..., out]. The product's
 * kernel applies the activation, but not its derivative (`feedForward` does both). x may be float16 beside
 * float32 weights, or float32 beside frozen float16 ones; the result has the type of x. Throws `ShapeError`,
 * `DtypeError`.
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor, activation: Activation = 'none'): Tensor {
  checkChoice('linear: the activation', activation, activations);
  return withAutocast(x, (a) =>
    withAutocastOperand(weight, (b) => {
      const inputs = { a, b, bias };
      return activation === 'none' ? matmulOp(inputs, LINEAR) : linearActivationOp(inputs, activation);
    }),
  );
}
