/** The op table: at least one row for each registered operation. ops.test.ts and half.test.ts test it. */

import { attention, selfAttention } from '../../src/tensor/ops/attention.ts';
import { distanceAttention, firstsOf } from '../../src/tensor/ops/distance-attention.ts';
import { byDistance } from '../../src/tensor/ops/distances.ts';
import * as elementwise from '../../src/tensor/ops/elementwise.ts';
import { embedding, positionIds } from '../../src/tensor/ops/embedding.ts';
import { feedForward } from '../../src/tensor/ops/feed-forward.ts';
import { gated } from '../../src/tensor/ops/gated.ts';
import { bceWithLogits, crossEntropy, mseLoss } from '../../src/tensor/ops/loss.ts';
import { linear, matmul } from '../../src/tensor/ops/matmul.ts';
import { addLayerNorm, layerNorm, softmax } from '../../src/tensor/ops/normalize.ts';
import { mean, sum } from '../../src/tensor/ops/reduction.ts';
import { rotary } from '../../src/tensor/ops/rotary.ts';
import { takeRows } from '../../src/tensor/ops/rows.ts';
import { maxTokens, normalize } from '../../src/tensor/ops/text-vectors.ts';
import { narrow, permute, reshape } from '../../src/tensor/ops/view.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { at, build, erf, map, type NdArray, nd, sumOver } from '../support/ndarray.ts';
import { functionRows } from './function-rows.ts';
import { broadcasting, type OpRow, pointwise } from './op-row.ts';

const lastDim = (shape: readonly number[]): number => shape.at(-1)!;

interface Product {
  a: readonly number[];
  b: readonly number[];
  ta?: boolean;
  tb?: boolean;
}

function productReference({ ta = false, tb = false }: Product) {
  return (r: Record<string, NdArray>): NdArray => {
    const a = r.a!;
    const b = r.b!;
    const lead = a.shape.slice(0, -2);
    const [ar, ac] = [a.shape.at(-2)!, a.shape.at(-1)!];
    const [m, k] = ta ? [ac, ar] : [ar, ac];
    const n = tb ? b.shape.at(-2)! : b.shape.at(-1)!;
    return build([...lead, m, n], (index) => {
      const z = index.slice(0, -2);
      const [i, j] = [index.at(-2)!, index.at(-1)!];
      const zb = b.shape.length === 2 ? [] : z;
      const dot = sumOver(
        k,
        (l) => at(a, [...z, ...(ta ? [l, i] : [i, l])]) * at(b, [...zb, ...(tb ? [j, l] : [l, j])]),
      );
      return dot + (r.bias ? r.bias.data[j]! : 0);
    });
  };
}

const products: Product[] = [
  { a: [1, 1], b: [1, 1] },
  { a: [8, 8], b: [8, 8] },
  { a: [5, 7], b: [7, 3] },
  { a: [5, 7], b: [3, 7], tb: true },
  { a: [7, 5], b: [7, 3], ta: true },
  { a: [7, 5], b: [3, 7], ta: true, tb: true },
  { a: [12, 20], b: [20, 16] },
  { a: [12, 20], b: [16, 20], tb: true },
  { a: [20, 12], b: [20, 16], ta: true },
  { a: [20, 12], b: [16, 20], ta: true, tb: true },
  { a: [2, 3, 5], b: [5, 4] },
  { a: [2, 3, 5], b: [2, 5, 4] },
  { a: [2, 3, 5], b: [2, 4, 5], tb: true },
  { a: [2, 5, 3], b: [5, 4], ta: true },
  { a: [2, 2, 4, 4], b: [2, 2, 4, 4], ta: true },
];

const matmulRows: OpRow[] = products.map((p, index) => ({
  op: 'matmul',
  note: `${p.ta ? 'ᵀ' : ''}[${p.a.join(',')}] · [${p.b.join(',')}]${p.tb ? 'ᵀ' : ''}`,
  shapes: { a: p.a, b: p.b },
  run: (t) => matmul(t.a!, t.b!, { transposeA: p.ta ?? false, transposeB: p.tb ?? false }),
  reference: productReference(p),
  atol: 5e-6,
  ...(index === 0 && {
    bad: [
      { a: [8, 128, 768], b: [512, 768] },
      { a: [3], b: [3, 2] },
      { a: [2, 3, 4], b: [3, 4, 5] },
    ],
  }),
}));

const linearRows: OpRow[] = [
  { x: [6, 5], weight: [3, 5], bias: [3] },
  { x: [2, 3, 8], weight: [4, 8], bias: [4] },
].map(({ x, weight, bias }) => ({
  op: 'matmul',
  note: `with bias, x [${x.join(',')}]`,
  shapes: { x, weight, bias },
  run: (t) => linear(t.x!, t.weight!, t.bias!),
  reference: (r) => productReference({ a: x, b: weight, tb: true })({ a: r.x!, b: r.weight!, bias: r.bias! }),
  atol: 5e-6,
  bad: [{ x, weight, bias: [9] }],
}));

const taken = [2, 0, -1, 5, 3];
const takeRowsRow: OpRow = {
  op: 'takeRows',
  note: 'some rows of six, and a gap',
  shapes: { x: [6, 5] },
  integers: {
    rows: nd([5], taken),
    back: nd(
      [6],
      [0, 1, 2, 3, 4, 5].map((row) => taken.indexOf(row)),
    ),
  },
  run: (t) => takeRows(t.x!, t.rows!, t.back!),
  reference: (r) =>
    build([5, 5], ([row, column]) => (taken[row!]! < 0 ? 0 : at(r.x!, [taken[row!]!, column!]))),
  bad: [{ x: [5, 5] }, { x: [6] }],
};

const geluOf = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));

const geluTanhOf = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

const activationsOf = {
  gelu: geluOf,
  gelu_tanh: geluTanhOf,
  quick_gelu: (x: number) => x / (1 + Math.exp(-1.702 * x)),
  tanh: Math.tanh,
  relu: (x: number) => Math.max(x, 0),
  sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
  silu: (x: number) => x / (1 + Math.exp(-x)),
  exp: Math.exp,
};
type ActivationName = keyof typeof activationsOf;

