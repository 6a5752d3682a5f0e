/**
 * Launchers for elementwise kernels. Each walks its tensors in windows, so no tensor is too large to bind.
 */
import { sizeOf } from '../arrays.ts';
import type { GpuContext } from '../gpu/context.ts';
import { byDtype, type FloatDtype, floatDtypeOf, type WgslType } from '../gpu/dtype.ts';
import type { Scalars } from '../gpu/recorder.ts';
import type { Defines } from '../gpu/wgsl.ts';
import { type Activation, activations } from './activations.ts';
import {
  ALIGNED,
  elementGrid,
  type KernelVariant,
  kernel,
  launch,
  loopGrid,
  rowWindows,
  type Slot,
  shifted,
  slice,
  type Window,
  windows,
} from './launch.ts';

/** Variants of an elementwise kernel: number by number, and by four-vectors. */
interface Widths {
  readonly single: KernelVariant;
  readonly vectors: KernelVariant;
}

/** The same for each type of element. */
type Family = Readonly<Record<FloatDtype, Widths>>;

const VECTOR = 4;

function bothWidths(shader: string, defines: Defines): Widths {
  return {
    single: kernel(shader, { ...defines, WIDTH: 1 }),
    vectors: kernel(shader, { ...defines, WIDTH: VECTOR }),
  };
}

/** @internal Variants by type and width. */
export function family(shader: string, defines: Defines = {}): Family {
  return byDtype((T) => bothWidths(shader, { ...defines, T }));
}

/**
 * @internal The variant for a slot's type, and how many numbers it reads at once: four if that divides every
 * count.
 */
export function fitting(
  variants: Family,
  slot: Slot,
  ...counts: number[]
): { variant: KernelVariant; width: number } {
  const { single, vectors } = variants[floatDtypeOf(slot)];
  return counts.every((count) => count % VECTOR === 0)
    ? { variant: vectors, width: VECTOR }
    : { variant: single, width: 1 };
}

/**
 * Runs a kernel over tensors of `count` elements each; the first one's type decides the variant.
 * `scalarsOf` gets the elements of a window, in numbers or four-vectors as the variant reads them.
 */
function eachElement(
  gpu: GpuContext,
  variants: Family,
  slots: readonly [Slot, ...Slot[]],
  count: number,
  scalarsOf: (elements: number, window: Window) => Scalars,
): void {
  const { variant, width } = fitting(variants, slots[0], count);
  for (const w of windows(gpu, count)) {
    const elements = w.count / width;
    const ranges = slots.map((slot) => slice(slot, w));
    launch(gpu, variant, ranges, scalarsOf(elements, w), loopGrid(gpu, elements));
  }
}

const unaryKernels = (BACKWARD: boolean) =>
  Object.fromEntries(
    activations.map((ACTIVATION) => [ACTIVATION, family('unary', { BACKWARD, ACTIVATION })]),
  ) as Record<Activation, Family>;
const unaryForward = unaryKernels(false);
const unaryBackward = unaryKernels(true);

export interface UnaryLaunch {
  x: Slot;
  dy?: Slot;
  y: Slot;
  count: number;
  activation: Activation;
  scale?: number;
  shift?: number;
}

/** y = activation(scale · x + shift); or, if there is a `dy`, dy times the derivative by x. */
export function unary(gpu: GpuContext, options: UnaryLaunch): void {
  const { x, dy, y, count, activation, scale = 1, shift = 0 } = options;
  const scalars = (elements: number) => ({ uints: [elements], floats: [scale, shift] });
  if (dy === undefined) eachElement(gpu, unaryForward[activation], [x, y], count, scalars);
  else eachElement(gpu, unaryBackward[activation], [x, dy, y], count, scalars);
}

