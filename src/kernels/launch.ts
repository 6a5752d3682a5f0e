/** The one way to run a shader: a variant, its bindings, its scalars and a grid. */
import { cached } from '../cached.ts';
import { GpuError } from '../errors.ts';
import type { GpuContext } from '../gpu/context.ts';
import { itemSize } from '../gpu/dtype.ts';
import type { KernelVariant } from '../gpu/pipelines.ts';
import type { Scalars, Slot } from '../gpu/recorder.ts';
import type { Defines } from '../gpu/wgsl.ts';

export type { KernelVariant } from '../gpu/pipelines.ts';
export type { Slot } from '../gpu/recorder.ts';

/** Workgroups in one dimension of a grid. */
export const MAX_GROUPS = 65_535;
export const GROUP_SIZE = 64;

/** Every variant the engine may launch; a test compiles them all without a GPU. */
export const kernelVariants = new Map<string, KernelVariant>();

/** Declares one variant of `shaders/<shader>.wgsl`. */
export function kernel(shader: string, defines: Defines = {}): KernelVariant {
  const suffix = Object.entries(defines).map(([name, value]) => `${name}=${value}`);
  const key = suffix.length === 0 ? shader : `${shader} ${suffix.join(' ')}`;
  return cached(kernelVariants, key, () => ({ shader, defines, key }));
}

/** Workgroups in x, y and z. */
export type Grid = readonly [number, number, number];

/**
 * A grid of at least `groups` workgroups, folded over x and y; shaders unfold it with `flat_index` or
 * `rows_of`.
 */
export function foldedGrid(groups: number): Grid {
  if (groups <= MAX_GROUPS) return [groups, 1, 1];
  const rows = Math.ceil(groups / MAX_GROUPS);
  return [Math.ceil(groups / rows), rows, 1];
}

/** One invocation for each of `count` elements. */
export function elementGrid(count: number): Grid {
  return foldedGrid(Math.ceil(count / GROUP_SIZE));
}

/**
 * Elements that one invocation loops over on a CPU: starting a workgroup costs as much there as some hundred
 * of them.
 */
const CPU_ELEMENTS = 64;

/** A grid for shaders that loop over `count` elements. */
export function loopGrid(gpu: GpuContext, count: number): Grid {
  const each = gpu.kernels === 'cpu' ? CPU_ELEMENTS : 1;
  return elementGrid(Math.ceil(count / each));
}

/**
 * Records a dispatch. Throws `GpuError` if a slot is larger than the adapter lets a kernel bind, or the grid
 * larger than it dispatches.
 */
export function launch(
  gpu: GpuContext,
  variant: KernelVariant,
  slots: readonly Slot[],
  scalars: Scalars,
  grid: Grid,
): void {
  // Dawn warns of a dispatch that does nothing.
  if (Math.min(grid[0], grid[1], grid[2]) === 0) return;
  const limit = gpu.limits.maxStorageBufferBindingSize;
  for (const { buffer, offset = 0, size = buffer.size - offset } of slots) {
    if (size > limit)
      throw new GpuError(
        `${variant.key}: ${size} bytes are more than the ${limit} this adapter binds at once`,
        { remedy: 'use a smaller batch or a shorter sequence' },
      );
  }
  if (Math.max(grid[0], grid[1], grid[2]) > MAX_GROUPS)
    throw new GpuError(`${variant.key}: a grid of ${grid.join(' × ')} workgroups is too large`, {
      remedy: 'use a smaller batch',
    });
  gpu.recorder.dispatch(gpu.pipelines.get(variant), slots, scalars, grid[0], grid[1], grid[2]);
}

/** A range of elements that every bound tensor can show to a kernel at once. */
export interface Window {
  /** First element, and how many. */
  readonly first: number;
  readonly count: number;
  /** Whether it covers the tensor: the slot is then bound unchanged, which keeps its bind group. */
  readonly whole: boolean;
}

/** The alignment of binding offsets, and the elements of two bytes or of four in a multiple of it. */
export const OFFSET_BYTES = 256;
export const ALIGNED = OFFSET_BYTES / 2;

export function elementBytes({ dtype = 'float32' }: Slot): number {
  return itemSize(dtype);
}

/** The same range, `elements` further on. */
export function shifted(slot: Slot, elements: number): Slot {
  return { ...slot, offset: (slot.offset ?? 0) + elements * elementBytes(slot) };
}

/**
 * Cuts `rows` of `cols` elements of up to four bytes into windows of whole rows within the adapter's binding
 * limit, each beginning on a multiple of `align` rows. One window if not even `align` rows fit: `launch`
 * then refuses it if it has to.
 */
export function rowWindows(gpu: GpuContext, rows: number, cols: number, align = ALIGNED): Window[] {
  const most = Math.floor(gpu.maxBindingBytes / 4 / cols / align) * align;
  if (rows * cols * 4 <= gpu.maxBindingBytes || most === 0) return [{ first: 0, count: rows, whole: true }];
  const out: Window[] = [];
  for (let first = 0; first < rows; first += most) {
    out.push({ first, count: Math.min(most, rows - first), whole: false });
  }
  return out;
}

export function windows(gpu: GpuContext, count: number): Window[] {
  return rowWindows(gpu, count, 1);
}

/** A window's range of `slot`, whose rows are `cols` elements wide. */
export function slice(slot: Slot, window: Window, cols = 1): Slot {
  if (window.whole) return slot;
  const bytes = cols * elementBytes(slot);
  const size = Math.ceil((window.count * bytes) / 4) * 4;
  return { ...slot, offset: (slot.offset ?? 0) + window.first * bytes, size };
}