/** activation(x · weightᵀ + bias). */
function activatedOf(
  x: NdArray,
  weight: NdArray,
  bias: NdArray | undefined,
  f: (x: number) => number,
): NdArray {
  const product = productReference({ a: x.shape, b: weight.shape, tb: true });
  return map(product({ a: x, b: weight, ...(bias && { bias }) }), f);
}

const linearActivationRows: OpRow[] = (Object.keys(activationsOf) as ActivationName[]).map(
  (activation, index) => {
    // Multiples of four; other sizes; leading dimensions.
    const x = [
      [9, 12],
      [6, 5],
      [2, 3, 8],
    ][index % 3]!;
    const weight = [
      [8, 12],
      [3, 5],
      [4, 8],
    ][index % 3]!;
    const shapes = { a: x, b: weight, bias: [weight[0]!] };
    return {
      op: 'linearActivation',
      note: `${activation}, x [${x.join(',')}]`,
      shapes,
      run: (t) => linear(t.a!, t.b!, t.bias!, activation),
      reference: (r) => activatedOf(r.a!, r.b!, r.bias!, activationsOf[activation]),
      atol: 5e-6,
      ...(index === 0 && { bad: [{ ...shapes, bias: [9] }] }),
    };
  },
);

const feedForwardRows: OpRow[] = (
  [
    { x: [9, 12], middle: 20, out: 8, activation: 'gelu', biases: true },
    { x: [2, 3, 5], middle: 7, out: 3, activation: 'silu', biases: true },
    { x: [37, 8], middle: 32, out: 8, activation: 'tanh', biases: false },
    { x: [9, 12], middle: 20, out: 8, activation: 'gelu_tanh', biases: true },
    { x: [5, 6], middle: 10, out: 7, activation: 'sigmoid', biases: true },
    { x: [6, 8], middle: 12, out: 4, activation: 'none', biases: true },
    { x: [9, 12], middle: 20, out: 8, activation: 'quick_gelu', biases: true },
  ] as const
).map(({ x, middle, out, activation, biases }, index) => {
  const shapes = {
    x,
    innerWeight: [middle, lastDim(x)],
    outerWeight: [out, middle],
    ...(biases && { innerBias: [middle], outerBias: [out] }),
  };
  return {
    op: 'feedForward',
    note: `x [${x.join(',')}] → ${middle} → ${out}, ${activation}${biases ? '' : ', no biases'}`,
    shapes,
    run: (t) =>
      feedForward(
        t.x!,
        { weight: t.innerWeight!, bias: t.innerBias ?? null },
        { weight: t.outerWeight!, bias: t.outerBias ?? null },
        activation,
      ),
    reference: (r) => {
      const f = activation === 'none' ? (v: number) => v : activationsOf[activation];
      const hidden = activatedOf(r.x!, r.innerWeight!, r.innerBias, f);
      return activatedOf(hidden, r.outerWeight!, r.outerBias, (v) => v);
    },
    atol: 1e-5,
    gradAtol: 5e-5,
    ...(index === 0 && {
      bad: [
        { ...shapes, outerWeight: [8, 19] },
        { ...shapes, innerBias: [19] },
        { ...shapes, x: [12] },
      ],
    }),
  };
});

function reductions(
  op: 'sum' | 'mean',
  run: (x: Tensor, dim?: number, keepdim?: boolean) => Tensor,
): OpRow[] {
  const cases: [readonly number[], number | undefined, boolean][] = [
    [[5], undefined, false],
    [[130, 3], 0, false],
    [[3, 131], 1, true],
    [[2, 67, 5], 1, false],
    [[70, 70], undefined, false],
  ];
  return cases.map(([shape, dim, keepdim], index) => ({
    op,
    note: `[${shape.join(',')}] over ${dim ?? 'all'}`,
    shapes: { x: shape },
    run: ({ x }) => run(x!, dim, keepdim),
    reference: ({ x }) => {
      const n = dim === undefined ? x!.data.length : shape[dim]!;
      const factor = op === 'mean' ? 1 / n : 1;
      if (dim === undefined) return nd([], [factor * sumOver(n, (i) => x!.data[i]!)]);
      const kept = shape.map((size, d) => (d === dim ? 1 : size));
      const total = build(
        kept,
        (i) =>
          factor *
          sumOver(n, (l) =>
            at(
              x!,
              i.map((v, d) => (d === dim ? l : v)),
            ),
          ),
      );
      return keepdim ? total : { shape: kept.filter((_, d) => d !== dim), data: total.data };
    },
    atol: 2e-5,
    ...(index === 1 && { bad: [] }),
  }));
}

function softmaxOf(x: NdArray): NdArray {
  const n = lastDim(x.shape);
  return build(x.shape, (_, flat) => {
    const start = flat - (flat % n);
    return Math.exp(x.data[flat]!) / sumOver(n, (c) => Math.exp(x.data[start + c]!));
  });
}

const softmaxRows: OpRow[] = [
  [1, 1],
  [5, 7],
  [2, 3, 65],
  [4, 130],
  [70, 148],
  [5, 294],
].map((shape) => ({
  op: 'softmax',
  note: `[${shape.join(',')}]`,
  shapes: { x: shape },
  range: 6,
  run: ({ x }) => softmax(x!),
  reference: ({ x }) => softmaxOf(x!),
  atol: 2e-6,
}));

const normalizeRows: OpRow[] = [[3], [5, 7], [2, 3, 66], [4, 132], [70, 148]].map((shape) => ({
  op: 'normalize',
  note: `[${shape.join(',')}]`,
  shapes: { x: shape },
  run: ({ x }) => normalize(x!),
  reference: ({ x }) => {
    const n = lastDim(shape);
    const length = (flat: number): number =>
      Math.sqrt(sumOver(n, (c) => x!.data[flat - (flat % n) + c]! ** 2));
    return build(shape, (_, flat) => x!.data[flat]! / length(flat));
  },
  ...(shape.length === 1 && { bad: [{ x: [] }, { x: [2, 0] }] }),
}));