const binaryKernels = (OP: string) => ({
  same: family('binary', { LAYOUT: 'same', OP }),
  suffix: family('binary', { LAYOUT: 'suffix', OP }),
  /** Number by number, and so without variants by four-vectors. */
  strided: byDtype((T) => kernel('binary', { LAYOUT: 'strided', OP, T, WIDTH: 1 })),
});
const binaries = {
  add: binaryKernels('+'),
  sub: binaryKernels('-'),
  mul: binaryKernels('*'),
  div: binaryKernels('/'),
};
export type BinaryOperator = keyof typeof binaries;

export interface BinaryLaunch {
  a: Slot;
  b: Slot;
  c: Slot;
  operator: BinaryOperator;
  /**
   * The result's shape, at most six dimensions, and how a and b are read over it: strides in elements, 0
   * where repeated.
   */
  shape: readonly number[];
  stridesA: readonly number[];
  stridesB: readonly number[];
}

/** Most dimensions a strided kernel walks. */
export const MAX_STRIDED_RANK = 6;

/** (size, strides…) of each dimension, last first, padded with size 1. */
function stridedScalars(shape: readonly number[], ...strides: readonly (readonly number[])[]): number[] {
  const out: number[] = [];
  for (let d = 0; d < MAX_STRIDED_RANK; d += 1) {
    const at = shape.length - 1 - d;
    out.push(at < 0 ? 1 : shape[at]!, ...strides.map((s) => (at < 0 ? 0 : s[at]!)));
  }
  return out;
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d -= 1) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d]!;
  }
  return true;
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

/** c = a (operator) b with broadcasting. */
export function binary(gpu: GpuContext, options: BinaryLaunch): void {
  const { a, b, c, operator, shape, stridesA, stridesB } = options;
  const kernels = binaries[operator];
  const count = sizeOf(shape);
  const plainA = isContiguous(shape, stridesA);
  if (plainA && isContiguous(shape, stridesB)) {
    const scalars = (elements: number) => ({ uints: [elements, elements] });
    eachElement(gpu, kernels.same, [a, b, c], count, scalars);
    return;
  }
  const period = suffixPeriod(shape, stridesB);
  if (plainA && period > 0) {
    const { variant, width } = fitting(kernels.suffix, a, period);
    for (const w of rowWindows(gpu, count / period, period)) {
      const elements = (w.count * period) / width;
      const slots = [slice(a, w, period), b, slice(c, w, period)];
      launch(gpu, variant, slots, { uints: [elements, period / width] }, loopGrid(gpu, elements));
    }
    return;
  }
  const strided = stridedScalars(shape, stridesA, stridesB);
  const variant = kernels.strided[floatDtypeOf(a)];
  for (const w of windows(gpu, count)) {
    const uints = [w.count, w.first, ...strided];
    launch(gpu, variant, [a, b, slice(c, w)], { uints }, loopGrid(gpu, w.count));
  }
}

const addKernels = family('inplace', { OP: 'add', WIDE: false });
/** Of a float16 x to a float32 y. */
const addWideKernels = bothWidths('inplace', { OP: 'add', WIDE: true, T: 'f16' });
const fillKernel = kernel('inplace', { OP: 'fill', WIDE: false, T: 'f32', WIDTH: 1 });

/** y += scale · x, both of one type, or x float16 and y float32. */
export function addInPlace(
  gpu: GpuContext,
  { x, y, count, scale = 1 }: { x: Slot; y: Slot; count: number; scale?: number },
): void {
  const variants = floatDtypeOf(y) === 'float16' ? addKernels : { ...addKernels, float16: addWideKernels };
  eachElement(gpu, variants, [x, y], count, (elements) => ({ uints: [elements, 0], floats: [scale] }));
}

/** Sets every four-byte element to `bits`. */
export function fillBits(
  gpu: GpuContext,
  { y, count, bits }: { y: Slot; count: number; bits: number },
): void {
  for (const w of windows(gpu, count)) {
    launch(gpu, fillKernel, [slice(y, w)], { uints: [w.count, bits], floats: [0] }, loopGrid(gpu, w.count));
  }
}

const dropoutKernels = family('dropout');

