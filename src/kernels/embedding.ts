/** Launchers for row lookup and its deterministic backward. The table may be larger than one binding. */
import type { GpuContext } from '../gpu/context.ts';
import { floatDtypes } from '../gpu/dtype.ts';
import { elementGrid, kernel, launch, rowWindows, type Slot, slice } from './launch.ts';
import { rowKernel, shareRows } from './rows.ts';

const gather = rowKernel('embedding', { PART: 'gather' }, { unroll: 1, dtypes: floatDtypes });
const mark = kernel('embedding_chains', { PART: 'mark' });
const link = kernel('embedding_chains', { PART: 'link' });
const scatter = rowKernel('embedding', { PART: 'scatter' }, { unroll: 1, dtypes: floatDtypes });
const positions = kernel('position_ids');

export interface EmbeddingLaunch {
  /** int32 [tokens]. */
  ids: Slot;
  tokens: number;
  /** Rows of the table, and their width. */
  rows: number;
  cols: number;
}

/** y[t] = table[ids[t]], all `stray` for an id outside the table. */
export function embedding(
  gpu: GpuContext,
  options: EmbeddingLaunch & { table: Slot; y: Slot; stray: number },
): void {
  const { ids, table, y, tokens, rows, cols, stray } = options;
  const { share, grid } = shareRows(gpu, tokens);
  for (const w of rowWindows(gpu, rows, cols)) {
    const uints = [tokens, cols, share, w.first, w.count, rows];
    const slots = [ids, slice(table, w, cols), y];
    launch(gpu, gather(gpu, cols, table), slots, { uints, floats: [stray] }, grid);
  }
}

export interface EmbeddingGradientLaunch extends EmbeddingLaunch {
  dy: Slot;
  /** [rows, cols], zero before. */
  dtable: Slot;
  /** The id whose row gets no gradient, or −1. */
  paddingId: number;
  /** Scratch of [tokens], and of [rows, 2] zeros. */
  next: Slot;
  ends: Slot;
}

/** dtable[id] = Σ dy over the positions of id, in the order of positions. */
export function embeddingGradient(gpu: GpuContext, options: EmbeddingGradientLaunch): void {
  const { ids, dy, dtable, tokens, rows, cols, paddingId, next, ends } = options;
  const scalars = { uints: [tokens, paddingId >>> 0] };
  launch(gpu, mark, [ids, ends], scalars, elementGrid(tokens));
  launch(gpu, link, [ids, ends, next], scalars, elementGrid(tokens));
  const { share, grid } = shareRows(gpu, tokens);
  for (const w of rowWindows(gpu, rows, cols)) {
    const uints = [tokens, cols, share, w.first, w.count, paddingId >>> 0];
    launch(gpu, scatter(gpu, cols, dy), [ids, next, ends, dy, slice(dtable, w, cols)], { uints }, grid);
  }
}

/**
 * positions[row, i] = padding + the number of tokens up to i that are not padding, or padding for padding.
 */
export function positionIds(
  gpu: GpuContext,
  options: { ids: Slot; y: Slot; rows: number; cols: number; padding: number },
): void {
  const { ids, y, rows, cols, padding } = options;
  launch(gpu, positions, [ids, y], { uints: [rows, cols, padding >>> 0] }, elementGrid(rows));
}
