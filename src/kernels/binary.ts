/** Launchers for elementwise kernels of two tensors, and of three. */
import { sizeOf } from '../arrays.ts';
import type { GpuContext } from '../gpu/context.ts';
import { byDtype, floatDtypeOf } from '../gpu/dtype.ts';
import type { Defines } from '../gpu/wgsl.ts';
import { bothWidths, eachElement, fitting, isContiguous, stridedScalars, type Widths } from './elements.ts';
import {
  type KernelVariant,
  kernel,
  launch,
  loopGrid,
  rowWindows,
  type Slot,
  slice,
  windows,
} from './launch.ts';

/** Variants for one type of element, by how the tensors are read. */
interface Layouts {
  readonly same: Widths;
  readonly suffix: Widths;
  /** Number by number, and so without variants by four-vectors. */
  readonly strided: KernelVariant;
}

const layouts = (defines: Defines): Layouts => ({
  same: bothWidths('binary', { LAYOUT: 'same', ...defines }),
  suffix: bothWidths('binary', { LAYOUT: 'suffix', ...defines }),
  strided: kernel('binary', { LAYOUT: 'strided', ...defines, WIDTH: 1 }),
});
const arithmetic = (OP: string) => byDtype((T) => layouts({ FORM: 'arithmetic', OP, T }));
const pairFunction = (OP: string) => byDtype((T) => layouts({ FORM: 'function', OP, T }));
const binaries = {
  add: arithmetic('+'),
  sub: arithmetic('-'),
  mul: arithmetic('*'),
  div: arithmetic('/'),
  maximum: pairFunction('maximum'),
  minimum: pairFunction('minimum'),
  /** The part of maximum's gradient that a gets. */
  maximumShare: pairFunction('maximum_share'),
  /** 1 if both are equal, or NaN, else 0. */
  same: pairFunction('same'),
  pow: pairFunction('pow_of'),
  /** The derivatives of pow by its base, and by its exponent. */
  powSlope: pairFunction('slope_of_pow'),
  powExponentSlope: pairFunction('exponent_slope_of_pow'),
};
export type BinaryOperator = keyof typeof binaries;

const comparison = (OP: string) => {
  const defines = { FORM: 'comparison', OP, UNORDERED: OP === '!=' ? 'true' : 'false' };
  return { ...byDtype((T) => layouts({ ...defines, T })), int32: layouts({ ...defines, T: 'i32' }) };
};
const comparisons = {
  eq: comparison('=='),
  ne: comparison('!='),
  lt: comparison('<'),
  le: comparison('<='),
  gt: comparison('>'),
  ge: comparison('>='),
};
export type Comparison = keyof typeof comparisons;

/** The variants of an operator for a slot's type. */
function variantsOf(operator: BinaryOperator | Comparison, slot: Slot): Layouts {
  const compared = operator in comparisons ? comparisons[operator as Comparison] : null;
  if (compared !== null && slot.dtype === 'int32') return compared.int32;
  return (compared ?? binaries[operator as BinaryOperator])[floatDtypeOf(slot)];
}

export interface BinaryLaunch {
  a: Slot;
  b: Slot;
  /** Of a's type; of a comparison int32. */
  c: Slot;
  operator: BinaryOperator | Comparison;
  /**
   * The result's shape, at most six dimensions, and how a and b are read over it: strides in elements, 0
   * where repeated.
   */
  shape: readonly number[];
  stridesA: readonly number[];
  stridesB: readonly number[];
}

/** The number of elements after which b repeats, if b has the shape's last dimensions; else 0. */
function suffixPeriod(shape: readonly number[], strides: readonly number[]): number {
  let d = shape.length;
  let period = 1;
  while (d > 0 && (shape[d - 1] === 1 || strides[d - 1] === period)) {
    d -= 1;
    period *= shape[d]!;
  }
  return shape.slice(0, d).every((size, at) => size === 1 || strides[at] === 0) ? period : 0;
}

/** c = a (operator) b with broadcasting; a comparison gives 1 or 0. Integers can only be compared. */
export function binary(gpu: GpuContext, options: BinaryLaunch): void {
  const { a, b, c, operator, shape, stridesA, stridesB } = options;
  const { same, suffix, strided } = variantsOf(operator, a);
  const count = sizeOf(shape);
  const plainA = isContiguous(shape, stridesA);
  if (plainA && isContiguous(shape, stridesB)) {
    const scalars = (elements: number) => ({ uints: [elements, elements] });
    eachElement(gpu, same, [a, b, c], count, scalars);
    return;
  }
  const period = suffixPeriod(shape, stridesB);
  if (plainA && period > 0) {
    const { variant, width } = fitting(suffix, period);
    for (const w of rowWindows(gpu, count / period, period)) {
      const elements = (w.count * period) / width;
      const slots = [slice(a, w, period), b, slice(c, w, period)];
      launch(gpu, variant, slots, { uints: [elements, period / width] }, loopGrid(gpu, elements));
    }
    return;
  }
  const scalars = stridedScalars(shape, stridesA, stridesB);
  for (const w of windows(gpu, count)) {
    const uints = [w.count, w.first, ...scalars];
    launch(gpu, strided, [a, b, slice(c, w)], { uints }, loopGrid(gpu, w.count));
  }
}

const whereKernels = byDtype((T) => ({
  same: bothWidths('where', { LAYOUT: 'same', T }),
  strided: kernel('where', { LAYOUT: 'strided', T, WIDTH: 1 }),
}));

export interface WhereLaunch {
  /** int32. */
  condition: Slot;
  /** Of one type, any. */
  a: Slot;
  b: Slot;
  y: Slot;
  /** The result's shape, at most six dimensions, and how the others are read over it, as in `BinaryLaunch`. */
  shape: readonly number[];
  strides: readonly [condition: readonly number[], a: readonly number[], b: readonly number[]];
}

/** y = a if the condition is not zero, else b, with broadcasting. */
export function where(gpu: GpuContext, { condition, a, b, y, shape, strides }: WhereLaunch): void {
  const { same, strided } = whereKernels[floatDtypeOf(y)];
  const count = sizeOf(shape);
  if (strides.every((one) => isContiguous(shape, one))) {
    eachElement(gpu, same, [condition, a, b, y], count, (elements) => ({ uints: [elements] }));
    return;
  }
  const scalars = stridedScalars(shape, ...strides);
  for (const w of windows(gpu, count)) {
    const slots = [condition, a, b, slice(y, w)];
    launch(gpu, strided, slots, { uints: [w.count, w.first, ...scalars] }, loopGrid(gpu, w.count));
  }
}
