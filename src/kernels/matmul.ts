/** Matrix multiplication: picks the variant, and walks operands that are larger than one binding. */
import type { GpuContext } from '../gpu/context.ts';
import type { Activation } from './activations.ts';
import {
  ALIGNED,
  elementBytes,
  elementGrid,
  type Grid,
  type KernelVariant,
  launch,
  MAX_GROUPS,
  OFFSET_BYTES,
  type Slot,
  shifted,
} from './launch.ts';
import { addParts, chooseMatmul, type MatmulTechnique, matmulVariant, stepOf } from './matmul-variants.ts';

export interface MatmulLaunch {
  /**
   * a and b are both float32 or both float16, c is either; bias and sums are float32. [batch, m, k], or
   * [batch, k, m] where `transposeA`.
   */
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
   * What the activation is given, as c: `store` fills it. `slope` reads it, and c becomes the product times
   * the activation's slope there. It must begin in its buffer as aligned as c does; not together with `sums`.
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

/**
 * Rows [first, end) of an operand, bound from an aligned offset; `offset` counts the elements before the
 * first row.
 */
function bindRows(slot: Slot, rowSize: number, first: number, end: number): At {
  const each = elementBytes(slot);
  const start = (slot.offset ?? 0) + first * rowSize * each;
  const aligned = Math.floor(start / OFFSET_BYTES) * OFFSET_BYTES;
  const size = Math.ceil(((end - first) * rowSize * each + (start - aligned)) / 4) * 4;
  return { slot: { ...slot, offset: aligned, size }, offset: (start - aligned) / each };
}

/** The first `elements` of an operand. */
function bindSpan(slot: Slot, elements: number): At {
  return slot.offset === undefined ? { slot, offset: 0 } : bindRows(slot, elements, 0, 1);
}

function ranges(total: number, most: number): [number, number][] {
  const out: [number, number][] = [];
  for (let first = 0; first < total; first += most) out.push([first, Math.min(first + most, total)]);
  return out;
}

/** Rows of `rowSize` that fit a binding, a multiple of four where there are several. */
function rowsThatFit(gpu: GpuContext, rowSize: number, rows: number): number {
  if (rows * rowSize * 4 <= gpu.maxBindingBytes) return rows;
  const fit = Math.floor((gpu.maxBindingBytes - OFFSET_BYTES) / 4 / rowSize);
  return Math.max(fit >= 4 ? fit - (fit % 4) : fit, 1);
}

/** c = activation(op(a) · op(b) + bias), or with `accumulate` added to c; see also `preactivation`. */
export function matmul(gpu: GpuContext, o: MatmulLaunch): void {
  const batch = o.batch ?? 1;
  const strideA = o.transposeA ? o.m : o.k;
  const strideB = o.transposeB ? o.k : o.n;
  const batchA = o.batchStrideA ?? o.m * o.k;
  const batchB = o.batchStrideB ?? o.k * o.n;
  const spanA = batchA * (batch - 1) + o.m * o.k;
  const spanB = batchB * (batch - 1) + o.k * o.n;
  const spanC = batch * o.m * o.n;
  const whole = Math.max(spanA, spanB, spanC) * 4 <= gpu.maxBindingBytes;
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
    const { preactivation } = o;
    runTile(gpu, o, {
      a: bindSpan(o.a, spanA),
      b: bindSpan(o.b, spanB),
      c: bindSpan(o.c, spanC),
      m: o.m,
      n: o.n,
      k: o.k,
      strideA,
      strideB,
      strideC: o.n,
      batchA,
      batchB,
      batchC: o.m * o.n,
      batch,
      epilogue: {
        accumulate: o.accumulate ?? false,
        bias: o.bias && { slot: o.bias, offset: 0 },
        activation: o.activation ?? 'none',
        preactivation: preactivation && {
          slot: bindSpan(preactivation.slot, spanC).slot,
          use: preactivation.use,
        },
        sums: o.sums && { slot: o.sums, offset: 0 },
      },
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
        // Bias, activation and its input belong to the last step over k.
        const last = k1 === o.k;
        const preactivation = last ? o.preactivation : undefined;
        // The window of rows is bound; where it does not begin within the row itself, an offset skips the
        // columns before it.
        a.offset += o.transposeA ? m0 : k0;
        b.offset += o.transposeB ? k0 : n0;
        c.offset += n0;
        runTile(gpu, o, {
          a,
          b,
          c,
          m: m1 - m0,
          n: n1 - n0,
          k: k1 - k0,
          strideA,
          strideB,
          strideC: o.n,
          batchA,
          batchB,
          batchC: o.m * o.n,
          batch: 1,
          epilogue: {
            accumulate: k0 > 0 || (o.accumulate ?? false),
            bias: last && o.bias ? { slot: o.bias, offset: n0 } : undefined,
            activation: last ? (o.activation ?? 'none') : 'none',
            preactivation: preactivation && {
              slot: bindRows(preactivation.slot, o.n, m0, m1).slot,
              use: preactivation.use,
            },
            // Each row's sum once, though columns may come in several windows.
            sums: n0 === 0 && o.sums ? { slot: o.sums, offset: m0 } : undefined,
          },
        });
      }
    }
  }
}

/** Of a buffer, from an element on. */
interface At {
  slot: Slot;
  offset: number;
}

interface Tile {
  a: At;
  b: At;
  c: At;
  m: number;
  n: number;
  k: number;
  strideA: number;
  strideB: number;
  strideC: number;
  batchA: number;
  batchB: number;
  batchC: number;
  batch: number;
  epilogue: Epilogue;
}