const maxTokensRows: OpRow[] = [
  [2, 3, 5],
  [3, 5, 64],
  [150, 2, 3],
].map((shape) => {
  const [texts, length, width] = shape as [number, number, number];
  const mask = build([texts, length], ([text, token]) => (token === text! % length ? 0 : 1));
  return {
    op: 'maxTokens',
    note: `[${shape.join(',')}], each text without one of its tokens`,
    shapes: { x: shape },
    integers: { mask },
    run: (t) => maxTokens(t.x!, t.mask!),
    reference: (r) =>
      build([texts, width], ([text, column]) =>
        Math.max(
          ...Array.from({ length }, (_, token) =>
            at(mask, [text!, token]) === 0 ? -Infinity : at(r.x!, [text!, token, column!]),
          ),
        ),
      ),
    ...(texts === 2 && { bad: [{ x: [2, 4, 5] }, { x: [2, 3] }] }),
  };
});

function layerNormOf(x: NdArray, weight: NdArray, bias: NdArray | undefined, eps: number): NdArray {
  const n = lastDim(x.shape);
  return build(x.shape, (_, flat) => {
    const start = flat - (flat % n);
    const average = sumOver(n, (c) => x.data[start + c]!) / n;
    const variance = sumOver(n, (c) => (x.data[start + c]! - average) ** 2) / n;
    const column = flat % n;
    return (
      ((x.data[flat]! - average) / Math.sqrt(variance + eps)) * weight.data[column]! +
      (bias?.data[column] ?? 0)
    );
  });
}

const sumOf = (a: NdArray, b: NdArray): NdArray => build(a.shape, (_, flat) => a.data[flat]! + b.data[flat]!);

const normShapes = [
  [1, 4],
  [5, 7],
  [2, 35, 33],
  [67, 148],
  [6, 294],
];

const layerNormRows: OpRow[] = normShapes.map((shape, index) => ({
  op: 'layerNorm',
  note: `[${shape.join(',')}]`,
  shapes: { x: shape, weight: [lastDim(shape)], bias: [lastDim(shape)] },
  run: (t) => layerNorm(t.x!, t.weight!, t.bias!, 1e-5),
  reference: (r) => layerNormOf(r.x!, r.weight!, r.bias!, 1e-5),
  atol: 1e-5,
  gradAtol: 1e-4,
  ...(index === 0 && { bad: [{ x: [2, 4], weight: [3], bias: [4] }] }),
}));

const unbiasedNormRows: OpRow[] = [
  {
    op: 'layerNorm',
    note: '[5,7] without a bias',
    shapes: { x: [5, 7], weight: [7] },
    run: (t) => layerNorm(t.x!, t.weight!, null, 1e-5),
    reference: (r) => layerNormOf(r.x!, r.weight!, undefined, 1e-5),
    atol: 1e-5,
    gradAtol: 1e-4,
  },
  {
    op: 'addLayerNorm',
    note: '[2,35,33] without a bias',
    shapes: { x: [2, 35, 33], residual: [2, 35, 33], weight: [33] },
    run: (t) => addLayerNorm(t.x!, t.residual!, t.weight!, null),
    reference: (r) => layerNormOf(sumOf(r.x!, r.residual!), r.weight!, undefined, 1e-5),
    atol: 1e-5,
    gradAtol: 1e-4,
  },
];

const addLayerNormRows: OpRow[] = normShapes.map((shape, index) => ({
  op: 'addLayerNorm',
  note: `[${shape.join(',')}]`,
  shapes: { x: shape, residual: shape, weight: [lastDim(shape)], bias: [lastDim(shape)] },
  run: (t) => addLayerNorm(t.x!, t.residual!, t.weight!, t.bias!),
  reference: (r) => layerNormOf(sumOf(r.x!, r.residual!), r.weight!, r.bias!, 1e-5),
  atol: 1e-5,
  gradAtol: 1e-4,
  ...(index === 0 && {
    bad: [
      { x: [2, 4], residual: [2, 4], weight: [3], bias: [4] },
      { x: [2, 4], residual: [1, 4], weight: [4], bias: [4] },
    ],
  }),
}));

type OfPair = (head: number, query: number, key: number) => number;
interface Added {
  before?: OfPair;
  after?: OfPair;
  /** Products that are summed up before they are scaled by 1 / √(products · size). */
  products?: number;
}
const none: OfPair = () => 0;

/**
 * Attention over tokens [.., width]: a token sees the tokens of its own sequence that the mask does not hide.
 * `sequences` has, for each sequence, its first token and the token after its last. `window`: the largest
 * distance that is seen. `added`: what is added to the product of a query and a key, both counted over all
 * tokens, before or after it is scaled.
 */
function attentionOf(
  { q, k, v, mask }: Record<string, NdArray>,
  heads: number,
  sequences: readonly (readonly [number, number])[],
  window = Number.POSITIVE_INFINITY,
  added: Added = {},
): NdArray {
  const width = lastDim(q!.shape);
  const size = width / heads;
  const result = new Float64Array(q!.data.length);
  for (const [first, end] of sequences) {
    for (let i = first; i < end; i += 1) {
      for (let head = 0; head < heads; head += 1) {
        const weights = Array.from({ length: end - first }, (_, n) => {
          if (mask !== undefined && mask.data[first + n] === 0) return 0;
          if (Math.abs(first + n - i) > window) return 0;
          const [a, b] = [i * width + head * size, (first + n) * width + head * size];
          const { before = none, after = none, products = 1 } = added;
          const product =
            sumOver(size, (d) => q!.data[a + d]! * k!.data[b + d]!) + before(head, i, first + n);
          return Math.exp(product / Math.sqrt(products * size) + after(head, i, first + n));
        });
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (let c = head * size; total > 0 && c < (head + 1) * size; c += 1) {
          const value = (n: number) => weights[n]! * v!.data[(first + n) * width + c]!;
          result[i * width + c] = sumOver(end - first, value) / total;
        }
      }
    }
  }
  return { shape: q!.shape, data: result };
}

