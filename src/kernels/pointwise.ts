/**
 * Launchers for elementwise kernels. Each walks its tensors in windows, so no tensor is too large to bind.
 */
import { sizeOf } from '../arrays.ts';
import type { GpuContext } from '../gpu/context.ts';
import { byDtype, floatDtypeOf, type WgslType } from '../gpu/dtype.ts';
import { type Activation, activations, type NumberFunction, numberFunctions } from './activations.ts';
import {
  bothWidths,
  eachElement,
  type Family,
  family,
  fitting,
  stridedScalars,
  type Widths,
} from './elements.ts';
import {
  ALIGNED,
  elementGrid,
  kernel,
  launch,
  loopGrid,
  type Slot,
  shifted,
  slice,
  windows,
} from './launch.ts';

const unaryKernels = (BACKWARD: boolean) =>
  Object.fromEntries(
    [...activations, ...numberFunctions].map((ACTIVATION) => [
      ACTIVATION,
      family('unary', { BACKWARD, ACTIVATION }),
    ]),
  ) as Record<Activation | NumberFunction, Family>;
const unaryForward = unaryKernels(false);
const unaryBackward = unaryKernels(true);

export interface UnaryLaunch {
  x: Slot;
  dy?: Slot;
  y: Slot;
  count: number;
  activation: Activation | NumberFunction;
  scale?: number;
  shift?: number;
  /** The limits of `clamp`; `low` is the exponent of `power`. */
  low?: number;
  high?: number;
}

/** y = activation(scale · x + shift); or, if there is a `dy`, dy times the derivative by x. */
export function unary(gpu: GpuContext, options: UnaryLaunch): void {
  const { x, dy, y, count, activation, scale = 1, shift = 0, low = 0, high = 0 } = options;
  const scalars = (elements: number) => ({ uints: [elements], floats: [scale, shift, low, high] });
  if (dy === undefined) eachElement(gpu, unaryForward[activation][floatDtypeOf(x)], [x, y], count, scalars);
  else eachElement(gpu, unaryBackward[activation][floatDtypeOf(x)], [x, dy, y], count, scalars);
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
  const wide = floatDtypeOf(x) === 'float16' && floatDtypeOf(y) === 'float32';
  eachElement(gpu, wide ? addWideKernels : addKernels[floatDtypeOf(x)], [x, y], count, (elements) => ({
    uints: [elements, 0],
    floats: [scale],
  }));
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
  eachElement(gpu, dropoutKernels[floatDtypeOf(x)], [x, y], count, (elements, w) => ({
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
  const { variant, width } = fitting(castKernels[floatDtypeOf(x)], count, at);
  // Elements between the last offset at which a binding may begin and `at`.
  const rest = at % ALIGNED;
  for (const w of windows(gpu, count)) {
    const target = w.whole ? y : slice(shifted(y, at - rest), { ...w, count: w.count + rest });
    const elements = w.count / width;
    const uints = [elements, (w.whole ? at : rest) / width];
    launch(gpu, variant, [slice(x, w), target], { uints }, loopGrid(gpu, elements));
  }
}
