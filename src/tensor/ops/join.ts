/** Operations that join tensors: cat, stack. */
import { DtypeError, ShapeError } from '../../errors.ts';
import { stridedCopy } from '../../kernels/pointwise.ts';
import { defineOp } from '../op.ts';
import { formatShape, normalizeDim, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { reshape } from './view.ts';

/** Names of the tensors that one operation joins; more are joined in groups. */
const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const;
type Name = (typeof names)[number];

interface CatOptions {
  dim: number;
  /** The first entry of each tensor in the whole. */
  starts: readonly number[];
}

/** Copies a part into the whole, or out of it: its entries of dimension `dim` from `start` on. */
function copyPart(way: 'in' | 'out', whole: Tensor, part: Tensor, dim: number, start: number): void {
  if (part.size === 0) return;
  const inner = sizeOf(whole.shape.slice(dim + 1));
  const length = part.shape[dim]! * inner;
  const there = { slot: whole.slot, strides: [whole.shape[dim]! * inner, 1], offset: start * inner };
  const own = { slot: part.slot, strides: [length, 1], offset: 0 };
  const [from, to] = way === 'in' ? [own, there] : [there, own];
  stridedCopy(whole.device.gpu, {
    source: from.slot,
    target: to.slot,
    shape: [sizeOf(whole.shape.slice(0, dim)), length],
    sourceStrides: from.strides,
    targetStrides: to.strides,
    sourceOffset: from.offset,
    targetOffset: to.offset,
  });
}

const catOp = defineOp({
  name: 'cat',
  inputs: { a: 'any', b: 'any?', c: 'any?', d: 'any?', e: 'any?', f: 'any?', g: 'any?', h: 'any?' },
  shape: (parts, { dim }: CatOptions) => {
    const { shape, dtype } = parts.a;
    const size = names.reduce((total, name) => total + (parts[name]?.shape[dim] ?? 0), 0);
    return { shape: shape.map((own, d) => (d === dim ? size : own)), dtype };
  },
  forward: (parts, whole, { dim, starts }) => {
    for (const [at, start] of starts.entries()) copyPart('in', whole, parts[names[at]!]!, dim, start);
  },
  saves: [],
  backward: ({ dy, needs, options: { dim, starts }, shape }) => {
    const gradients: Partial<Record<Name, Tensor>> = {};
    for (const [at, start] of starts.entries()) {
      const name = names[at]!;
      if (!needs[name]) continue;
      const part = dy.device.raw(shape(name), dy.dtype);
      copyPart('out', dy, part, dim, start);
      gradients[name] = part;
    }
    return gradients;
  },
});

/** Throws unless all are of one type, and of one shape but for dimension `dim`. */
function checkParts(op: string, [first, ...rest]: readonly Tensor[], dim: number): void {
  for (const [at, one] of rest.entries()) {
    if (one.dtype !== first!.dtype)
      throw new DtypeError(`${op}: tensor 0 is ${first!.dtype}, tensor ${at + 1} ${one.dtype}`, {
        remedy: 'give them one type',
      });
    const fits =
      one.rank === first!.rank && one.shape.every((size, d) => d === dim || size === first!.shape[d]);
    if (!fits)
      throw new ShapeError(
        `${op}: tensor 0 is ${formatShape(first!.shape)}, tensor ${at + 1} ${formatShape(one.shape)}`,
        { remedy: dim < 0 ? 'they must have one shape' : `they may differ in dimension ${dim} only` },
      );
  }
}

function joined(tensors: readonly Tensor[], dim: number): Tensor {
  if (tensors.length <= names.length) {
    const starts: number[] = [];
    tensors.reduce((start, { shape }) => {
      starts.push(start);
      return start + shape[dim]!;
    }, 0);
    const [a, b, c, d, e, f, g, h] = tensors;
    return catOp({ a: a!, b, c, d, e, f, g, h }, { dim, starts });
  }
  let size: number = names.length;
  while (size * names.length < tensors.length) size *= names.length;
  const groups: Tensor[] = [];
  for (let at = 0; at < tensors.length; at += size) groups.push(joined(tensors.slice(at, at + size), dim));
  const whole = joined(groups, dim);
  for (const group of groups) group.dispose();
  return whole;
}

/**
 * Joins tensors along a dimension. They have one type, and one shape but for that dimension; tensors of shape [0]
 * are left out, as in PyTorch. Throws `ShapeError` or `DtypeError` for others, and for no tensors.
 */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  const filled = tensors.filter(({ shape }) => shape.length !== 1 || shape[0] !== 0);
  const parts = filled.length === 0 ? tensors.slice(0, 1) : filled;
  const [first] = parts;
  if (first === undefined) throw new ShapeError('cat: there are no tensors');
  if (first.rank === 0) throw new ShapeError('cat: a scalar has no dimension', { remedy: 'use stack' });
  const at = normalizeDim('cat', dim, first.shape);
  checkParts('cat', parts, at);
  return joined(parts, at);
}

/** Joins tensors of one shape along a new dimension. Throws as `cat`. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new ShapeError('stack: there are no tensors');
  checkParts('stack', tensors, -1);
  const at = normalizeDim('stack', dim, [...first.shape, 1]);
  const shape = [...first.shape.slice(0, at), 1, ...first.shape.slice(at)];
  const parts = tensors.map((one) => reshape(one, shape));
  const whole = joined(parts, at);
  for (const part of parts) part.dispose();
  return whole;
}