function padded(batch: number, length: number): [number, number][] {
  return Array.from({ length: batch }, (_, b) => [b * length, (b + 1) * length]);
}

const attentionRows: OpRow[] = [
  { shape: [1, 1, 4], heads: 1, mask: undefined },
  { shape: [2, 5, 16], heads: 2, mask: nd([2, 5], [1, 1, 1, 1, 1, 1, 1, 0, 0, 0]) },
  { shape: [2, 3, 12], heads: 2, mask: nd([2, 3], [1, 1, 1, 0, 0, 0]) },
  { shape: [1, 67, 8], heads: 1, mask: undefined },
].map(({ shape, heads, mask }, index) => ({
  op: 'attention',
  note: `[${shape.join(',')}], ${heads} heads${mask ? ', masked' : ''}`,
  shapes: { q: shape, k: shape, v: shape },
  ...(mask && { integers: { mask } }),
  range: 1.5,
  run: (t) => attention(t.q!, t.k!, t.v!, { heads, mask: t.mask }),
  reference: (r) => attentionOf(r, heads, padded(shape[0]!, shape[1]!)),
  atol: 5e-6,
  gradAtol: 5e-5,
  ...(index === 0 && {
    bad: [
      { q: [1, 2, 4], k: [1, 3, 4], v: [1, 3, 4] },
      { q: [2, 4], k: [2, 4], v: [2, 4] },
    ],
  }),
}));

/** Splits the columns into thirds. */
function split({ shape, data }: NdArray): Record<'q' | 'k' | 'v', NdArray> {
  const width = lastDim(shape) / 3;
  const third = (n: number) =>
    build([...shape.slice(0, -1), width], (index, flat) => {
      const row = Math.floor(flat / width);
      return data[(row * 3 + n) * width + index.at(-1)!]!;
    });
  return { q: third(0), k: third(1), v: third(2) };
}

/** Masks keys at the end, at the start and in between, and all keys of one sequence. */
const masks = {
  ends: nd(
    [2, 13],
    [...Array(26)].map((_, i) => (i < 20 && i !== 3 ? 1 : 0)),
  ),
  front: nd(
    [2, 19],
    [...Array(38)].map((_, i) => (i < 11 || (i > 14 && i < 19) ? 0 : 1)),
  ),
  whole: nd(
    [2, 9],
    [...Array(18)].map((_, i) => (i < 9 ? 0 : 1)),
  ),
  // Longer than a tile: all keys of its first lines, of its last, and of a sequence.
  tiles: nd(
    [3, 70],
    [...Array(210)].map((_, i) => (i < 40 || (i > 100 && i < 210) || i === 45 ? 0 : 1)),
  ),
};

const within = (window?: number): string => (window === undefined ? '' : `, within ${window}`);

const selfAttentionRows: OpRow[] = [
  { shape: [2, 13, 3 * 12], heads: 2, mask: masks.ends },
  { shape: [2, 19, 3 * 16], heads: 2, mask: masks.front },
  { shape: [2, 9, 3 * 32], heads: 1, mask: masks.whole },
  { shape: [3, 70, 3 * 32], heads: 1, mask: masks.tiles },
  { shape: [1, 37, 3 * 64], heads: 2, mask: undefined },
  { shape: [1, 11, 3 * 128], heads: 2, mask: undefined },
  { shape: [2, 13, 3 * 12], heads: 2, mask: masks.ends, window: 2 },
  { shape: [2, 19, 3 * 16], heads: 2, mask: masks.front, window: 0 },
  { shape: [3, 70, 3 * 32], heads: 1, mask: masks.tiles, window: 9 },
  { shape: [1, 37, 3 * 64], heads: 2, mask: undefined, window: 12 },
].map(({ shape, heads, mask, window }, index) => ({
  op: 'selfAttention',
  note: `[${shape.join(',')}], ${heads} heads${mask ? ', masked' : ''}${within(window)}`,
  shapes: { qkv: shape },
  ...(mask && { integers: { mask } }),
  range: 1.5,
  run: (t) => selfAttention(t.qkv!, { heads, mask: t.mask, window }),
  reference: (r) => attentionOf({ ...r, ...split(r.qkv!) }, heads, padded(shape[0]!, shape[1]!), window),
  atol: 5e-6,
  gradAtol: 5e-5,
  ...(index === 0 && {
    bad: [{ qkv: [13, 36] }, { qkv: [2, 13, 35] }, { qkv: [2, 13, 33] }, { qkv: [2, 12, 36] }],
  }),
}));

/** Contiguous sequences, among them one of a single token and one without tokens. */
const raggedRows: OpRow[] = [
  { starts: [0, 1, 12, 12, 17], width: 12, heads: 2 },
  { starts: [0, 19, 20, 23], width: 16, heads: 2 },
  { starts: [0, 5, 6, 39], width: 64, heads: 2 },
  // Tiles of 32 and 64 queries or keys: their edges, with each shape that heads of a size get.
  { starts: [0, 1, 32, 64, 97], width: 32, heads: 1 },
  { starts: [0, 63, 127, 192], width: 36, heads: 1 },
  { starts: [0, 31, 63, 64, 97], width: 64, heads: 1 },
  { starts: [0, 33, 98], width: 96, heads: 1 },
  { starts: [0, 32, 96, 99], width: 128, heads: 1 },
  // Kernels loop over the chunks of wide heads: a size that is not a multiple of four, and the widest head.
  { starts: [0, 3, 7], width: 260, heads: 2 },
  { starts: [0, 4, 6], width: 256, heads: 1 },
  // Local attention: windows smaller and larger than tiles, and than a sequence.
  { starts: [0, 1, 12, 12, 17], width: 12, heads: 2, window: 3 },
  { starts: [0, 31, 63, 64, 131], width: 64, heads: 1, window: 8 },
  { starts: [0, 33, 98], width: 96, heads: 1, window: 40 },
  { starts: [0, 12, 15], width: 260, heads: 2, window: 1 },
].map(({ starts, width, heads, window }, index) => {
  const sequences = starts.slice(1).map((end, b): [number, number] => [starts[b]!, end]);
  const length = Math.max(...sequences.map(([first, end]) => end - first));
  return {
    op: 'selfAttention',
    note: `${heads} heads of ${width / heads}, sequences from ${starts.join(', ')}${within(window)}`,
    shapes: { qkv: [starts.at(-1)!, 3 * width] },
    integers: { starts: nd([starts.length], starts) },
    range: 1.5,
    run: (t) => selfAttention(t.qkv!, { heads, starts: t.starts, length, window }),
    reference: (r) => attentionOf(split(r.qkv!), heads, sequences, window),
    atol: 5e-6,
    gradAtol: 5e-5,
    ...(index === 0 && { bad: [{ qkv: [1, 17, 36] }, { qkv: [18, 36] }] }),
  };
});

