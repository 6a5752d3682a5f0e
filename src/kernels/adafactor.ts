/** Launchers for Adafactor: the steps of one matrix, or of one vector. */
import type { GpuContext } from '../gpu/context.ts';
import {
  elementGrid,
  foldedGrid,
  GROUP_SIZE,
  type Grid,
  kernel,
  launch,
  loopGrid,
  OFFSET_BYTES,
  type Slot,
} from './launch.ts';

const part = (PART: string) => kernel('adafactor', { PART });
const kernels = {
  rows: part('rows'),
  columns: part('columns'),
  blend: part('blend'),
  norm: part('norm'),
  finish: part('finish'),
  apply: part('apply'),
  vector: part('vector'),
};

export interface AdafactorLaunch {
  /** float32, as the gradient; `at` is the first element of both. */
  value: Slot;
  gradient: Slot;
  at: number;
  /** [norm, factor]; the kernels multiply gradients by the factor. */
  scale: Slot;
  /** Whether to leave everything as it is if the norm is not finite. */
  skipNonFinite: boolean;
  /** How much of the state stays. */
  beta: number;
  eps: number;
  /** Most root mean square of an update. */
  clipThreshold: number;
  lr: number;
  weightDecay: number;
}

/** A slot from an element on, of which a kernel skips the first ones: bindings begin at multiples of 256 bytes. */
function from({ buffer, offset = 0 }: Slot, element: number, count: number): { slot: Slot; skipped: number } {
  const bytes = offset + element * 4;
  const begin = bytes - (bytes % OFFSET_BYTES);
  return { slot: { buffer, offset: begin, size: bytes - begin + count * 4 }, skipped: (bytes - begin) / 4 };
}

/** The scalars of the shader, in its order. */
function scalarsOf(
  { skipNonFinite, beta, eps, clipThreshold, lr, weightDecay }: AdafactorLaunch,
  uints: readonly number[],
) {
  return {
    uints: [...uints, Number(skipNonFinite)],
    floats: [beta, 1 - beta, eps, clipThreshold, 1 - lr * weightDecay, lr],
  };
}

export interface MatrixLaunch extends AdafactorLaunch {
  rows: number;
  cols: number;
  /** Means of the squares of each row and each column, and where those of this matrix begin. */
  row: Slot;
  rowAt: number;
  col: Slot;
  colAt: number;
}

/** Rows that one invocation sums up for a column. */
const CHUNK = 64;

interface RowWindow {
  first: number;
  count: number;
}

/** Where a window begins in the buffers that are bound. */
interface WindowPlace extends RowWindow {
  gradientAt: number;
  valueAt: number;
  chunk: number;
}

/** Windows of whole chunks of rows that a kernel can bind, wherever they begin. */
function windowsOf(gpu: GpuContext, rows: number, cols: number): RowWindow[] {
  const fits = Math.floor((gpu.maxBindingBytes - OFFSET_BYTES) / 4 / cols);
  const most = Math.max(fits - (fits % CHUNK), CHUNK);
  return Array.from({ length: Math.ceil(rows / most) }, (_, at) => ({
    first: at * most,
    count: Math.min(most, rows - at * most),
  }));
}

/** One step of a matrix [rows, cols]. */
export function adafactorMatrix(gpu: GpuContext, launched: MatrixLaunch): void {
  const { rows, cols, row, rowAt, col, colAt, scale, value, gradient, at } = launched;
  const windows = windowsOf(gpu, rows, cols);
  const chunks = Math.ceil(rows / CHUNK);
  const run = (
    name: keyof typeof kernels,
    slots: readonly Slot[],
    grid: Grid,
    place: Partial<WindowPlace> = {},
  ): void => {
    const { first = 0, count = rows, gradientAt = 0, valueAt = 0, chunk = first / CHUNK } = place;
    const uints = [rows, cols, first, count, gradientAt, valueAt, rowAt, colAt, CHUNK, chunk];
    launch(gpu, kernels[name], [scale, ...slots], scalarsOf(launched, uints), grid);
  };
  const each = (
    use: (window: RowWindow, read: Slot, place: RowWindow & { gradientAt: number }) => void,
  ): void => {
    for (const window of windows) {
      const { slot, skipped } = from(gradient, at + window.first * cols, window.count * cols);
      use(window, slot, { ...window, gradientAt: skipped });
    }
  };
  each(({ count }, read, place) => run('rows', [read, row], foldedGrid(count), place));
  gpu.borrow(chunks * cols, (partials) => {
    each(({ count }, read, place) => {
      run('columns', [read, partials], elementGrid(Math.ceil(count / CHUNK) * cols), place);
    });
    run('blend', [partials, col], elementGrid(cols), { chunk: chunks });
  });
  gpu.borrow(2, (result) => {
    gpu.borrow(rows, (partials) => {
      each(({ count }, read, place) => run('norm', [read, row, col, partials], foldedGrid(count), place));
      run('finish', [partials, row, result], [1, 1, 1]);
    });
    each(({ first, count }, read, place) => {
      const { slot, skipped } = from(value, at + first * cols, count * cols);
      const grid = loopGrid(gpu, Math.ceil((count * cols) / GROUP_SIZE) * GROUP_SIZE);
      run('apply', [read, row, col, result, slot], grid, { ...place, valueAt: skipped });
    });
  });
}

export interface VectorLaunch extends AdafactorLaunch {
  count: number;
  /** Means of the squares of each element, and where those of this vector begin. */
  square: Slot;
  squareAt: number;
}

/** One step of a vector. */
export function adafactorVector(gpu: GpuContext, launched: VectorLaunch): void {
  const { count, square, squareAt, scale, value, gradient, at } = launched;
  const [read, written] = [from(gradient, at, count), from(value, at, count)];
  const uints = [count, 1, 0, count, read.skipped, written.skipped, squareAt, 0, 1, 0];
  const slots = [scale, read.slot, square, written.slot];
  launch(gpu, kernels.vector, slots, scalarsOf(launched, uints), [1, 1, 1]);
}
