/** One product whose operands can be bound at once: its dispatch, or those of its parts. */
import type { GpuContext } from '../../gpu/context.ts';
import { floatDtypeOf } from '../../gpu/dtype.ts';
import type { Activation } from '../activations.ts';
import { ALIGNED, elementGrid, type Grid, type KernelVariant, launch, type Slot } from '../launch.ts';
import { chooseMatmul, type Sizes } from './choose.ts';
import type { MatmulTechnique } from './techniques.ts';
import { type Layout, partsVariant, productVariant } from './variants.ts';

/** A slot from an element on. */
export interface At {
  slot: Slot;
  offset: number;
}

export type Operand = At & Layout;

export interface Product extends Sizes {
  a: Operand;
  b: Operand;
  c: Operand;
  batch: number;
  epilogue: Epilogue;
}

/** What a kernel does with the sums before it writes them. */
export interface Epilogue {
  accumulate: boolean;
  bias: At | undefined;
  activation: Activation;
  /** Its offset is that of c. */
  preactivation: { slot: Slot; use: 'store' | 'slope' } | undefined;
  sums: At | undefined;
}

/** The technique is the one that suits adapter and shape unless given. */
export function runProduct(gpu: GpuContext, p: Product, given: MatmulTechnique | undefined): void {
  const { m, n, k, transposeA, transposeB } = p;
  const technique =
    given ?? chooseMatmul(gpu, { m, n, k, transposeA, transposeB, dtype: floatDtypeOf(p.a.slot) });
  if (technique.splits > 1 && p.batch === 1) {
    const part = Math.ceil(k / technique.splits / PART_STEP) * PART_STEP;
    const parts = Math.ceil(k / part);
    if (parts > 1 && parts * m * n * 4 <= gpu.maxBindingBytes) {
      runParts(gpu, p, technique, part);
      return;
    }
  }
  runWhole(gpu, p, technique, 0);
}

/** One dispatch: of whole matrices, or of p.batch parts that take `part` of k each. */
function runWhole(gpu: GpuContext, p: Product, technique: MatmulTechnique, part: number): void {
  const grid: Grid = [Math.ceil(p.n / technique.columns), Math.ceil(p.m / technique.rows), p.batch];
  dispatch(gpu, productVariant(technique, p), p, part, grid);
}

/** The scalars are the fields of `Params` in shaders/common/matmul.wgsl, in order. */
function dispatch(gpu: GpuContext, variant: KernelVariant, p: Product, part: number, grid: Grid): void {
  const { a, b, c, m, n, k } = p;
  const { bias, sums, preactivation } = p.epilogue;
  const hasBias = bias === undefined ? 0 : 1;
  const strides = [a.stride, b.stride, c.stride];
  const offsets = [a.offset, b.offset, c.offset, bias?.offset ?? 0, sums?.offset ?? 0];
  const batches = [a.batch, b.batch, c.batch, m];
  const uints = [m, n, k, hasBias, ...strides, ...offsets, ...batches, part];
  // Binding 3 must hold some buffer: a's if there is no bias.
  const slots = [a.slot, b.slot, bias?.slot ?? a.slot, c.slot];
  if (sums !== undefined) slots.push(sums.slot);
  if (preactivation !== undefined) slots.push(preactivation.slot);
  launch(gpu, variant, slots, { uints }, grid);
}

/** Parts are whole steps of every kernel. */
const PART_STEP = 32;

const NO_EPILOGUE: Epilogue = {
  accumulate: false,
  bias: undefined,
  activation: 'none',
  preactivation: undefined,
  sums: undefined,
};

/**
 * Split-K: workgroups of their own take `part` of k each and leave [parts, m, n], which a second kernel adds
 * up in order.
 */
function runParts(gpu: GpuContext, p: Product, technique: MatmulTechnique, part: number): void {
  const { a, b, m, n, k, epilogue } = p;
  const summed = epilogue.sums !== undefined;
  const parts = Math.ceil(k / part);
  // Both kernels bind the sums of a's rows, [parts, m], beside the products.
  const products = Math.ceil((parts * m * n) / ALIGNED) * ALIGNED;
  gpu.borrow(products + (summed ? parts * m : 0), ({ buffer }) => {
    const operand = (first: number, elements: number, layout: Omit<Layout, 'offset'>): Operand => ({
      slot: { buffer, offset: 4 * first, size: 4 * elements },
      offset: 0,
      ...layout,
    });
    const results = operand(0, products, { stride: n, batch: m * n });
    const sums = operand(products, parts * m, { stride: 0, batch: m });
    const split: Product = {
      ...p,
      a: { ...a, batch: p.transposeA ? part * a.stride : part },
      b: { ...b, batch: p.transposeB ? part : part * b.stride },
      c: results,
      batch: parts,
      epilogue: summed ? { ...NO_EPILOGUE, sums } : NO_EPILOGUE,
    };
    runWhole(gpu, split, technique, part);
    // Without sums, b is bound but not read.
    const whole: Product = { ...p, a: results, b: summed ? sums : results, k: parts };
    dispatch(gpu, partsVariant(p), whole, 0, elementGrid(m * Math.ceil(n / 4)));
  });
}
