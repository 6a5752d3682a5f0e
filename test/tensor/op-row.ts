/** What a row of the op table is, and rows of elementwise operations. */
import type { Tensor } from '../../src/tensor/tensor.ts';
import { atBroadcast, build, map, type NdArray } from '../support/ndarray.ts';

export type Shapes = Readonly<Record<string, readonly number[]>>;
/** Values of integer inputs, which take no gradient. */
type Integers = Readonly<Record<string, NdArray>>;

export interface OpRow {
  /** Name of the registered operation. */
  op: string;
  /** Distinguishes this row from the others of the op. */
  note: string;
  shapes: Shapes;
  integers?: Integers;
  /** Factor of the random inputs, which are in [-1, 1). */
  range?: number;
  /** Rounds the random inputs to whole numbers, many of which are then equal. */
  whole?: boolean;
  /** Added to the random inputs, by name. */
  shift?: Readonly<Record<string, number>>;
  run: (inputs: Record<string, Tensor>) => Tensor;
  reference: (inputs: Record<string, NdArray>) => NdArray;
  atol?: number;
  gradAtol?: number;
  /** Inputs without a gradient. */
  constant?: readonly string[];
  /** Shapes that must throw; a snapshot holds the messages. */
  bad?: readonly Shapes[];
}

/** Rows of a function of each number. */
export function pointwise(
  op: string,
  run: (x: Tensor) => Tensor,
  f: (x: number) => number,
  inputs: Partial<OpRow> = {},
): OpRow[] {
  return [[1], [7, 13], [3, 5, 17], [1029]].map((shape) => ({
    op,
    note: `[${shape.join(',')}]`,
    shapes: { x: shape },
    range: 4,
    run: ({ x }) => run(x!),
    reference: ({ x }) => map(x!, f),
    atol: 2e-6,
    ...inputs,
  }));
}

/** Rows of an operation of two tensors, equal shapes and broadcast ones. */
export function broadcasting(
  op: string,
  run: (a: Tensor, b: Tensor) => Tensor,
  f: (a: number, b: number) => number,
  inputs: Partial<OpRow> = {},
): OpRow[] {
  const cases: [readonly number[], readonly number[], readonly number[]][] = [
    [
      [5, 7],
      [5, 7],
      [5, 7],
    ],
    [[3, 5, 7], [7], [3, 5, 7]],
    [
      [3, 5, 7],
      [5, 7],
      [3, 5, 7],
    ],
    [
      [3, 1, 7],
      [5, 1],
      [3, 5, 7],
    ],
    [[2, 3], [], [2, 3]],
    [[1], [4, 1], [4, 1]],
  ];
  return cases.map(([a, b, shape], index) => ({
    op,
    note: `[${a.join(',')}] with [${b.join(',')}]`,
    shapes: { a, b },
    run: (t) => run(t.a!, t.b!),
    reference: (r) => build(shape, (i) => f(atBroadcast(r.a!, i), atBroadcast(r.b!, i))),
    atol: 2e-6,
    ...inputs,
    ...(index === 0 && { bad: [{ a: [2, 3], b: [2] }] }),
  }));
}
