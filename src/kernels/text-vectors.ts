/** Launchers for vectors of texts: rows of unit length, and the largest numbers over tokens. */
import type { GpuContext } from '../gpu/context.ts';
import { elementGrid, kernel, launch, rowWindows, type Slot, slice } from './launch.ts';
import type { RowsLaunch } from './normalize.ts';
import { rowKernel, shareRows } from './rows.ts';

const unitForward = rowKernel('unit_rows', { BACKWARD: false }, { unroll: 2 });
const unitBackward = rowKernel('unit_rows', { BACKWARD: true }, { unroll: 2 });

/** y = x / max(‖x‖, eps); or, if there is a `dy`, the gradient of x. */
export function unitRows(
  gpu: GpuContext,
  { x, y, rows, cols, dy, eps }: RowsLaunch & { dy?: Slot; eps: number },
): void {
  const variant = (dy === undefined ? unitForward : unitBackward)(gpu, cols, x);
  for (const w of rowWindows(gpu, rows, cols)) {
    const { share, grid } = shareRows(gpu, w.count);
    const slots = (dy === undefined ? [x, y] : [x, dy, y]).map((slot) => slice(slot, w, cols));
    launch(gpu, variant, slots, { uints: [w.count, cols, share], floats: [eps] }, grid);
  }
}

const maxKernel = kernel('max_tokens');

export interface MaxTokensLaunch {
  texts: number;
  length: number;
  cols: number;
  x: Slot;
  mask: Slot;
  y: Slot;
  /** uint32 [texts, cols]: the token with the largest value. */
  tokens: Slot;
}

/** y [texts, cols]: the largest values of x [texts, length, cols] over the tokens that the mask shows. */
export function maxTokens(gpu: GpuContext, options: MaxTokensLaunch): void {
  const { texts, length, cols, x, mask, y, tokens } = options;
  for (const w of rowWindows(gpu, texts, length * cols)) {
    const slots = [
      slice(x, w, length * cols),
      slice(mask, w, length),
      slice(y, w, cols),
      slice(tokens, w, cols),
    ];
    launch(gpu, maxKernel, slots, { uints: [w.count, length, cols] }, elementGrid(w.count * cols));
  }
}
