/** Rows of the op table: functions of numbers, comparisons, choices, extremes and joins. */
import { eq, ge, gt, le, lt, maximum, minimum, ne, where } from '../../src/tensor/ops/compare.ts';
import { amax, amin, argmax, argmin, max, min } from '../../src/tensor/ops/extremes.ts';
import * as functions from '../../src/tensor/ops/functions.ts';
import { cat, stack } from '../../src/tensor/ops/join.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { at, atBroadcast, build, type NdArray, nd } from '../support/ndarray.ts';
import { broadcasting, type OpRow, pointwise } from './op-row.ts';

/** Numbers from 0.4 to 3.6. */
const positive = { range: 1.6, shift: { x: 2, a: 2 } };

const numberRows: OpRow[] = [
  ...pointwise('log', functions.log, Math.log, positive),
  ...pointwise('sqrt', functions.sqrt, Math.sqrt, positive),
  ...pointwise('abs', functions.abs, Math.abs),
  ...pointwise(
    'clamp',
    (x) => functions.clamp(x, { min: -1.5, max: 2 }),
    (x) => Math.min(Math.max(x, -1.5), 2),
  ),
  ...[2, 3, -1, 1.7, 0.5].flatMap((exponent) =>
    pointwise(
      'power',
      (x) => functions.pow(x, exponent),
      (x) => x ** exponent,
      { ...positive, ...(exponent === 3 && { range: 2, shift: {} }) },
    ).map((row) => ({ ...row, note: `${row.note} of ${exponent}` })),
  ),
];

const pairRows: OpRow[] = [
  ...broadcasting('pow', functions.pow, (a, b) => a ** b, { ...positive, gradAtol: 1e-4 }),
  ...broadcasting('maximum', maximum, Math.max),
  ...broadcasting('minimum', minimum, Math.min),
];

const comparisons: [string, typeof eq, (a: number, b: number) => boolean][] = [
  ['eq', eq, (a, b) => a === b],
  ['ne', ne, (a, b) => a !== b],
  ['lt', lt, (a, b) => a < b],
  ['le', le, (a, b) => a <= b],
  ['gt', gt, (a, b) => a > b],
  ['ge', ge, (a, b) => a >= b],
];
const constant = ['a', 'b'];

const comparisonRows: OpRow[] = comparisons.flatMap(([name, run, f]) => {
  const rows = broadcasting(name, run, (a, b) => Number(f(a, b)), { range: 2, whole: true, constant });
  const shapes: [number[], number[]][] = [
    [
      [4, 9],
      [4, 9],
    ],
    [[4, 8], [8]],
    [[4, 1], [9]],
  ];
  const integers = shapes.map(([a, b]): OpRow => {
    const inputs = { a: build(a, (_, i) => 2 ** 24 + (i % 5)), b: build(b, (_, i) => 2 ** 24 + (i % 3)) };
    const shape = build(a, () => 0).shape.length < b.length ? b : [a[0]!, Math.max(a[1]!, b.at(-1)!)];
    return {
      op: name,
      note: `integers [${a.join(',')}] with [${b.join(',')}]`,
      shapes: {},
      integers: inputs,
      run: (t) => run(t.a!, t.b!),
      reference: (r) => build(shape, (i) => Number(f(atBroadcast(r.a!, i), atBroadcast(r.b!, i)))),
      atol: 0,
    };
  });
  const wide = { op: name, note: '[3,40], equal shapes', shapes: { a: [3, 40], b: [3, 40] } };
  return [...rows, ...integers, { ...rows[0]!, ...wide, bad: [], reference: elementwise(f) }];
});

/** f of both inputs, which have one shape. */
function elementwise(f: (a: number, b: number) => boolean) {
  return (r: Record<string, NdArray>): NdArray =>
    build(r.a!.shape, (_, i) => Number(f(r.a!.data[i]!, r.b!.data[i]!)));
}

const whereRows: OpRow[] = (
  [
    [
      [5, 8],
      [5, 8],
      [5, 8],
      [5, 8],
    ],
    [[7], [7], [7], [7]],
    [[3, 1], [5], [], [3, 5]],
    [
      [2, 3, 1],
      [3, 5],
      [2, 1, 5],
      [2, 3, 5],
    ],
  ] as const
).map(([condition, a, b, shape], index) => ({
  op: 'where',
  note: `[${condition.join(',')}] of [${a.join(',')}] and [${b.join(',')}]`,
  shapes: { a, b },
  integers: { condition: build(condition, (_, i) => [0, 1, -3][i % 3]!) },
  run: (t) => where(t.condition!, t.a!, t.b!),
  reference: (r) => build(shape, (i) => atBroadcast(atBroadcast(r.condition!, i) !== 0 ? r.a! : r.b!, i)),
  atol: 0,
  ...(index === 0 && {
    bad: [
      { a: [5, 8], b: [5, 7] },
      { a: [4, 8], b: [8] },
    ],
  }),
}));

const axes: [readonly number[], number | undefined, boolean][] = [
  [[1], undefined, false],
  [[], undefined, false],
  [[130, 3], 0, false],
  [[3, 131], 1, true],
  [[2, 67, 5], -2, false],
  [[70, 70], undefined, false],
  [[5, 4, 3], undefined, true],
  [[4, 9], -1, false],
];

