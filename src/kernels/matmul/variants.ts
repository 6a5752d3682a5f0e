/**
 * The variants of the techniques' shaders: one for each way that operands are stored and results are used.
 */
import { cached } from '../../cached.ts';
import { GpuError } from '../../errors.ts';
import { type Dtype, floatDtypeOf, floatDtypes, wgslTypes } from '../../gpu/dtype.ts';
import { type Activation, activations } from '../activations.ts';
import { type KernelVariant, kernel } from '../launch.ts';
import { addParts, type MatmulTechnique } from './techniques.ts';

const flags = [false, true] as const;
const vectors = [false, true, 2] as const;
const types = floatDtypes.map((dtype) => wgslTypes[dtype]);

/** Uses of the activation's input: none; stored beside c; or read, and c multiplied by the slope there. */
const preactivations = ['none', 'store', 'slope'] as const;
export type Preactivation = (typeof preactivations)[number];

/** Defines that a product's layout and epilogue decide, with the values each may have. */
const sideValues = {
  TRANSPOSE_A: flags,
  TRANSPOSE_B: flags,
  /**
   * Every row of the operand begins on a multiple of four elements and has a multiple of four. 2: a round of
   * the technique takes two of k, which a load holds.
   */
  VEC_A: vectors,
  VEC_B: vectors,
  VEC_C: flags,
  /** The inner dimension is not a multiple of what a round of the technique takes. */
  TAIL_K: flags,
  /** The sums of op(A)'s rows are wanted too; with TRANSPOSE_A only. */
  SUM_A: flags,
  /** Adds to what c and the sums hold. */
  ACCUMULATE: flags,
  /** Types of the operands, and of c. */
  T: types,
  T_C: types,
  ACTIVATION: activations,
  PREACTIVATION: preactivations,
} as const;

export type MatmulSides = { [S in keyof typeof sideValues]: (typeof sideValues)[S][number] };

const sideNames = Object.keys(sideValues) as (keyof MatmulSides)[];

/**
 * A number for each combination of sides: names of variants are long, and a step asks for hundreds of them.
 */
function sidesKey(sides: MatmulSides): number {
  let key = 0;
  for (const name of sideNames) {
    const values: readonly unknown[] = sideValues[name];
    key = key * values.length + values.indexOf(sides[name]);
  }
  return key;
}

/**
 * Variants made so far, by the technique's defines (a split technique has those of the whole one) and
 * `sidesKey`.
 */
const made = new Map<object, Map<number, KernelVariant>>();

/** The variant of a technique. Throws `GpuError` if its matrices would round the operands. */
export function matmulVariant(technique: MatmulTechnique, sides: MatmulSides): KernelVariant {
  const { shader, defines } = technique;
  if (defines.COMPONENT === 'f16' && sides.T === 'f32')
    throw new GpuError(`${shader}: matrices of float16 would round operands of float32`);
  const known = cached(made, defines, () => new Map());
  return cached(known, sidesKey(sides), () => kernel(shader, { ...defines, ...sides }));
}

/** Matrices in memory: elements before the first one, from row to row, and from matrix to matrix. */
export interface Layout {
  offset: number;
  stride: number;
  batch: number;
}

/** A product as far as its variant depends on it. */
export interface ProductLayout {
  transposeA: boolean;
  transposeB: boolean;
  a: Layout & Typed;
  b: Layout & Typed;
  c: Layout & Typed;
  m: number;
  n: number;
  k: number;
  epilogue: {
    accumulate: boolean;
    activation: Activation;
    preactivation?: { use: Preactivation } | undefined;
    sums?: object | undefined;
  };
}

interface Typed {
  slot: { readonly dtype?: Dtype | undefined };
}

/** Whether rows of `size` elements are whole four-vectors. */
function wholeVectors({ offset, stride, batch }: Layout, size: number): boolean {
  return ((offset | stride | batch | size) & 3) === 0;
}

/** The sides that c and the epilogue decide. */
function resultSides({ c, n, epilogue }: ProductLayout) {
  return {
    VEC_C: wholeVectors(c, n),
    SUM_A: epilogue.sums !== undefined,
    ACCUMULATE: epilogue.accumulate,
    T_C: wgslTypes[floatDtypeOf(c.slot)],
    ACTIVATION: epilogue.activation,
    PREACTIVATION: epilogue.preactivation?.use ?? 'none',
  };
}

/** The variant for a product, or for the parts of one. */
export function productVariant(technique: MatmulTechnique, product: ProductLayout): KernelVariant {
  const { transposeA, transposeB, a, b, m, n, k } = product;
  const alongK = technique.step === 2 ? 2 : true;
  return matmulVariant(technique, {
    TRANSPOSE_A: transposeA,
    TRANSPOSE_B: transposeB,
    VEC_A: wholeVectors(a, transposeA ? m : k) && (transposeA || alongK),
    VEC_B: wholeVectors(b, transposeB ? k : n) && (!transposeB || alongK),
    TAIL_K: k % technique.step !== 0,
    T: wgslTypes[floatDtypeOf(a.slot)],
    ...resultSides(product),
  });
}

/**
 * The variant that adds up a product's parts, [parts, m, n], and the sums of a's rows in them, [parts, m].
 */
export function partsVariant(product: ProductLayout): KernelVariant {
  const { m, n } = product;
  return matmulVariant(addParts, {
    TRANSPOSE_A: true,
    TRANSPOSE_B: false,
    VEC_A: n % 4 === 0,
    VEC_B: m % 4 === 0,
    TAIL_K: false,
    T: 'f32',
    ...resultSides(product),
  });
}
