/** Launcher for rotary positions, forward and backward. */
import type { GpuContext } from '../gpu/context.ts';
import { floatDtypeOf } from '../gpu/dtype.ts';
import { family, fitting } from './elements.ts';
import { launch, loopGrid, rowWindows, type Slot, slice } from './launch.ts';

const forward = family('rotary', { SIGN: 1 });
const backward = family('rotary', { SIGN: -1 });

export interface RotaryLaunch {
  /** [rows, 3 · heads · size]: queries, keys and values. */
  x: Slot;
  /** int32; row r has position r modulo their number. */
  positions: Slot;
  positionCount: number;
  /** float32 [positions, size]: the cosines of each position, then its sines. */
  angles: Slot;
  y: Slot;
  rows: number;
  heads: number;
  /** Of a head, even. */
  size: number;
  back: boolean;
}

/** Turns queries and keys by their positions' angles, or back; copies values. */
export function rotary(gpu: GpuContext, options: RotaryLaunch): void {
  const { x, positions, positionCount, angles, y, rows, heads, size, back } = options;
  const { variant, width } = fitting((back ? backward : forward)[floatDtypeOf(x)], size / 2);
  const columns = 3 * heads * size;
  const half = size / 2 / width;
  for (const w of rowWindows(gpu, rows, columns)) {
    const pairs = w.count * 3 * heads * half;
    const uints = [pairs, half, 3 * heads * half, heads, w.first, positionCount];
    const slots = [slice(x, w, columns), positions, angles, slice(y, w, columns)];
    launch(gpu, variant, slots, { uints }, loopGrid(gpu, pairs));
  }
}