/** The number of a bias [heads, width] for a pair's distance. */
const ofDistance =
  ({ shape, data }: NdArray): OfPair =>
  (head, query, key) =>
    data[head * shape[1]! + (shape[1]! - 1) / 2 + query - key]!;

const biasedRows: OpRow[] = [
  { shape: [2, 13, 3 * 12], heads: 2, mask: masks.ends, width: 25 },
  { shape: [2, 19, 3 * 16], heads: 2, mask: masks.front, width: 41 },
  { shape: [2, 9, 3 * 32], heads: 1, mask: masks.whole, width: 17 },
  { shape: [3, 70, 3 * 32], heads: 1, mask: masks.tiles, width: 139 },
  { shape: [1, 37, 3 * 64], heads: 2, mask: undefined, width: 99 },
  { shape: [1, 1, 3 * 8], heads: 2, mask: undefined, width: 1 },
  { shape: [1, 11, 3 * 128], heads: 2, mask: undefined, width: 21 },
].map(({ shape, heads, mask, width }, index) => ({
  op: 'selfAttention',
  note: `[${shape.join(',')}], ${heads} heads${mask ? ', masked' : ''}, bias of ${width} distances`,
  shapes: { qkv: shape, bias: [heads, width] },
  ...(mask && { integers: { mask } }),
  range: 1.5,
  run: (t) => selfAttention(t.qkv!, { heads, mask: t.mask, bias: t.bias }),
  reference: (r) =>
    attentionOf({ ...r, ...split(r.qkv!) }, heads, padded(shape[0]!, shape[1]!), undefined, {
      after: ofDistance(r.bias!),
    }),
  atol: 5e-6,
  gradAtol: 5e-5,
  ...(index === 0 && {
    bad: [
      { qkv: [2, 13, 36], bias: [2, 23] },
      { qkv: [2, 13, 36], bias: [2, 26] },
      { qkv: [2, 13, 36], bias: [1, 25] },
    ],
  }),
}));

const raggedBiasedRows: OpRow[] = [
  { starts: [0, 1, 12, 12, 17], width: 12, heads: 2 },
  { starts: [0, 5, 6, 39], width: 64, heads: 2 },
  { starts: [0, 1, 32, 64, 97], width: 32, heads: 1 },
  { starts: [0, 31, 63, 64, 97], width: 64, heads: 1 },
  { starts: [0, 33, 98], width: 96, heads: 1 },
  { starts: [0, 3, 7], width: 260, heads: 2 },
].map(({ starts, width, heads }) => {
  const sequences = starts.slice(1).map((end, b): [number, number] => [starts[b]!, end]);
  const length = Math.max(...sequences.map(([first, end]) => end - first));
  return {
    op: 'selfAttention',
    note: `${heads} heads of ${width / heads}, sequences from ${starts.join(', ')}, bias`,
    shapes: { qkv: [starts.at(-1)!, 3 * width], bias: [heads, 2 * length + 3] },
    integers: { starts: nd([starts.length], starts) },
    range: 1.5,
    run: (t) => selfAttention(t.qkv!, { heads, starts: t.starts, length, bias: t.bias }),
    reference: (r) => attentionOf(split(r.qkv!), heads, sequences, undefined, { after: ofDistance(r.bias!) }),
    atol: 5e-6,
    gradAtol: 5e-5,
  };
});

/** The row of embeddings of a distance: far ones share a row. */
const sharedRow = (distance: number, middle: number): number =>
  middle +
  Math.sign(distance) * Math.min(Math.abs(distance), 2 + Math.ceil(Math.log2(1 + Math.abs(distance))));

interface DistanceCase {
  /** Of a padded batch; or the starts of sequences. */
  size?: [batch: number, length: number];
  starts?: number[];
  mask?: NdArray;
  width: number;
  heads: number;
  sides: readonly ('byQuery' | 'byKey')[];
}

const distanceCases: DistanceCase[] = [
  { size: [2, 13], width: 12, heads: 2, mask: masks.ends, sides: ['byQuery', 'byKey'] },
  { size: [2, 19], width: 16, heads: 2, mask: masks.front, sides: ['byQuery'] },
  { size: [3, 70], width: 32, heads: 1, mask: masks.tiles, sides: ['byKey'] },
  { size: [1, 37], width: 64, heads: 2, sides: ['byQuery', 'byKey'] },
  { size: [1, 1], width: 8, heads: 2, sides: ['byQuery', 'byKey'] },
  { starts: [0, 1, 12, 12, 17], width: 12, heads: 2, sides: ['byQuery', 'byKey'] },
  { starts: [0, 31, 63, 64, 97], width: 64, heads: 1, sides: ['byKey'] },
  { starts: [0, 33, 98], width: 96, heads: 1, sides: ['byQuery', 'byKey'] },
  { starts: [0, 3, 7], width: 260, heads: 2, sides: ['byQuery'] },
];

