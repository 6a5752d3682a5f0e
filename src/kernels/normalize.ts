/** Launchers for kernels that work on rows: softmax and LayerNorm. */
import type { GpuContext } from '../gpu/context.ts';
import { floatDtypeOf, floatDtypes } from '../gpu/dtype.ts';
import { elementGrid, kernel, launch, rowWindows, type Slot, slice } from './launch.ts';
import { type DropoutKey, dropoutThreshold } from './pointwise.ts';
import { rowKernel, shareRows, teamSize } from './rows.ts';

const softmaxForward = rowKernel('softmax', { BACKWARD: false }, { unroll: 4, dtypes: floatDtypes });
const softmaxBackward = rowKernel('softmax', { BACKWARD: true }, { unroll: 2, dtypes: floatDtypes });

/** Rows that LayerNorm's kernels work on at once. */
const NORM_ROWS = 4;
const norms = { unroll: 1, rows: NORM_ROWS, dtypes: floatDtypes } as const;
/** Of a float16 x beside a float32 residual. */
const wideNorms = { ...norms, dtypes: ['float16'] } as const;
const plainForward = rowKernel('layer_norm', { RESIDUAL: false, DROPOUT: false, WIDE: false }, norms);
const addedForward = (DROPOUT: boolean) => ({
  same: rowKernel('layer_norm', { RESIDUAL: true, DROPOUT, WIDE: false }, norms),
  wide: rowKernel('layer_norm', { RESIDUAL: true, DROPOUT, WIDE: true }, wideNorms),
});
const addedForwards = { plain: addedForward(false), dropout: addedForward(true) };
const rowsBackward = (DROPOUT: boolean) => {
  // Two rows with dropout: with the mask's integers, four are more than a CPU's registers hold.
  const rows = DROPOUT ? 2 : NORM_ROWS;
  const part = { PART: 'rows', DROPOUT };
  return {
    same: rowKernel('layer_norm_backward', { ...part, WIDE: false, APART: DROPOUT }, { ...norms, rows }),
    wide: rowKernel('layer_norm_backward', { ...part, WIDE: true, APART: true }, { ...wideNorms, rows }),
  };
};
const rowsBackwards = { plain: rowsBackward(false), dropout: rowsBackward(true) };
const layerNormWeights = kernel('layer_norm_backward', { PART: 'weights' });

/**
 * Softmax over x, LayerNorm over x: float16 or float32, as is all that has x's shape; weights, moments and
 * their gradients are float32.
 */
export interface RowsLaunch {
  x: Slot;
  y: Slot;
  rows: number;
  cols: number;
}

/** y = softmax(x); or, if there is a `dy`, the gradient of the softmax's argument, and x is its result. */
export function softmax(gpu: GpuContext, { x, y, rows, cols, dy }: RowsLaunch & { dy?: Slot }): void {
  const variant = (dy === undefined ? softmaxForward : softmaxBackward)(gpu, cols, x);
  for (const w of rowWindows(gpu, rows, cols)) {
    const { share, grid } = shareRows(gpu, w.count);
    const slots = (dy === undefined ? [x, y] : [x, dy, y]).map((slot) => slice(slot, w, cols));
    launch(gpu, variant, slots, { uints: [w.count, cols, share] }, grid);
  }
}

/**
 * First element of the window, seed, stream and threshold, and the scale of a dropout; any numbers if there
 * is none.
 */
function dropoutScalars(first: number, key: DropoutKey | null): { uints: number[]; floats: number[] } {
  if (key === null) return { uints: [first, 0, 0, 0], floats: [1] };
  return { uints: [first, key.seed, key.stream, dropoutThreshold(key.p)], floats: [1 / (1 - key.p)] };
}

