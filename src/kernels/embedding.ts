/** Launchers for row lookup and its deterministic backward. The table may be larger than one binding. */
import type { GpuContext } from '../gpu/context.ts';
import { elementGrid, kernel, launch, rowWindows, type Slot, slice } from './launch.ts';

const gather = kernel('embedding', { PART: 'gather' });
const link = kernel('embedding', { PART: 'link' });
const scatter = kernel('embedding', { PART: 'scatter' });
const positions = kernel('position_ids');

export interface EmbeddingLaunch {
  /** int32 [tokens]. */
  ids: Slot;
  tokens: number;
  /** Rows of the table, and their width. */
  rows: number;
  cols: number;
}

/** y[t] = table[ids[t]]. */
export function embedding(gpu: GpuContext, options: EmbeddingLaunch & { table: Slot; y: Slot }): void {
  const { ids, table, y, tokens, rows, cols } = options;
  for (const w of rowWindows(gpu, rows, cols)) {
    const part = slice(table, w, cols);
    launch(
      gpu,
      gather,
      [ids, part, y],
      { uints: [tokens, cols, w.first, w.count] },
      elementGrid(tokens * cols),
    );
  }
}

export interface EmbeddingGradientLaunch extends EmbeddingLaunch {
  dy: Slot;
  /** [rows, cols], zero before. */
  dtable: Slot;
  /** The id whose row gets no gradient, or −1. */
  paddingId: number;
  /** Scratch of `tokens` elements each. */
  next: Slot;
  head: Slot;
}

/** dtable[id] = Σ dy over the positions of id, in the order of positions. */
export function embeddingGradient(gpu: GpuContext, options: EmbeddingGradientLaunch): void {
  const { ids, dy, dtable, tokens, rows, cols, paddingId, next, head } = options;
  launch(gpu, link, [ids, next, head], { uints: [tokens, paddingId >>> 0] }, elementGrid(tokens));
  for (const w of rowWindows(gpu, rows, cols)) {
    const part = slice(dtable, w, cols);
    const scalars = { uints: [tokens, cols, w.first, w.count] };
    launch(gpu, scatter, [ids, next, head, dy, part], scalars, elementGrid(tokens * cols));
  }
}

/** positions[row, i] = padding + the number of tokens up to i that are not padding, or padding for padding. */
export function positionIds(
  gpu: GpuContext,
  options: { ids: Slot; y: Slot; rows: number; cols: number; padding: number },
): void {
  const { ids, y, rows, cols, padding } = options;
  launch(gpu, positions, [ids, y], { uints: [rows, cols, padding >>> 0] }, elementGrid(rows));
}