const distanceAttentionRows: OpRow[] = distanceCases.map((one, index) => {
  const { size, starts = [], mask, width, heads, sides } = one;
  const sequences = size
    ? padded(...size)
    : starts.slice(1).map((end, b): [number, number] => [starts[b]!, end]);
  const length = Math.max(...sequences.map(([first, end]) => end - first));
  const tokens = sequences.at(-1)![1];
  const middle = 11;
  const rowOf = (distance: number) => sharedRow(distance, middle);
  const rows = Int32Array.from({ length: 2 * length + 3 }, (_, at) => rowOf(at - length - 1));
  const low = rowOf(1 - length) - 1;
  const count = rowOf(length - 1) + 2 - low;
  const products = 1 + sides.length;
  const scale = 1 / Math.sqrt((products * width) / heads);
  const run = (t: Record<string, Tensor>): Tensor => {
    const { device } = t.qkv!;
    const firsts = device.tensor(firstsOf(rows, 2 * middle + 1));
    const { mask, starts, byQuery, byKey } = t;
    const more = { rows: device.tensor(rows), firsts, low, scale, length, byQuery, byKey };
    return distanceAttention(t.qkv!, { heads, mask, starts, ...more });
  };
  const reference = (r: Record<string, NdArray>): NdArray => {
    const parts = split(r.qkv!);
    const head = width / heads;
    const product = (of: NdArray, by: NdArray, token: number, at: number, distance: number): number => {
      const [a, b] = [token * width + at * head, (rowOf(distance) - low) * width + at * head];
      return sumOver(head, (d) => of.data[a + d]! * by.data[b + d]!);
    };
    const before: OfPair = (at, i, j) =>
      (r.byQuery ? product(parts.q, r.byQuery, i, at, i - j) : 0) +
      (r.byKey ? product(parts.k, r.byKey, j, at, i - j) : 0);
    return attentionOf({ ...r, ...parts }, heads, sequences, undefined, { before, products });
  };
  const tables = Object.fromEntries(sides.map((side) => [side, [count, width]]));
  return {
    op: 'distanceAttention',
    note: `${heads} heads of ${width / heads}, ${size ? `[${size}]` : starts.join(', ')}, ${sides.join(' and ')}`,
    shapes: { qkv: size ? [...size, 3 * width] : [tokens, 3 * width], ...tables },
    ...(mask && { integers: { mask } }),
    ...(!size && { integers: { starts: nd([starts.length], starts) } }),
    range: 1.2,
    run,
    reference,
    atol: 5e-6,
    gradAtol: 5e-5,
    ...(index === 0 && {
      bad: [
        { qkv: [2, 13, 36] },
        { qkv: [2, 13, 36], byQuery: [count, 11] },
        { qkv: [2, 13, 36], byQuery: [count, 12], byKey: [count - 1, 12] },
        { qkv: [2, 13, 36], byQuery: [count - 3, 12], byKey: [count - 3, 12] },
        { qkv: [2, 13, 36], byQuery: [99, 12] },
        { qkv: [2, 15, 36], byQuery: [count, 12] },
      ],
    }),
  };
});

const embeddingRows: OpRow[] = [
  { table: [5, 3], ids: nd([4], [4, 0, 4, 2]) },
  { table: [9, 16], ids: nd([2, 3], [8, 1, 1, 1, 0, 8]) },
  { table: [11, 40], ids: build([3, 50], ([i, j]) => (i! * 50 + j! * j!) % 11) },
].map(({ table, ids }) => ({
  op: 'embedding',
  note: `table [${table.join(',')}]`,
  shapes: { table },
  integers: { ids },
  run: (t) => embedding(t.table!, t.ids!),
  reference: (r) =>
    build([...ids.shape, table[1]!], (index) => at(r.table!, [at(ids, index.slice(0, -1)), index.at(-1)!])),
  atol: 0,
  bad: [{ table: [5] }],
}));

const positionRow: OpRow = {
  op: 'positionIds',
  note: 'with padding 1',
  shapes: {},
  integers: { ids: nd([3, 5], [0, 7, 9, 2, 1, 0, 2, 1, 1, 1, 1, 1, 0, 5, 2]) },
  run: (t) => positionIds(t.ids!, 1),
  reference: () => nd([3, 5], [2, 3, 4, 5, 1, 2, 3, 1, 1, 1, 1, 1, 2, 3, 4]),
  atol: 0,
};

/** PyTorch's formula of weights and label smoothing. */
function weightedCrossEntropyOf(x: NdArray, targets: NdArray, weight: number[], smoothing: number): NdArray {
  const n = lastDim(x.shape);
  let [total, count] = [0, 0];
  for (const [row, wanted] of targets.data.entries()) {
    if (wanted === -100) continue;
    const logSum = Math.log(sumOver(n, (c) => Math.exp(x.data[row * n + c]!)));
    const loss = (c: number): number => weight[c]! * (logSum - x.data[row * n + c]!);
    total += (1 - smoothing) * loss(wanted) + (smoothing / n) * sumOver(n, loss);
    count += weight[wanted]!;
  }
  return nd([], [total / (count || 1)]);
}

function crossEntropyOf(x: NdArray, targets: NdArray): NdArray {
  const n = lastDim(x.shape);
  const losses: number[] = [];
  for (const [row, wanted] of targets.data.entries()) {
    if (wanted === -100) continue;
    const logSum = Math.log(sumOver(n, (c) => Math.exp(x.data[row * n + c]!)));
    losses.push(logSum - x.data[row * n + wanted]!);
  }
  return nd([], [losses.reduce((a, b) => a + b, 0) / Math.max(losses.length, 1)]);
}

