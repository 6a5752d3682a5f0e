/** Shapes: sizes, strides, broadcasting, and their text in messages. */
import { ShapeError } from '../errors.ts';

export { sizeOf } from '../arrays.ts';

export type Shape = readonly number[];

/** The text of a shape in messages: `[8,128,768]`. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(',')}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, d) => size === b[d]);
}

/** Strides in elements of a row-major tensor. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d -= 1) {
    strides[d] = step;
    step *= shape[d]!;
  }
  return strides;
}

/** Broadcasts by NumPy's rule: aligns shapes at their ends and stretches sizes of 1. Throws `ShapeError`. */
export function broadcastShapes(op: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, d) => {
    const left = a[d - rank + a.length] ?? 1;
    const right = b[d - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError(`${op}: shapes do not broadcast: ${formatShape(a)} · ${formatShape(b)}`, {
        remedy: 'sizes must be equal or 1, counted from the last dimension',
      });
    }
    return left === 1 ? right : left;
  });
}

/** Strides that read a tensor of shape `from` as if it had shape `to`: 0 for repeated dimensions. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const strides = stridesOf(from);
  return to.map((size, d) => {
    const at = d - to.length + from.length;
    return at < 0 || (from[at] === 1 && size !== 1) ? 0 : strides[at]!;
  });
}

/** Counts a dimension from the front; −1 is the last. Throws `ShapeError` naming the op. */
export function normalizeDim(op: string, dim: number, shape: Shape): number {
  const at = dim < 0 ? dim + shape.length : dim;
  if (!Number.isInteger(dim) || at < 0 || at >= shape.length) {
    throw new ShapeError(`${op}: there is no dimension ${dim} in ${formatShape(shape)}`, {
      remedy: `use ${-shape.length} to ${shape.length - 1}`,
    });
  }
  return at;
}

export function checkShape(op: string, shape: Shape): void {
  if (!shape.every((size) => Number.isInteger(size) && size >= 0)) {
    throw new ShapeError(`${op}: ${formatShape(shape)} is not a shape`, { remedy: 'sizes are integers ≥ 0' });
  }
}
