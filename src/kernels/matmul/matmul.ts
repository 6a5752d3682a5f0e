/** Matrix multiplication: walks operands that are larger than one binding. */
import type { GpuContext } from '../../gpu/context.ts';
import type { Activation } from '../activations.ts';
import { elementBytes, MAX_GROUPS, OFFSET_BYTES, type Slot, shifted } from '../launch.ts';
import type { Sizes } from './choose.ts';
import { type At, type Product, runProduct } from './product.ts';
import type { MatmulTechnique } from './techniques.ts';

/** a and b are both float32 or both float16, c is either; bias and sums are float32. */
export interface MatmulLaunch extends Sizes {
  /** [batch, m, k], or [batch, k, m] if `transposeA`. */
  a: Slot;
  /** [batch, k, n], or [batch, n, k] if `transposeB`; without the batch if `batchStrideB` is 0. */
  b: Slot;
  /** [n], added to every row. */
  bias?: Slot | undefined;
  /** [batch, m, n]. */
  c: Slot;
  activation?: Activation;
  /**
   * The activation's input, stored as c is: `store` fills it. `slope` reads it, and c becomes the product
   * times the activation's slope there. It must begin in its buffer as aligned as c does; not together with
   * `sums`.
   */
  preactivation?: { slot: Slot; use: 'store' | 'slope' } | undefined;
  /** [m], filled with the sums of op(a)'s rows; needs `transposeA`, and no batch. */
  sums?: Slot | undefined;
  /** Adds to what is in c (and sums), before bias and activation. */
  accumulate?: boolean;
  batch?: number;
  /** Elements from one matrix of a, or b, to the next; the matrix's size unless given. */
  batchStrideA?: number | undefined;
  batchStrideB?: number | undefined;
  batchStrideC?: number | undefined;
  /** Elements from one row of a matrix as it is stored to the next; its columns unless given. */
  rowStrideA?: number | undefined;
  rowStrideB?: number | undefined;
  rowStrideC?: number | undefined;
  /** The one that suits adapter and shape unless given. */
  technique?: MatmulTechnique;
}

/** First element and end. */
type Range = readonly [first: number, end: number];

/** Part of a product that can be bound: rows and columns of c, and a range of the inner dimension. */
interface ProductWindow {
  m: Range;
  n: Range;
  k: Range;
}

/** A stored matrix, and the elements from one matrix of the batch to the next. */
interface Matrix {
  rows: number;
  columns: number;
  /** Elements from one row to the next. */
  stride: number;
  batch: number;
}

function matrixOf(rows: number, columns: number, stride = columns, batch = rows * columns): Matrix {
  return { rows, columns, stride, batch };
}

const matrixA = ({ m, k, transposeA, rowStrideA, batchStrideA }: MatmulLaunch): Matrix =>
  transposeA ? matrixOf(k, m, rowStrideA, batchStrideA) : matrixOf(m, k, rowStrideA, batchStrideA);

const matrixB = ({ n, k, transposeB, rowStrideB, batchStrideB }: MatmulLaunch): Matrix =>
  transposeB ? matrixOf(n, k, rowStrideB, batchStrideB) : matrixOf(k, n, rowStrideB, batchStrideB);

const matrixC = ({ m, n, rowStrideC, batchStrideC }: MatmulLaunch): Matrix =>
  matrixOf(m, n, rowStrideC, batchStrideC);

/** Elements from the first one of a batch to the last. */
const spanOf = ({ rows, columns, stride, batch }: Matrix, count: number): number =>
  batch * (count - 1) + stride * (rows - 1) + columns;

/** c = activation(op(a) · op(b) + bias), or with `accumulate` added to c; see also `preactivation`. */
export function matmul(gpu: GpuContext, o: MatmulLaunch): void {
  const { m, n, k, batch = 1 } = o;
  const spans = {
    a: spanOf(matrixA(o), batch),
    b: spanOf(matrixB(o), batch),
    c: spanOf(matrixC(o), batch),
  };
  const whole = Math.max(spans.a, spans.b, spans.c) * 4 <= gpu.maxBindingBytes;
  // A batch too large to bind goes matrix by matrix, one of too many matrices in runs.
  const run = whole ? MAX_GROUPS : 1;
  if (batch > run) {
    for (let z = 0; z < batch; z += run) matmul(gpu, matricesOf(o, z, Math.min(run, batch - z)));
    return;
  }
  if (whole) {
    runProduct(gpu, productOf(o, { m: [0, m], n: [0, n], k: [0, k] }, spans), o.technique);
    return;
  }
  for (const window of windowsOf(gpu, o)) runProduct(gpu, productOf(o, window), o.technique);
}

