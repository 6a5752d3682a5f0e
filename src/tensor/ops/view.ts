/** Operations that move elements: reshape (no copy), permute, transpose, narrow, select. */
import { ShapeError } from '../../errors.ts';
import { MAX_STRIDED_RANK } from '../../kernels/elements.ts';
import { type StridedCopyLaunch, stridedCopy } from '../../kernels/pointwise.ts';
import { defineOp } from '../op.ts';
import { formatShape, normalizeDim, type Shape, sizeOf, stridesOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Resolves one size of −1. Throws `ShapeError` if the elements do not fit. */
function resolveShape(x: Tensor, shape: Shape): number[] {
  const known = shape.filter((size) => size !== -1);
  const rest = sizeOf(known);
  const open = shape.length - known.length;
  const inferred = open === 1 && rest > 0 ? x.size / rest : -1;
  const resolved = shape.map((size) => (size === -1 ? inferred : size));
  if (
    open > 1 ||
    !resolved.every(Number.isInteger) ||
    sizeOf(resolved) !== x.size ||
    resolved.some((s) => s < 0)
  ) {
    throw new ShapeError(
      `reshape: ${formatShape(x.shape)} has ${x.size} elements and does not fit ${formatShape(shape)}`,
    );
  }
  return resolved;
}

const reshapeOp = defineOp({
  name: 'reshape',
  inputs: { x: 'any' },
  shape: ({ x }, { shape }: { shape: Shape }) => ({ shape: resolveShape(x, shape), dtype: x.dtype }),
  view: ({ x }, { shape }) => x.alias(shape),
  saves: [],
  backward: ({ dy, shape }) => ({ x: dy.alias(shape('x')) }),
});

/** The same elements under another shape; shares memory. One size may be −1. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return reshapeOp({ x }, { shape });
}

function checkRank(op: string, shape: Shape): void {
  if (shape.length > MAX_STRIDED_RANK) {
    throw new ShapeError(`${op}: ${formatShape(shape)} has more than ${MAX_STRIDED_RANK} dimensions`);
  }
}

/** Copies a box of x into y; strides are those of contiguous tensors unless given. */
function copyBox(x: Tensor, y: Tensor, box: Partial<StridedCopyLaunch> & { shape: Shape }): void {
  const strides = { sourceStrides: stridesOf(x.shape), targetStrides: stridesOf(y.shape) };
  stridedCopy(x.device.gpu, { source: x.slot, target: y.slot, ...strides, ...box });
}

/** Copies x into y: dimension d of y is dimension dims[d] of x. */
function permuteInto(x: Tensor, y: Tensor, dims: readonly number[]): void {
  const strides = stridesOf(x.shape);
  copyBox(x, y, { shape: y.shape, sourceStrides: dims.map((d) => strides[d]!) });
}

const permuteOp = defineOp({
  name: 'permute',
  inputs: { x: 'any' },
  shape: ({ x }, { dims }: { dims: readonly number[] }) => {
    checkRank('permute', x.shape);
    const order = [...dims].sort((a, b) => a - b);
    if (order.length !== x.rank || order.some((d, at) => d !== at)) {
      throw new ShapeError(
        `permute: [${dims.join(',')}] does not order the dimensions of ${formatShape(x.shape)}`,
      );
    }
    return { shape: dims.map((d) => x.shape[d]!), dtype: x.dtype };
  },
  forward: ({ x }, y, { dims }) => permuteInto(x, y, dims),
  saves: [],
  backward: ({ dy, options: { dims }, shape }) => {
    const dx = dy.device.raw(shape('x'), dy.dtype);
    const inverse = dims.map((_, at) => dims.indexOf(at));
    permuteInto(dy, dx, inverse);
    return { x: dx };
  },
});

/** Reorders dimensions (a copy). */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  return permuteOp({ x }, { dims: dims.map((d) => normalizeDim('permute', d, x.shape)) });
}

/** Swaps two dimensions (a copy). */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  const a = normalizeDim('transpose', dim0, x.shape);
  const b = normalizeDim('transpose', dim1, x.shape);
  return permute(
    x,
    x.shape.map((_, d) => (d === a ? b : d === b ? a : d)),
  );
}

interface NarrowOptions {
  dim: number;
  start: number;
  length: number;
}

const narrowOp = defineOp({
  name: 'narrow',
  inputs: { x: 'any' },
  shape: ({ x }, { dim, start, length }: NarrowOptions) => {
    checkRank('narrow', x.shape);
    const size = x.shape[dim]!;
    if (
      !Number.isInteger(start) ||
      !Number.isInteger(length) ||
      start < 0 ||
      length < 0 ||
      start + length > size
    ) {
      throw new ShapeError(
        `narrow: ${start} to ${start + length} is outside dimension ${dim} of ${formatShape(x.shape)}`,
      );
    }
    return { shape: x.shape.map((s, d) => (d === dim ? length : s)), dtype: x.dtype };
  },
  forward: ({ x }, y, { dim, start }) =>
    copyBox(x, y, { shape: y.shape, sourceOffset: start * stridesOf(x.shape)[dim]! }),
  saves: [],
  backward: ({ dy, options: { dim, start }, shape }) => {
    const dx = dy.device.raw(shape('x'), dy.dtype);
    dy.device.fill(dx, 0);
    copyBox(dy, dx, { shape: dy.shape, targetOffset: start * stridesOf(dx.shape)[dim]! });
    return { x: dx };
  },
});

/** `length` entries of one dimension, from `start` on (a copy). */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  return narrowOp({ x }, { dim: normalizeDim('narrow', dim, x.shape), start, length });
}

/**
 * Takes one entry of a dimension and removes the dimension: `select(x, 1, 0)` of [batch, seq, hidden] gives
 * the first tokens, [batch, hidden].
 */
export function select(x: Tensor, dim: number, index: number): Tensor {
  const at = normalizeDim('select', dim, x.shape);
  const start = index < 0 ? index + x.shape[at]! : index;
  const part = narrow(x, at, start, 1);
  const shape = x.shape.filter((_, d) => d !== at);
  const entry = reshape(part, shape);
  part.dispose();
  return entry;
}