/** Key of a dropout mask: the same key gives the same mask. */
export interface DropoutKey {
  seed: number;
  stream: number;
  p: number;
}

/** An element is dropped if its 32 random bits are below this. */
export function dropoutThreshold(p: number): number {
  return Math.min(Math.round(p * 2 ** 32), 2 ** 32 - 1);
}

/** y = x · mask / (1 − p); on dy it is its own backward. */
export function dropout(
  gpu: GpuContext,
  options: { x: Slot; y: Slot; count: number; key: DropoutKey },
): void {
  const { x, y, count, key } = options;
  eachElement(gpu, dropoutKernels, [x, y], count, (elements, w) => ({
    uints: [elements, key.seed, key.stream, dropoutThreshold(key.p), w.first],
    floats: [1 / (1 - key.p)],
  }));
}

const normalKernel = kernel('random', { NORMAL: true, CUT: false });
const cutKernel = kernel('random', { NORMAL: true, CUT: true });
const uniformKernel = kernel('random', { NORMAL: false, CUT: false });

export interface RandomLaunch {
  y: Slot;
  count: number;
  seed: number;
  stream: number;
  distribution: 'normal' | 'uniform';
  /** Mean, or lower end. */
  low: number;
  /** Standard deviation, or width. */
  width: number;
  /** Normal numbers further from the mean are drawn again, in standard deviations. Default: none are. */
  cutoff?: number | undefined;
}

export function fillRandom(gpu: GpuContext, options: RandomLaunch): void {
  const { y, count, seed, stream, distribution, low, width, cutoff } = options;
  const normal = cutoff === undefined ? normalKernel : cutKernel;
  const variant = distribution === 'normal' ? normal : uniformKernel;
  for (const w of windows(gpu, count)) {
    const scalars = { uints: [w.count, seed, stream, w.first], floats: [low, width, cutoff ?? 0] };
    launch(gpu, variant, [slice(y, w)], scalars, elementGrid(w.count));
  }
}

const copyKernels = byDtype((T) => kernel('strided_copy', { T }));

export interface StridedCopyLaunch {
  source: Slot;
  target: Slot;
  /** The box copied, at most six dimensions; strides and offsets in elements. */
  shape: readonly number[];
  sourceStrides: readonly number[];
  targetStrides: readonly number[];
  sourceOffset?: number;
  targetOffset?: number;
}

export function stridedCopy(gpu: GpuContext, options: StridedCopyLaunch): void {
  const { source, target, shape, sourceStrides, targetStrides, sourceOffset = 0, targetOffset = 0 } = options;
  const count = sizeOf(shape);
  const uints = [count, sourceOffset, targetOffset, ...stridedScalars(shape, sourceStrides, targetStrides)];
  launch(gpu, copyKernels[floatDtypeOf(source)], [source, target], { uints }, elementGrid(count));
}

const casts = (FROM: WgslType, TO: WgslType): Widths => ({
  single: kernel('cast', { FROM, TO, VEC: false }),
  vectors: kernel('cast', { FROM, TO, VEC: true }),
});
const castKernels: Family = { float32: casts('f32', 'f16'), float16: casts('f16', 'f32') };

/**
 * y = x in the other type, float16 or float32, from element `at` of y on. A value too large for float16
 * becomes infinite.
 */
export function cast(
  gpu: GpuContext,
  { x, y, count, at = 0 }: { x: Slot; y: Slot; count: number; at?: number },
): void {
  const { variant, width } = fitting(castKernels, x, count, at);
  // Elements between the last offset at which a binding may begin and `at`.
  const rest = at % ALIGNED;
  for (const w of windows(gpu, count)) {
    const target = w.whole ? y : slice(shifted(y, at - rest), { ...w, count: w.count + rest });
    const elements = w.count / width;
    const uints = [elements, (w.whole ? at : rest) / width];
    launch(gpu, variant, [slice(x, w), target], { uints }, loopGrid(gpu, elements));
  }
}
