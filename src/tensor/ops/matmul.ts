/** Matrix multiplication with its epilogue. */

import { DtypeError, ShapeError } from '../../errors.ts';
import { type Activation, activations } from '../../kernels/activations.ts';
import { type Slot, shifted } from '../../kernels/launch.ts';
import { type MatmulLaunch, matmul as matmulKernel } from '../../kernels/matmul.ts';
import { unaryGradient } from '../../kernels/pointwise.ts';
import { checkChoice, checkOptions, type OptionNames } from '../../options.ts';
import { withAutocast } from '../autocast.ts';
import { defineOp, type InputSpecs, type Needs, type Saved } from '../op.ts';
import { float16Copy } from '../parameters.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../shape.ts';
import type { Gradients } from '../tape.ts';
import type { Tensor } from '../tensor.ts';
import { sumTo } from './reduction.ts';

export interface MatmulOptions {
  /** Read a as its transpose (the last two dimensions). */
  transposeA?: boolean;
  transposeB?: boolean;
}

const matmulOptionNames: OptionNames<MatmulOptions> = { transposeA: true, transposeB: true };

interface Inputs extends Readonly<Record<string, Tensor | undefined>> {
  a: Tensor;
  b: Tensor;
  bias?: Tensor | undefined;
}

interface Plan {
  m: number;
  n: number;
  k: number;
  /** Matrices multiplied; 1 where the batch of a folds into its rows. */
  batch: number;
  shape: number[];
  sharedB: boolean;
}

function describe({ a, b }: Inputs, { transposeA, transposeB }: MatmulOptions): string {
  return `a ${formatShape(a.shape)}${transposeA ? 'ᵀ' : ''} · b ${formatShape(b.shape)}${transposeB ? 'ᵀ' : ''}`;
}

/** @internal The product's sizes. Throws `ShapeError` where the shapes do not fit. */
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
      {
        remedy: `it must be [${n}]`,
      },
    );
  }
  const matrices = sizeOf(lead);
  const shape = [...lead, m, n];
  if (sharedB && !transposeA) return { m: m * matrices, n, k, batch: 1, shape, sharedB };
  return { m, n, k, batch: matrices, shape, sharedB };
}

/**
 * @internal What matmul's kernels read as b beside this a: b itself, or the float16 copy of a float32 weight;
 * whoever asks disposes of it.
 */
export function operandB({ a, b }: Inputs): Tensor {
  if (a.dtype === b.dtype) return b.alias();
  if (a.dtype === 'float16' && b.dtype === 'float32' && b.isLeaf) return float16Copy(b).alias();
  throw new DtypeError(`matmul: a is ${a.dtype}, b ${b.dtype}`, {
    remedy: 'give them one type with to(); only weights may be float32 beside float16',
  });
}

// The options of kernels are written out field by field: V8 makes a literal of several spreads slowly, and a
// class of objects for each.