const lossRows: OpRow[] = [
  ...[
    { x: [3, 5], targets: nd([3], [0, 4, 2]) },
    { x: [2, 2, 7], targets: nd([2, 2], [1, -100, 6, -100]) },
    { x: [2, 3], targets: nd([2], [-100, -100]) },
    { x: [67, 2], targets: build([67], ([i]) => i! % 2) },
    { x: [6, 148], targets: nd([6], [0, 147, 3, -100, 77, 130]) },
    { x: [3, 294], targets: nd([3], [0, 293, 130]) },
  ].map(({ x, targets }, index) => ({
    op: 'crossEntropy',
    note: `[${x.join(',')}]`,
    shapes: { x },
    integers: { targets },
    range: 3,
    run: (t: Record<string, Tensor>) => crossEntropy(t.x!, t.targets!),
    reference: (r: Record<string, NdArray>) => crossEntropyOf(r.x!, targets),
    atol: 3e-6,
    ...(index === 0 && { bad: [{ x: [4, 5] }] }),
  })),
  {
    op: 'crossEntropy',
    note: 'with targets clamped',
    shapes: { x: [3, 4] },
    integers: { targets: nd([3], [9, 2, -3]) },
    run: (t) => crossEntropy(t.x!, t.targets!, { ignoreIndex: 4, clampTargets: true }),
    reference: (r) => crossEntropyOf(r.x!, nd([3], [-100, 2, 0])),
  },
  ...[
    { x: [3, 5], targets: nd([3], [0, 4, 2]) },
    { x: [4, 7], targets: nd([4], [1, -100, 6, 1]) },
    { x: [2, 3], targets: nd([2], [-100, -100]) },
    { x: [67, 2], targets: build([67], ([i]) => i! % 2) },
    { x: [6, 148], targets: nd([6], [0, 147, 3, -100, 77, 130]) },
  ].flatMap(({ x, targets }) => {
    const classes = x.at(-1)!;
    const ones = Array.from({ length: classes }, () => 1);
    const weights = ones.map((_, c) => (c === 1 ? 0 : 0.1 + 0.3 * (c % 3)));
    return [
      { smoothing: 0.1, weights: null },
      { smoothing: 0, weights },
      { smoothing: 0.25, weights },
    ].map(({ smoothing, weights: given }) => ({
      op: 'crossEntropy',
      note: `[${x.join(',')}], smoothed by ${smoothing}${given === null ? '' : ', with weights'}`,
      shapes: { x },
      integers: { targets },
      range: 3,
      run: (t: Record<string, Tensor>) =>
        crossEntropy(t.x!, t.targets!, {
          labelSmoothing: smoothing,
          ...(given !== null && { weight: t.x!.device.tensor(Float32Array.from(given)) }),
        }),
      reference: (r: Record<string, NdArray>) =>
        weightedCrossEntropyOf(r.x!, targets, given ?? ones, smoothing),
      atol: 4e-6,
    }));
  }),
  ...[[3], [4, 5], [130]].map((shape) => ({
    op: 'mseLoss',
    note: `[${shape.join(',')}]`,
    shapes: { x: shape, targets: shape },
    constant: ['targets'],
    run: (t: Record<string, Tensor>) => mseLoss(t.x!, t.targets!),
    reference: ({ x, targets }: Record<string, NdArray>) =>
      nd([], [sumOver(x!.data.length, (i) => (x!.data[i]! - targets!.data[i]!) ** 2) / x!.data.length]),
    atol: 2e-6,
    bad: [{ x: [3], targets: [4] }],
  })),
  ...[[3], [4, 5]].map((shape) => ({
    op: 'bceWithLogits',
    note: `[${shape.join(',')}]`,
    shapes: { x: shape, targets: shape },
    constant: ['targets'],
    range: 3,
    run: (t: Record<string, Tensor>) => bceWithLogits(t.x!, t.targets!),
    reference: ({ x, targets }: Record<string, NdArray>) =>
      nd(
        [],
        [
          sumOver(x!.data.length, (i) => {
            const v = x!.data[i]!;
            return Math.max(v, 0) - v * targets!.data[i]! + Math.log1p(Math.exp(-Math.abs(v)));
          }) / x!.data.length,
        ],
      ),
    atol: 2e-6,
    bad: [{ x: [3], targets: [4] }],
  })),
];

const moveRows: OpRow[] = [
  ...(
    [
      [
        [3, 5],
        [5, 3],
        [5, 3],
      ],
      [
        [2, 3, 4],
        [6, -1],
        [6, 4],
      ],
      [[1], [], []],
      [
        [2, 0],
        [3, 0, 1],
        [3, 0, 1],
      ],
    ] as const
  ).map(([from, asked, shape]) => ({
    op: 'reshape',
    note: `[${from.join(',')}] to [${asked.join(',')}]`,
    shapes: { x: from },
    run: ({ x }: Record<string, Tensor>) => reshape(x!, asked),
    reference: ({ x }: Record<string, NdArray>) => nd(shape, [...x!.data]),
    atol: 0,
    bad: [{ x: [7] }],
  })),
  ...(
    [
      [
        [3, 5],
        [1, 0],
      ],
      [
        [2, 3, 5],
        [2, 0, 1],
      ],
      [
        [2, 3, 4, 5],
        [0, 2, 1, 3],
      ],
    ] as const
  ).map(([shape, dims]) => ({
    op: 'permute',
    note: `[${shape.join(',')}] by [${dims.join(',')}]`,
    shapes: { x: shape },
    run: ({ x }: Record<string, Tensor>) => permute(x!, dims),
    reference: ({ x }: Record<string, NdArray>) =>
      build(
        dims.map((d) => shape[d]!),
        (index) =>
          at(
            x!,
            shape.map((_, d) => index[(dims as readonly number[]).indexOf(d)]!),
          ),
      ),
    atol: 0,
    bad: [{ x: [3] }],
  })),
  ...(
    [
      [[3, 5], 1, 2, 2],
      [[2, 7, 3], 1, 0, 1],
      [[4, 2], 0, 1, 3],
    ] as const
  ).map(([shape, dim, start, length]) => ({
    op: 'narrow',
    note: `[${shape.join(',')}] from ${start}, ${length} of dimension ${dim}`,
    shapes: { x: shape },
    run: ({ x }: Record<string, Tensor>) => narrow(x!, dim, start, length),
    reference: ({ x }: Record<string, NdArray>) =>
      build(
        shape.map((s, d) => (d === dim ? length : s)),
        (index) =>
          at(
            x!,
            index.map((v, d) => (d === dim ? v + start : v)),
          ),
      ),
    atol: 0,
    ...(dim === 1 && start === 2 && { bad: [{ x: [3, 3] }] }),
  })),
];