/** What becomes of the products' sums. */
interface Epilogue {
  accumulate: boolean;
  bias: At | undefined;
  activation: Activation;
  /** Its offset is that of c. */
  preactivation: { slot: Slot; use: 'store' | 'slope' } | undefined;
  sums: At | undefined;
}

/** Whether all are multiples of four. */
function aligned(a: number, b = 0, c = 0, d = 0): boolean {
  return ((a | b | c | d) & 3) === 0;
}

function runTile(gpu: GpuContext, o: MatmulLaunch, t: Tile): void {
  const { transposeA, transposeB } = o;
  const { m, n, k } = t;
  const { half = false } = o.a;
  const technique = o.technique ?? chooseMatmul(gpu, { m, n, k, transposeA, transposeB, half });
  if (technique.splits > 1 && t.batch === 1) {
    const part = Math.ceil(k / technique.splits / PART_STEP) * PART_STEP;
    const parts = Math.ceil(k / part);
    if (parts > 1 && parts * m * n * 4 <= gpu.maxBindingBytes) {
      runParts(gpu, o, t, technique, part);
      return;
    }
  }
  runProduct(gpu, o, t, technique, 0);
}

/** One product, or with `part` those of its parts, of which t.batch begin after so much of k each. */
function runProduct(
  gpu: GpuContext,
  { transposeA, transposeB }: MatmulLaunch,
  t: Tile,
  technique: MatmulTechnique,
  part: number,
): void {
  const variant = matmulVariant(technique, {
    TRANSPOSE_A: transposeA,
    TRANSPOSE_B: transposeB,
    VEC_A: aligned(t.a.offset, t.strideA, t.batchA, transposeA ? t.m : t.k),
    VEC_B: aligned(t.b.offset, t.strideB, t.batchB, transposeB ? t.k : t.n),
    VEC_C: aligned(t.c.offset, t.strideC, t.batchC, t.n),
    TAIL_K: t.k % stepOf(technique) !== 0,
    SUM_A: t.epilogue.sums !== undefined,
    ACCUMULATE: t.epilogue.accumulate,
    ACTIVATION: t.epilogue.activation,
    HALF: t.a.slot.half ?? false,
    HALF_C: t.c.slot.half ?? false,
    PREACTIVATION: t.epilogue.preactivation?.use ?? 'none',
  });
  const grid: Grid = [Math.ceil(t.n / technique.columns), Math.ceil(t.m / technique.rows), t.batch];
  dispatch(gpu, variant, t, part, grid);
}

function dispatch(gpu: GpuContext, variant: KernelVariant, t: Tile, part: number, grid: Grid): void {
  const { bias, sums, preactivation } = t.epilogue;
  const uints = [
    t.m,
    t.n,
    t.k,
    bias === undefined ? 0 : 1,
    t.strideA,
    t.strideB,
    t.strideC,
    t.a.offset,
    t.b.offset,
    t.c.offset,
    bias?.offset ?? 0,
    sums?.offset ?? 0,
    t.batchA,
    t.batchB,
    t.batchC,
    t.m,
    part,
  ];
  // Binding 3 must hold some buffer; a stands in where there is no bias.
  const slots = [t.a.slot, t.b.slot, bias?.slot ?? t.a.slot, t.c.slot];
  if (sums !== undefined) slots.push(sums.slot);
  if (preactivation !== undefined) slots.push(preactivation.slot);
  launch(gpu, variant, slots, { uints }, grid);
}

/** Parts are of whole steps of every kernel. */
const PART_STEP = 32;
const NO_EPILOGUE: Epilogue = {
  accumulate: false,
  bias: undefined,
  activation: 'none',
  preactivation: undefined,
  sums: undefined,
};

/**
 * Split-K: workgroups of their own take `part` of k each, and leave [parts, m, n], which a second kernel adds
 * up in order.
 */
function runParts(gpu: GpuContext, o: MatmulLaunch, t: Tile, technique: MatmulTechnique, part: number): void {
  const { m, n, epilogue } = t;
  const parts = Math.ceil(t.k / part);
  // Both kernels bind the sums of a's rows, [parts, m], beside the products.
  const products = Math.ceil((parts * m * n) / ALIGNED) * ALIGNED;
  gpu.borrow(products + (epilogue.sums === undefined ? 0 : parts * m), ({ buffer }) => {
    const c = { slot: { buffer, offset: 0, size: 4 * products }, offset: 0 };
    const sums = { slot: { buffer, offset: 4 * products, size: 4 * parts * m }, offset: 0 };
    const split: Tile = {
      ...t,
      c,
      strideC: n,
      batchA: o.transposeA ? part * t.strideA : part,
      batchB: o.transposeB ? part : part * t.strideB,
      batchC: m * n,
      batch: parts,
      epilogue: epilogue.sums === undefined ? NO_EPILOGUE : { ...NO_EPILOGUE, sums },
    };
    runProduct(gpu, o, split, technique, part);
    const whole: Tile = {
      ...t,
      a: c,
      b: epilogue.sums === undefined ? c : sums,
      k: parts,
      strideA: n,
      strideB: 0,
      batchA: m * n,
      batchB: m,
    };
    const variant = matmulVariant(addParts, {
      TRANSPOSE_A: true,
      TRANSPOSE_B: false,
      VEC_A: aligned(n),
      VEC_B: aligned(m),
      VEC_C: aligned(t.c.offset, t.strideC, n),
      TAIL_K: false,
      SUM_A: epilogue.sums !== undefined,
      ACCUMULATE: epilogue.accumulate,
      ACTIVATION: epilogue.activation,
      HALF: false,
      HALF_C: t.c.slot.half ?? false,
      PREACTIVATION: epilogue.preactivation?.use ?? 'none',
    });
    dispatch(gpu, variant, whole, 0, elementGrid(m * Math.ceil(n / 4)));
  });
}
