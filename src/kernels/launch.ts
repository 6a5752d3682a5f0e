/** The one way to run a shader: a variant, its bindings, its scalars and a grid. */
import type { GpuContext } from '../gpu/context.ts';
import type { KernelVariant } from '../gpu/pipelines.ts';
import type { Scalars, Slot } from '../gpu/recorder.ts';
import type { Defines } from '../gpu/wgsl.ts';

export type { KernelVariant } from '../gpu/pipelines.ts';
export type { Slot } from '../gpu/recorder.ts';

const MAX_GROUPS = 65_535;
export const GROUP_SIZE = 64;

/** Every variant the engine may launch; a test compiles them all without a GPU. */
export const kernelVariants = new Map<string, KernelVariant>();

/** Declares one variant of `shaders/<shader>.wgsl`. */
export function kernel(shader: string, defines: Defines = {}): KernelVariant {
  const suffix = Object.entries(defines).map(([name, value]) => `${name}=${value}`);
  const key = suffix.length === 0 ? shader : `${shader} ${suffix.join(' ')}`;
  const known = kernelVariants.get(key);
  if (known !== undefined) return known;
  const variant = { shader, defines, key };
  kernelVariants.set(key, variant);
  return variant;
}

/** Workgroups in x, y and z. */
export type Grid = readonly [number, number, number];

/** A grid of at least `groups` workgroups, folded over x and y; shaders unfold it with `flat_index` or `row_of`. */
export function foldedGrid(groups: number): Grid {
  if (groups <= MAX_GROUPS) return [groups, 1, 1];
  const rows = Math.ceil(groups / MAX_GROUPS);
  return [Math.ceil(groups / rows), rows, 1];
}

/** One invocation for each of `count` elements. */
export function elementGrid(count: number): Grid {
  return foldedGrid(Math.ceil(count / GROUP_SIZE));
}

export function launch(
  gpu: GpuContext,
  variant: KernelVariant,
  slots: readonly Slot[],
  scalars: Scalars,
  grid: Grid,
): void {
  gpu.recorder.dispatch(gpu.pipelines.get(variant), slots, scalars, grid[0], grid[1], grid[2]);
}

/** A run of elements that every bound tensor can show to a kernel at once. */
export interface Window {
  /** First element, and how many. */
  readonly first: number;
  readonly count: number;
  /** True where it is all there is: the slot is then bound as it stands, which keeps its bind group. */
  readonly whole: boolean;
}

/** Cuts `count` elements of `bytesPerElement` into windows within the adapter's binding limit, aligned for binding offsets. */
export function windows(gpu: GpuContext, count: number, bytesPerElement = 4): Window[] {
  // 64 elements of four bytes are 256 bytes, the alignment of binding offsets.
  const most = Math.floor(gpu.maxBindingBytes / bytesPerElement / 64) * 64;
  if (count <= most) return [{ first: 0, count, whole: true }];
  const out: Window[] = [];
  for (let first = 0; first < count; first += most) {
    out.push({ first, count: Math.min(most, count - first), whole: false });
  }
  return out;
}

/** A range of four-byte elements within `slot`. */
export function slice(slot: Slot, window: Window): Slot {
  if (window.whole) return slot;
  return { buffer: slot.buffer, offset: (slot.offset ?? 0) + window.first * 4, size: window.count * 4 };
}

/** Rows on hardware are shared by 64 invocations; a software adapter gives each row to one. */
export function rowThreads(gpu: GpuContext): 1 | 64 {
  return gpu.kernels === 'cpu' ? 1 : 64;
}

export function rowGrid(gpu: GpuContext, rows: number): Grid {
  return foldedGrid(Math.ceil(rows / (GROUP_SIZE / rowThreads(gpu))));
}