function launchOptions(
  { a, bias }: Inputs,
  operand: Tensor,
  y: Tensor,
  plan: Plan,
  { transposeA = false, transposeB = false }: MatmulOptions,
): MatmulLaunch {
  const { m, n, k, batch, sharedB } = plan;
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

/** @internal What else the kernel does with an element of the result. */
export type Epilogue = Pick<MatmulLaunch, 'activation' | 'preactivation'>;

/** @internal da, in the shape of a as it is stored; the epilogue, if any, is that of its kernel. */
export function gradientA(
  dy: Tensor,
  b: Tensor,
  shape: Shape,
  plan: Plan,
  options: MatmulOptions,
  epilogue?: Epilogue,
): Tensor {
  const { m, n, k, batch, sharedB } = plan;
  const da = dy.device.raw(shape, dy.dtype);
  const swap = options.transposeA ?? false;
  const transposeB = options.transposeB ?? false;
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
 * Fills db, of b's shape as it is stored, and returns it; summed over the batch where b is shared. Where dy's
 * columns can be summed on the way (see `sumsAlong`) they fill `dbias`.
 */
function gradientB(
  dy: Tensor,
  a: Tensor,
  db: Tensor,
  plan: Plan,
  options: MatmulOptions,
  dbias?: Tensor,
): Tensor {
  const { m, n, k, batch, sharedB } = plan;
  const transposeA = options.transposeA ?? false;
  const run = (aSlot: Slot, dySlot: Slot, matrices: number, accumulate: boolean): void => {
    const swap = options.transposeB ?? false;
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

/**
 * Whether the product that gives db has dyᵀ on its left, in one piece: the sums of its rows are then the
 * bias' gradient.
 */
function sumsAlong({ batch }: Plan, { transposeB = false }: MatmulOptions): boolean {
  return transposeB && batch === 1;
}

/**
 * @internal Gradients of a, b and bias by these names, as far as they are needed; a is the product's input,
 * operand what its kernel read as b.
 */
export function productGradients(
  dy: Tensor,
  { a, operand: b }: Saved,
  needs: Needs,
  options: MatmulOptions,
  { shape, gradient }: Pick<InputSpecs, 'shape' | 'gradient'>,
): Gradients {
  const plan = planOf({ a: a!, b: b! }, options);
  const along = needs.bias === true && needs.b === true && sumsAlong(plan, options);
  const alone = needs.bias === true && !along;
  const bias = along ? gradient('bias') : alone ? sumTo(dy, shape('bias')) : undefined;
  return {
    a: needs.a ? gradientA(dy, b!, shape('a'), plan, options) : undefined,
    b: needs.b ? gradientB(dy, a!, gradient('b'), plan, options, along ? bias : undefined) : undefined,
    bias,
  };
}

const matmulOp = defineOp<Inputs, MatmulOptions>({
  name: 'matmul',
  dtypes: { b: 'any' },
  halves: ['a'],
  shape: (inputs, options) => ({ shape: planOf(inputs, options).shape, dtype: inputs.a.dtype }),
  forward: (inputs, y, options) => {
    const operand = operandB(inputs);
    matmulKernel(y.device.gpu, launchOptions(inputs, operand, y, planOf(inputs, options), options));
    return { operand };
  },
  saves: ['a', 'operand'],
  backward: (dy, { a, operand }, needs, options, inputs) =>
    productGradients(dy, { a, operand }, needs, options, inputs),
});

/** @internal A linear layer's product: a is its input, b its weight. */
export const LINEAR: MatmulOptions = { transposeB: true };

/**
 * @internal y = activation(x · weightᵀ + bias). Returns the weight as the kernel read it, and what the
 * activation was given where that is `recorded`.
 */
export function linearForward(
  { x, weight, bias }: { x: Tensor; weight: Tensor; bias?: Tensor | undefined },
  y: Tensor,
  activation: Activation,
  recorded: boolean,
): Record<string, Tensor> {
  const { device } = y;
  const inputs = { a: x, b: weight, bias };
  const operand = operandB(inputs);
  const preactivation = recorded ? device.raw(y.shape, y.dtype) : undefined;
  matmulKernel(device.gpu, {
    ...launchOptions(inputs, operand, y, planOf(inputs, LINEAR), LINEAR),
    activation,
    preactivation: preactivation && { slot: preactivation.slot, use: 'store' },
  });
  return preactivation === undefined ? { operand } : { operand, preactivation };
}

const linearActivationOp = defineOp<Inputs, Activation>({
  name: 'linearActivation',
  dtypes: { b: 'any' },
  halves: ['a'],
  shape: (inputs) => ({ shape: planOf(inputs, LINEAR).shape, dtype: inputs.a.dtype }),
  forward: ({ a, b, bias }, y, activation, recorded) =>
    linearForward({ x: a, weight: b, bias }, y, activation, recorded),
  saves: ['a', 'operand', 'preactivation'],
  backward: (dy, { a, operand, preactivation }, needs, activation, inputs) => {
    const { device } = dy;
    const inner = device.raw(dy.shape, dy.dtype);
    const slots = { x: preactivation!.slot, dy: dy.slot, y: inner.slot };
    unaryGradient(device.gpu, { ...slots, count: dy.size, activation });
    const gradients = productGradients(inner, { a, operand }, needs, LINEAR, inputs);
    inner.dispose();
    return gradients;
  },
});

/**
 * op(a) · op(b) over the last two dimensions. Leading dimensions of both must be equal; a b of two dimensions
 * is shared. Both are float32, or float16 as is the result; a float16 a may meet a float32 leaf b, a weight,
 * which is then rounded to float16. Throws `ShapeError` naming both shapes, `DtypeError` naming both types.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  checkOptions('matmul', options, matmulOptionNames);
  return withAutocast(a, (left) =>
    // A weight has its copy in float16; any other b is cast as a is.
    b.isLeaf
      ? matmulOp({ a: left, b }, options)
      : withAutocast(b, (right) => matmulOp({ a: left, b: right }, options)),
  );
}

/**
 * activation(x · weightᵀ + bias): x [..., in], weight [out, in], bias [out] → [..., out]. The activation is
 * part of the matmul's kernel; its derivative is not: see `feedForward`. x may be float16 beside float32
 * weights; so is the result then.
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor, activation: Activation = 'none'): Tensor {
  checkChoice('linear: the activation', activation, activations);
  return withAutocast(x, (a) => {
    const inputs = { a, b: weight, bias };
    return activation === 'none' ? matmulOp(inputs, LINEAR) : linearActivationOp(inputs, activation);
  });
}
