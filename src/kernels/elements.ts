/** What elementwise kernels share: variants by type and width, and how they walk their tensors. */
import type { GpuContext } from '../gpu/context.ts';
import { byDtype, type FloatDtype } from '../gpu/dtype.ts';
import type { Scalars } from '../gpu/recorder.ts';
import type { Defines } from '../gpu/wgsl.ts';
import {
  type KernelVariant,
  kernel,
  launch,
  loopGrid,
  type Slot,
  slice,
  type Window,
  windows,
} from './launch.ts';

/** Variants of an elementwise kernel: number by number, and by four-vectors. */
export interface Widths {
  readonly single: KernelVariant;
  readonly vectors: KernelVariant;
}

/** The same for each type of element. */
export type Family = Readonly<Record<FloatDtype, Widths>>;

const VECTOR = 4;

/** @internal */
export function bothWidths(shader: string, defines: Defines): Widths {
  return {
    single: kernel(shader, { ...defines, WIDTH: 1 }),
    vectors: kernel(shader, { ...defines, WIDTH: VECTOR }),
  };
}

/** @internal Variants by type and width. */
export function family(shader: string, defines: Defines = {}): Family {
  return byDtype((T) => bothWidths(shader, { ...defines, T }));
}

/** @internal The variant for these counts, and how many numbers it reads at once: four if that divides each. */
export function fitting(
  { single, vectors }: Widths,
  ...counts: number[]
): { variant: KernelVariant; width: number } {
  return counts.every((count) => count % VECTOR === 0)
    ? { variant: vectors, width: VECTOR }
    : { variant: single, width: 1 };
}

/**
 * @internal Runs a kernel over tensors of `count` elements each. `scalarsOf` gets the elements of a window, in
 * numbers or four-vectors as the variant reads them.
 */
export function eachElement(
  gpu: GpuContext,
  widths: Widths,
  slots: readonly Slot[],
  count: number,
  scalarsOf: (elements: number, window: Window) => Scalars,
): void {
  const { variant, width } = fitting(widths, count);
  for (const w of windows(gpu, count)) {
    const elements = w.count / width;
    const ranges = slots.map((slot) => slice(slot, w));
    launch(gpu, variant, ranges, scalarsOf(elements, w), loopGrid(gpu, elements));
  }
}

/** Most dimensions a strided kernel walks. */
export const MAX_STRIDED_RANK = 6;

/** (size, strides…) of each dimension, last first, padded with size 1. */
export function stridedScalars(
  shape: readonly number[],
  ...strides: readonly (readonly number[])[]
): number[] {
  const out: number[] = [];
  for (let d = 0; d < MAX_STRIDED_RANK; d += 1) {
    const at = shape.length - 1 - d;
    out.push(at < 0 ? 1 : shape[at]!, ...strides.map((s) => (at < 0 ? 0 : s[at]!)));
  }
  return out;
}

/** @internal Whether these are the strides of a row-major tensor. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d -= 1) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d]!;
  }
  return true;
}
