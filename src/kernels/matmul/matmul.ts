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

/** c = activation(op(a) · op(b) + bias), or with `accumulate` added to c; see also `preactivation`. */
export function matmul(gpu: GpuContext, o: MatmulLaunch): void {
  const { m, n, k, batch = 1, batchStrideA = m * k, batchStrideB = k * n } = o;
  const spans = {
    a: batchStrideA * (batch - 1) + m * k,
    b: batchStrideB * (batch - 1) + k * n,
    c: batch * m * n,
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
  const { m, n, k, batchStrideA = m * k, batchStrideB = k * n, preactivation } = o;
  const moved = (slot: Slot): Slot => shifted(slot, z * m * n);
  return {
    ...o,
    batch,
    a: shifted(o.a, z * batchStrideA),
    b: shifted(o.b, z * batchStrideB),
    c: moved(o.c),
    preactivation: preactivation && { ...preactivation, slot: moved(preactivation.slot) },
  };
}

/** Windows of one matrix, those of k innermost: later ones add to what earlier ones left in c. */
function windowsOf(gpu: GpuContext, { m, n, k, transposeA, transposeB }: MatmulLaunch): ProductWindow[] {
  const mStep = Math.min(rowsThatFit(gpu, n, m), transposeA ? m : rowsThatFit(gpu, k, m));
  const nStep = transposeB ? rowsThatFit(gpu, k, n) : n;
  const kStep = Math.min(transposeA ? rowsThatFit(gpu, m, k) : k, transposeB ? k : rowsThatFit(gpu, n, k));
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

/** Rows of `rowSize` elements that fit a binding; a multiple of four if not all do. */
function rowsThatFit(gpu: GpuContext, rowSize: number, rows: number): number {
  if (rows * rowSize * 4 <= gpu.maxBindingBytes) return rows;
  const fit = Math.floor((gpu.maxBindingBytes - OFFSET_BYTES) / 4 / rowSize);
  return Math.max(fit >= 4 ? fit - (fit % 4) : fit, 1);
}

/** The window of a product, bound; `spans`: elements of the operands, if the window is all of them. */
function productOf(
  o: MatmulLaunch,
  { m: [m0, m1], n: [n0, n1], k: [k0, k1] }: ProductWindow,
  spans?: Readonly<Record<'a' | 'b' | 'c', number>>,
): Product {
  const { m, n, k, transposeA, transposeB, batch = 1, preactivation } = o;
  const [strideA, strideB] = [transposeA ? m : k, transposeB ? k : n];
  // Bias, activation and its input belong to the last step over k.
  const last = k1 === k;
  const ofA = transposeA ? ([k0, k1, m0] as const) : ([m0, m1, k0] as const);
  const ofB = transposeB ? ([n0, n1, k0] as const) : ([k0, k1, n0] as const);
  const bindC = (slot: Slot): At => bind(slot, n, [m0, m1, n0], spans?.c);
  const [a, b, c] = [bind(o.a, strideA, ofA, spans?.a), bind(o.b, strideB, ofB, spans?.b), bindC(o.c)];
  // Field by field: V8 takes much longer for literals of spreads.
  return {
    a: { slot: a.slot, offset: a.offset, stride: strideA, batch: o.batchStrideA ?? m * k },
    b: { slot: b.slot, offset: b.offset, stride: strideB, batch: o.batchStrideB ?? k * n },
    c: { slot: c.slot, offset: c.offset, stride: n, batch: m * n },
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
  rowSize: number,
  [first, end, skipped]: readonly [first: number, end: number, skipped: number],
  span?: number,
): At {
  if (span === undefined) return bindRange(slot, first * rowSize, end * rowSize, skipped);
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