const distances: OpRow[] = (
  [
    [[3, 9], 'none'],
    [[1], 'none'],
    [[2, 3, 4, 7], 'query'],
    [[5, 9], 'query'],
    [[3, 4, 7], 'key'],
    [[1, 1], 'key'],
  ] as const
).map(([shape, rows], index) => ({
  op: 'byDistance',
  note: `[${shape.join(',')}] of ${rows}`,
  shapes: { x: shape },
  run: ({ x }) => byDistance(x!, rows),
  reference: ({ x }) => {
    const length = (shape.at(-1)! + 1) / 2;
    const lead = shape.slice(0, rows === 'none' ? -1 : -2);
    return build([...lead, length, length], (index) => {
      const [i, j] = index.slice(-2) as [number, number];
      const row = { none: [], query: [i], key: [j] }[rows];
      return at(x!, [...index.slice(0, -2), ...row, i - j + length - 1]);
    });
  },
  atol: 0,
  ...(index === 0 && { bad: [{ x: [6] }] }),
  ...(index === 3 && { bad: [{ x: [4, 6] }, { x: [3, 7] }, { x: [7] }] }),
}));

const activationOf = {
  gelu: geluOf,
  relu: (x: number) => Math.max(x, 0),
  none: (x: number) => x,
} as const;

const gatedRows: OpRow[] = (
  [
    [[1, 2], 'gelu'],
    [[3, 5, 14], 'gelu'],
    [[37, 24], 'gelu'],
    [[5, 8], 'relu'],
    [[2, 6], 'none'],
  ] as const
).map(([shape, activation], index) => ({
  op: 'gated',
  note: `[${shape.join(',')}], ${activation}`,
  shapes: { x: shape },
  range: 3,
  // No kink of ReLU near a number.
  ...(activation === 'relu' && { shift: { x: 0.013 } }),
  run: ({ x }) => gated(x!, activation),
  reference: ({ x }) => {
    const width = lastDim(shape) / 2;
    return build([...shape.slice(0, -1), width], (index) => {
      const [lead, c] = [index.slice(0, -1), index.at(-1)!];
      return activationOf[activation](at(x!, [...lead, c])) * at(x!, [...lead, c + width]);
    });
  },
  atol: 5e-6,
  ...(index === 0 && { bad: [{ x: [3, 5] }] }),
}));

const rotaryRows: OpRow[] = [
  { shape: [1, 6], size: 2, positions: [3] },
  { shape: [2, 3, 36], size: 6, positions: [0, 1, 2] },
  { shape: [9, 24], size: 8, positions: [0, 4, 2, 2, 3, 1, 0, 1, 4] },
  { shape: [2, 5, 96], size: 16, positions: [0, 1, 2, 3, 4, 1, 2, 3, 4, 0] },
].map(({ shape, size, positions }, index) => {
  const angles = build([5, size], ([at, c]) => {
    const angle = at! / 7 ** (((c! % (size / 2)) * 2) / size);
    return c! < size / 2 ? Math.cos(angle) : Math.sin(angle);
  });
  return {
    op: 'rotary',
    note: `[${shape.join(',')}], heads of ${size}`,
    shapes: { qkv: shape },
    integers: { positions: nd([positions.length], positions) },
    run: ({ qkv, positions: at }) =>
      rotary(qkv!, at!, qkv!.device.tensor(Float32Array.from(angles.data), [5, size])),
    reference: ({ qkv }) => {
      const width = lastDim(shape);
      return build(shape, (_, flat) => {
        const [row, column] = [Math.floor(flat / width), flat % width];
        if (column >= (2 * width) / 3) return qkv!.data[flat]!;
        const [half, d] = [size / 2, column % size];
        const [cosine, sine] = [0, half].map((part) =>
          at(angles, [positions[row % positions.length]!, part + (d % half)]),
        );
        const other = d < half ? -qkv!.data[flat + half]! : qkv!.data[flat - half]!;
        return qkv!.data[flat]! * cosine! + other * sine!;
      });
    },
    atol: 1e-6,
    ...(index === 0 && { bad: [{ qkv: [1, 7] }] }),
  };
});

export const opRows: readonly OpRow[] = [
  ...gatedRows,
  ...rotaryRows,
  ...distances,
  ...pointwise('gelu', elementwise.gelu, geluOf),
  ...pointwise('gelu_tanh', (x) => elementwise.gelu(x, { approximate: 'tanh' }), geluTanhOf, { range: 6 }),
  ...pointwise('quick_gelu', elementwise.quickGelu, activationsOf.quick_gelu),
  ...pointwise('tanh', elementwise.tanh, Math.tanh),
  ...pointwise('relu', elementwise.relu, activationsOf.relu),
  ...pointwise('sigmoid', elementwise.sigmoid, activationsOf.sigmoid),
  ...pointwise('silu', elementwise.silu, activationsOf.silu),
  ...pointwise('exp', elementwise.exp, Math.exp, { range: 1 }),
  ...pointwise(
    'affine',
    (x) => elementwise.scale(x, -2.5, 0.75),
    (x) => -2.5 * x + 0.75,
  ),
  ...broadcasting('add', elementwise.add, (a, b) => a + b),
  ...broadcasting('sub', elementwise.sub, (a, b) => a - b),
  ...broadcasting('mul', elementwise.mul, (a, b) => a * b),
  ...broadcasting('div', elementwise.div, (a, b) => a / b, { shift: { b: 2.5 } }),
  ...matmulRows,
  ...linearRows,
  takeRowsRow,
  ...linearActivationRows,
  ...feedForwardRows,
  ...reductions('sum', sum),
  ...reductions('mean', mean),
  ...softmaxRows,
  ...normalizeRows,
  ...maxTokensRows,
  ...layerNormRows,
  ...addLayerNormRows,
  ...unbiasedNormRows,
  ...attentionRows,
  ...selfAttentionRows,
  ...biasedRows,
  ...raggedBiasedRows,
  ...distanceAttentionRows,
  ...raggedRows,
  ...embeddingRows,
  positionRow,
  ...lossRows,
  ...moveRows,
  ...functionRows,
];
