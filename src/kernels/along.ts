/** Launchers for one row of each column along an axis: to take it, and to spread its gradient. */
import type { GpuContext } from '../gpu/context.ts';
import { byDtype, floatDtypeOf } from '../gpu/dtype.ts';
import { ALIGNED, elementGrid, kernel, launch, rowWindows, type Slot, slice, type Window } from './launch.ts';

const take = byDtype((T) => kernel('along', { PART: 'take', T }));
const spread = byDtype((T) => kernel('along', { PART: 'spread', T }));

export interface AlongLaunch {
  /** uint32 or int32 [outer, inner]: a row, below n, for each column. */
  rows: Slot;
  outer: number;
  n: number;
  inner: number;
}

/** Windows of [outer, n, inner]: over the outer axis, or over the rows of the only one. */
function axisWindows(gpu: GpuContext, { outer, n, inner }: AlongLaunch): { w: Window; one: boolean }[] {
  const one = outer === 1;
  const windows = one ? rowWindows(gpu, n, inner) : rowWindows(gpu, outer, n * inner, ALIGNED);
  return windows.map((w) => ({ w, one }));
}

/** y [outer, inner] = x [outer, n, inner] in the rows. */
export function takeAlong(gpu: GpuContext, options: AlongLaunch & { x: Slot; y: Slot }): void {
  const { rows, x, y, outer, n, inner } = options;
  const variant = take[floatDtypeOf(x)];
  for (const { w, one } of axisWindows(gpu, options)) {
    const slots = one
      ? [rows, slice(x, w, inner), y]
      : [slice(rows, w, inner), slice(x, w, n * inner), slice(y, w, inner)];
    const uints = one ? [outer, w.count, inner, w.first] : [w.count, n, inner, 0];
    launch(gpu, variant, slots, { uints }, elementGrid(uints[0]! * inner));
  }
}

/** dx [outer, n, inner] = dy [outer, inner] in the rows, else 0. */
export function spreadAlong(gpu: GpuContext, options: AlongLaunch & { dy: Slot; dx: Slot }): void {
  const { rows, dy, dx, outer, n, inner } = options;
  const variant = spread[floatDtypeOf(dy)];
  for (const { w, one } of axisWindows(gpu, options)) {
    const slots = one
      ? [rows, dy, slice(dx, w, inner)]
      : [slice(rows, w, inner), slice(dy, w, inner), slice(dx, w, n * inner)];
    const uints = one ? [outer, w.count, inner, w.first] : [w.count, n, inner, 0];
    launch(gpu, variant, slots, { uints }, elementGrid(uints[0]! * uints[1]! * inner));
  }
}