/** The product of `batch` matrices from matrix `z` on. */
function matricesOf(o: MatmulLaunch, z: number, batch: number): MatmulLaunch {
  const { preactivation } = o;
  const moved = (slot: Slot): Slot => shifted(slot, z * matrixC(o).batch);
  return {
    ...o,
    batch,
    a: shifted(o.a, z * matrixA(o).batch),
    b: shifted(o.b, z * matrixB(o).batch),
    c: moved(o.c),
    preactivation: preactivation && { ...preactivation, slot: moved(preactivation.slot) },
  };
}

/** Windows of one matrix, those of k innermost: later ones add to what earlier ones left in c. */
function windowsOf(gpu: GpuContext, o: MatmulLaunch): ProductWindow[] {
  const { m, n, k, transposeA, transposeB } = o;
  const rowsA = rowsThatFit(gpu, matrixA(o));
  const rowsB = rowsThatFit(gpu, matrixB(o));
  const mStep = Math.min(rowsThatFit(gpu, matrixC(o)), transposeA ? m : rowsA);
  const nStep = transposeB ? rowsB : n;
  const kStep = Math.min(transposeA ? rowsA : k, transposeB ? k : rowsB);
  return ranges(m, mStep).flatMap((rows) =>
    ranges(n, nStep).flatMap((columns) =>
      ranges(k, kStep).map((inner) => ({ m: rows, n: columns, k: inner })),
    ),
  );
}

function ranges(total: number, most: number): Range[] {
  const out: Range[] = [];
  for (let first = 0; first < total; first += most) out.push([first, Math.min(first + most, total)]);
  return out;
}

/** Rows that fit a binding; a multiple of four if not all do. */
function rowsThatFit(gpu: GpuContext, { rows, stride }: Matrix): number {
  if (rows * stride * 4 <= gpu.maxBindingBytes) return rows;
  const fit = Math.floor((gpu.maxBindingBytes - OFFSET_BYTES) / 4 / stride);
  return Math.max(fit >= 4 ? fit - (fit % 4) : fit, 1);
}

/** The window of a product, bound; `spans`: elements of the operands, if the window is all of them. */
function productOf(
  o: MatmulLaunch,
  { m: [m0, m1], n: [n0, n1], k: [k0, k1] }: ProductWindow,
  spans?: Readonly<Record<'a' | 'b' | 'c', number>>,
): Product {
  const { k, transposeA, transposeB, batch = 1, preactivation } = o;
  const [ofA, ofB, ofC] = [matrixA(o), matrixB(o), matrixC(o)];
  // Bias, activation and its input belong to the last step over k.
  const last = k1 === k;
  const partA = transposeA ? ([k0, k1, m0] as const) : ([m0, m1, k0] as const);
  const partB = transposeB ? ([n0, n1, k0] as const) : ([k0, k1, n0] as const);
  const bindC = (slot: Slot): At => bind(slot, ofC, [m0, m1, n0], spans?.c);
  const [a, b, c] = [bind(o.a, ofA, partA, spans?.a), bind(o.b, ofB, partB, spans?.b), bindC(o.c)];
  // Field by field: V8 takes much longer for literals of spreads.
  return {
    a: { slot: a.slot, offset: a.offset, stride: ofA.stride, batch: ofA.batch },
    b: { slot: b.slot, offset: b.offset, stride: ofB.stride, batch: ofB.batch },
    c: { slot: c.slot, offset: c.offset, stride: ofC.stride, batch: ofC.batch },
    m: m1 - m0,
    n: n1 - n0,
    k: k1 - k0,
    transposeA,
    transposeB,
    batch,
    epilogue: {
      accumulate: k0 > 0 || (o.accumulate ?? false),
      bias: last && o.bias ? { slot: o.bias, offset: n0 } : undefined,
      activation: last ? (o.activation ?? 'none') : 'none',
      preactivation:
        last && preactivation ? { slot: bindC(preactivation.slot).slot, use: preactivation.use } : undefined,
      // Each row's sum once, though columns may come in several windows.
      sums: n0 === 0 && o.sums ? { slot: o.sums, offset: m0 } : undefined,
    },
  };
}

/**
 * Rows [first, end) of an operand, from column `skipped` on. All of it, if it has `span` elements: bound as
 * it stands, which keeps its bind group, unless it begins at an offset.
 */
function bind(
  slot: Slot,
  { columns, stride }: Matrix,
  [first, end, skipped]: readonly [first: number, end: number, skipped: number],
  span?: number,
): At {
  if (span === undefined) return bindRange(slot, first * stride, (end - 1) * stride + columns, skipped);
  return slot.offset === undefined ? { slot, offset: 0 } : bindRange(slot, 0, span, 0);
}

/** Elements [first, end), bound from an aligned offset on. */
function bindRange(slot: Slot, first: number, end: number, skipped: number): At {
  const each = elementBytes(slot);
  const start = (slot.offset ?? 0) + first * each;
  const offset = Math.floor(start / OFFSET_BYTES) * OFFSET_BYTES;
  const size = Math.ceil(((end - first) * each + (start - offset)) / 4) * 4;
  return { slot: { ...slot, offset, size }, offset: (start - offset) / each + skipped };
}
