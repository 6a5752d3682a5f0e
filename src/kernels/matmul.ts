/** Matrix multiplication: picks the variant, and walks operands that are larger than one binding. */
import type { GpuContext } from '../gpu/context.ts';
import { elementBytes, type Grid, launch, MAX_GROUPS, type Slot, shifted } from './launch.ts';
import { chooseMatmul, type MatmulTechnique, matmulVariant } from './matmul-variants.ts';
import type { Activation } from './pointwise.ts';

export interface MatmulLaunch {
  /** a and b are both float32 or both float16, c is either; bias and sums are float32. [batch, m, k], or [batch, k, m] where `transposeA`. */
  a: Slot;
  /** [batch, k, n], or [batch, n, k] where `transposeB`; without the batch where `batchStrideB` is 0. */
  b: Slot;
  /** [n], added to every row. */
  bias?: Slot | undefined;
  /** [batch, m, n]. */
  c: Slot;
  m: number;
  n: number;
  k: number;
  transposeA: boolean;
  transposeB: boolean;
  activation?: Activation;
  /**
   * What the activation is given, as c: `store` fills it. `slope` reads it, and c becomes the product times the activation's slope
   * there. It must begin in its buffer as aligned as c does; not together with `sums`.
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

/** Rows [first, end) of an operand, bound from an aligned offset; `offset` counts the elements before the first row. */
function bindRows(slot: Slot, rowSize: number, first: number, end: number): { slot: Slot; offset: number } {
  const each = elementBytes(slot);
  const start = (slot.offset ?? 0) + first * rowSize * each;
  const aligned = Math.floor(start / 256) * 256;
  const size = Math.ceil(((end - first) * rowSize * each + (start - aligned)) / 4) * 4;
  return { slot: { ...slot, offset: aligned, size }, offset: (start - aligned) / each };
}

function ranges(total: number, most: number): [number, number][] {
  const out: [number, number][] = [];
  for (let first = 0; first < total; first += most) out.push([first, Math.min(first + most, total)]);
  return out;
}

/** Rows of `rowSize` that fit a binding, a multiple of four where there are several. */
function rowsThatFit(gpu: GpuContext, rowSize: number, rows: number): number {
  if (rows * rowSize * 4 <= gpu.maxBindingBytes) return rows;
  const fit = Math.floor((gpu.maxBindingBytes - 256) / 4 / rowSize);
  return Math.max(fit >= 4 ? fit - (fit % 4) : fit, 1);
}

/** c = activation(op(a) · op(b) + bias), or with `accumulate` added to c; see also `preactivation`. */
export function matmul(gpu: GpuContext, o: MatmulLaunch): void {
  const batch = o.batch ?? 1;
  const strideA = o.transposeA ? o.m : o.k;
  const strideB = o.transposeB ? o.k : o.n;
  const batchA = o.batchStrideA ?? o.m * o.k;
  const batchB = o.batchStrideB ?? o.k * o.n;
  const spans = [batchA * (batch - 1) + o.m * o.k, batchB * (batch - 1) + o.k * o.n, batch * o.m * o.n];
  const whole = spans.every((elements) => elements * 4 <= gpu.maxBindingBytes);
  if (whole || batch > 1) {
    // A batched product too large to bind goes matrix by matrix, one of too many matrices in runs.
    const run = whole ? MAX_GROUPS : 1;
    if (batch > run) {
      for (let z = 0; z < batch; z += run) {
        matmul(gpu, {
          ...o,
          batch: Math.min(run, batch - z),
          a: shifted(o.a, z * batchA),
          b: shifted(o.b, z * batchB),
          c: shifted(o.c, z * o.m * o.n),
          preactivation: o.preactivation && {
            ...o.preactivation,
            slot: shifted(o.preactivation.slot, z * o.m * o.n),
          },
        });
      }
      return;
    }
    const at = (slot: Slot, elements: number) =>
      slot.offset === undefined ? { slot, offset: 0 } : bindRows(slot, elements, 0, 1);
    runTile(gpu, o, {
      a: at(o.a, spans[0]!),
      b: at(o.b, spans[1]!),
      c: at(o.c, spans[2]!),
      ...(o.preactivation && { preactivation: at(o.preactivation.slot, spans[2]!).slot }),
      m: o.m,
      n: o.n,
      k: o.k,
      strideA,
      strideB,
      batchA,
      batchB,
      batch,
      firstRow: 0,
      firstColumn: 0,
      accumulate: o.accumulate ?? false,
      last: true,
    });
    return;
  }
  const mStep = Math.min(rowsThatFit(gpu, o.n, o.m), o.transposeA ? o.m : rowsThatFit(gpu, o.k, o.m));
  const nStep = o.transposeB ? rowsThatFit(gpu, o.k, o.n) : o.n;
  const kStep = Math.min(
    o.transposeA ? rowsThatFit(gpu, o.m, o.k) : o.k,
    o.transposeB ? o.k : rowsThatFit(gpu, o.n, o.k),
  );
  for (const [m0, m1] of ranges(o.m, mStep)) {
    for (const [n0, n1] of ranges(o.n, nStep)) {
      for (const [k0, k1] of ranges(o.k, kStep)) {
        const a = o.transposeA ? bindRows(o.a, o.m, k0, k1) : bindRows(o.a, o.k, m0, m1);
        const b = o.transposeB ? bindRows(o.b, o.k, n0, n1) : bindRows(o.b, o.n, k0, k1);
        const c = bindRows(o.c, o.n, m0, m1);
        const preactivation = o.preactivation && bindRows(o.preactivation.slot, o.n, m0, m1).slot;
        // The window of rows is bound; where it does not begin within the row itself, an offset skips the columns before it.
        a.offset += o.transposeA ? m0 : k0;
        b.offset += o.transposeB ? k0 : n0;
        c.offset += n0;
        runTile(gpu, o, {
          a,
          b,
          c,
          ...(preactivation && { preactivation }),
          m: m1 - m0,
          n: n1 - n0,
          k: k1 - k0,
          strideA,
          strideB,
          batchA,
          batchB,
          batch: 1,
          firstRow: m0,
          firstColumn: n0,
          accumulate: k0 > 0 || (o.accumulate ?? false),
          last: k1 === o.k,
        });
      }
    }
  }
}

interface Tile {
  a: { slot: Slot; offset: number };
  b: { slot: Slot; offset: number };
  c: { slot: Slot; offset: number };
  /** Its offset is that of c. */
  preactivation?: Slot;
  m: number;
  n: number;
  k: number;
  strideA: number;
  strideB: number;
  batchA: number;
  batchB: number;
  batch: number;
  firstRow: number;
  firstColumn: number;
  accumulate: boolean;
  /** Bias, activation and its input belong to the last step over k. */
  last: boolean;
}

const aligned = (...elements: number[]): boolean => elements.every((value) => value % 4 === 0);

function runTile(gpu: GpuContext, o: MatmulLaunch, t: Tile): void {
  const batchC = o.m * o.n;
  const { transposeA, transposeB } = o;
  const { m, n, k } = t;
  const VEC_C = aligned(t.c.offset, o.n, batchC, n);
  const technique = o.technique ?? chooseMatmul(gpu, { m, n, k, transposeA, transposeB });
  // Each row's sum once, though columns may come in several windows.
  const sums = t.firstColumn === 0 ? o.sums : undefined;
  const variant = matmulVariant(technique, {
    TRANSPOSE_A: transposeA,
    TRANSPOSE_B: transposeB,
    VEC_A: aligned(t.a.offset, t.strideA, t.batchA, transposeA ? m : k),
    VEC_B: aligned(t.b.offset, t.strideB, t.batchB, transposeB ? k : n),
    VEC_C,
    TAIL_K: k % 4 !== 0,
    SUM_A: sums !== undefined,
    ACCUMULATE: t.accumulate,
    ACTIVATION: t.last ? (o.activation ?? 'none') : 'none',
    HALF: o.a.half ?? false,
    HALF_C: o.c.half ?? false,
    PREACTIVATION: t.last ? (o.preactivation?.use ?? 'none') : 'none',
  });
  const bias = t.last ? o.bias : undefined;
  const uints = [
    m,
    n,
    k,
    bias === undefined ? 0 : 1,
    t.strideA,
    t.strideB,
    o.n,
    t.a.offset,
    t.b.offset,
    t.c.offset,
    t.firstColumn,
    t.firstRow,
    t.batchA,
    t.batchB,
    batchC,
  ];
  const grid: Grid = [Math.ceil(n / technique.columns), Math.ceil(m / technique.rows), t.batch];
  // Binding 3 must hold some buffer; a stands in where there is no bias.
  const slots = [t.a.slot, t.b.slot, bias ?? t.a.slot, t.c.slot];
  if (sums !== undefined) slots.push(sums);
  if (t.last && t.preactivation !== undefined) slots.push(t.preactivation);
  launch(gpu, variant, slots, { uints }, grid);
}