/** The place, along the axis, of the best number of each column, and the number. */
function bestOf(
  x: NdArray,
  dim: number | undefined,
  keepdim: boolean,
  beats: (a: number, b: number) => boolean,
): Record<'values' | 'rows', NdArray> {
  const { shape } = x;
  const axis = dim === undefined ? undefined : (dim + shape.length) % shape.length;
  const kept = shape.map((size, d) => (axis === undefined || d === axis ? 1 : size));
  const n = axis === undefined ? x.data.length : shape[axis]!;
  const value = (index: number[], row: number): number =>
    axis === undefined
      ? x.data[row]!
      : at(
          x,
          index.map((i, d) => (d === axis ? row : i)),
        );
  const rows = build(kept, (index) => {
    let best = 0;
    for (let row = 1; row < n; row += 1) if (beats(value(index, row), value(index, best))) best = row;
    return best;
  });
  const values = build(kept, (index, flat) => value(index, rows.data[flat]!));
  const dropped = keepdim ? kept : shape.filter((_, d) => axis !== undefined && d !== axis);
  return { values: nd(dropped, values.data), rows: nd(dropped, rows.data) };
}

const extremeRows: OpRow[] = axes.flatMap(([shape, dim, keepdim], index): OpRow[] => {
  const note = `[${shape.join(',')}] over ${dim ?? 'all'}${keepdim ? ', kept' : ''}`;
  const base = { note, shapes: { x: shape }, atol: 0 };
  const bad = index === 2 ? { bad: [{ x: [0, 3] }] } : {};
  return (
    [
      ['max', argmax, amax, max, (a: number, b: number) => a > b],
      ['min', argmin, amin, min, (a: number, b: number) => a < b],
    ] as const
  ).flatMap(([name, arg, even, both, beats]): OpRow[] => {
    const reference = (part: 'values' | 'rows') => (r: Record<string, NdArray>) =>
      bestOf(r.x!, dim, keepdim, beats)[part];
    return [
      {
        ...base,
        ...bad,
        op: `arg${name}`,
        run: (t) => arg(t.x!, dim, keepdim),
        // Equal numbers, of which the first counts.
        ...{ whole: true, range: 30, constant: ['x'] },
        reference: reference('rows'),
      },
      {
        ...base,
        ...bad,
        op: `a${name}`,
        run: (t) => even(t.x!, dim, keepdim),
        reference: reference('values'),
      },
      ...(dim === undefined
        ? []
        : [
            {
              ...base,
              ...bad,
              op: 'takeAlong',
              note: `${name} of ${note}`,
              run: (t: Record<string, Tensor>) => both(t.x!, dim, keepdim).values,
              reference: reference('values'),
            },
          ]),
    ];
  });
});

const letters = 'abcdefghijklmnopqrst';

/** The parts along a dimension, in order of their names. */
function catOf(parts: readonly NdArray[], dim: number): NdArray {
  const [first] = parts;
  const sizes = parts.map(({ shape }) => shape[dim]!);
  const whole = first!.shape.map((size, d) => (d === dim ? sizes.reduce((a, b) => a + b) : size));
  return build(whole, (index) => {
    let row = index[dim]!;
    let part = 0;
    for (; row >= sizes[part]!; part += 1) row -= sizes[part]!;
    return at(
      parts[part]!,
      index.map((i, d) => (d === dim ? row : i)),
    );
  });
}

const joinRows: OpRow[] = (
  [
    [
      [
        [3, 5],
        [2, 5],
      ],
      0,
    ],
    [
      [
        [2, 3, 5],
        [2, 1, 5],
        [2, 4, 5],
      ],
      -2,
    ],
    [
      [
        [4, 2],
        [4, 0],
        [4, 7],
      ],
      1,
    ],
    [[[6]], 0],
    [Array.from({ length: 20 }, (_, i) => [2, 1 + (i % 3)]), 1],
  ] as [number[][], number][]
).map(([shapes, dim], index) => {
  const named = Object.fromEntries(shapes.map((shape, i) => [letters[i]!, shape]));
  const inOrder = <T>(parts: Record<string, T>): T[] => Object.keys(named).map((name) => parts[name]!);
  return {
    op: 'cat',
    note: `${shapes.length} of [${shapes[0]!.join(',')}] along ${dim}`,
    shapes: named,
    run: (t) => cat(inOrder(t), dim),
    reference: (r) => catOf(inOrder(r), dim < 0 ? dim + shapes[0]!.length : dim),
    atol: 0,
    ...(index === 0 && {
      bad: [
        { a: [3, 5], b: [3, 4] },
        { a: [3], b: [3, 1] },
        { a: [], b: [] },
      ],
    }),
  };
});

const stackRows: OpRow[] = [0, 1, -1].map((dim) => ({
  op: 'cat',
  note: `stacked along ${dim}`,
  shapes: { a: [3, 4], b: [3, 4] },
  run: (t) => stack([t.a!, t.b!], dim),
  reference: (r) => {
    const place = dim < 0 ? dim + 3 : dim;
    return build(
      [3, 4].flatMap((size, d) => (d === place ? [2, size] : [size])).concat(place === 2 ? [2] : []),
      (index) =>
        at(
          index[place] === 0 ? r.a! : r.b!,
          index.filter((_, d) => d !== place),
        ),
    );
  },
  atol: 0,
  ...(dim === 0 && { bad: [{ a: [3, 4], b: [4, 3] }] }),
}));

export const functionRows: readonly OpRow[] = [
  ...numberRows,
  ...pairRows,
  ...comparisonRows,
  ...whereRows,
  ...extremeRows,
  ...joinRows,
  ...stackRows,
];