export interface LayerNormLaunch extends RowsLaunch {
  weight: Slot;
  bias: Slot;
  /** [rows, 2], the mean and 1/σ of each row, which backward needs. */
  moments: Slot;
  eps: number;
  /**
   * Normalizes residual + dropout(x) instead, and leaves that in `sums`, which backward needs. The residual,
   * the sums and y may be float32 beside a float16 x; y is then stored in float16 too, in `rounded`.
   */
  added?: { residual: Slot; sums: Slot; dropout: DropoutKey | null; rounded?: Slot | undefined } | undefined;
}

export function layerNorm(gpu: GpuContext, options: LayerNormLaunch): void {
  const { x, y, rows, cols, weight, bias, moments, eps, added } = options;
  const dropout = added?.dropout ?? null;
  const rounded = added?.rounded;
  const addedVariants = addedForwards[dropout === null ? 'plain' : 'dropout'];
  const variant = added === undefined ? plainForward : addedVariants[rounded === undefined ? 'same' : 'wide'];
  for (const w of rowWindows(gpu, rows, cols)) {
    const { share, grid } = shareRows(gpu, w.count, { atOnce: NORM_ROWS });
    const slots = [slice(x, w, cols), weight, bias, slice(y, w, cols), slice(moments, w, 2)];
    if (added !== undefined) slots.push(slice(added.residual, w, cols), slice(added.sums, w, cols));
    if (rounded !== undefined) slots.push(slice(rounded, w, cols));
    const { uints, floats } = dropoutScalars(w.first * cols, dropout);
    const scalars = { uints: [w.count, cols, share, ...uints], floats: [eps, ...floats] };
    launch(gpu, variant(gpu, cols, x), slots, scalars, grid);
  }
}

export interface LayerNormGradientLaunch {
  /** The rows that were normalized. */
  x: Slot;
  moments: Slot;
  dy: Slot;
  weight: Slot;
  /** Their gradient. */
  dx: Slot;
  rows: number;
  cols: number;
  dweight: Slot;
  dbias: Slot;
  /**
   * If x was residual + dropout(·): the gradient of the dropout's input, which may be float16 beside a
   * float32 dx.
   */
  added?: { dx: Slot; key: DropoutKey | null } | undefined;
}

/**
 * Invocations at most that sum the gradients of weight and bias over their rows, each workgroup into partial
 * sums of its own.
 */
const PARTIAL_INVOCATIONS = 16_384;

export function layerNormGradient(gpu: GpuContext, options: LayerNormGradientLaunch): void {
  const { x, moments, dy, weight, dx, rows, cols, dweight, dbias, added } = options;
  const key = added?.key ?? null;
  // The kernel's T; dx, x and dy may be float32 beside it.
  const narrow = added?.dx ?? dx;
  const wide = floatDtypeOf(narrow) !== floatDtypeOf(dx);
  const variant = rowsBackwards[key === null ? 'plain' : 'dropout'][wide ? 'wide' : 'same'];
  const most = PARTIAL_INVOCATIONS / teamSize(gpu, cols);
  const shares = rowWindows(gpu, rows, cols).map((window) => ({
    window,
    ...shareRows(gpu, window.count, { atOnce: NORM_ROWS, most }),
  }));
  const all = shares.reduce((total, { groups }) => total + groups, 0);
  gpu.borrow(all * 2 * cols, (partials) => {
    let before = 0;
    for (const { window: w, share, groups, grid } of shares) {
      const slots = [slice(x, w, cols), slice(moments, w, 2), slice(dy, w, cols), weight, slice(dx, w, cols)];
      slots.push(partials);
      if (added !== undefined) slots.push(slice(added.dx, w, cols));
      const { uints, floats } = dropoutScalars(w.first * cols, key);
      const scalars = { uints: [w.count, cols, share, before, ...uints], floats };
      launch(gpu, variant(gpu, cols, narrow), slots, scalars, grid);
      before += groups;
    }
    launch(gpu, layerNormWeights, [partials, dweight, dbias], { uints: [all, cols] }, elementGrid(cols));
  });
}
