/**
 * Attention by matrix units and by tiles, forward and backward, against float64. On an adapter that emulates
 * the units, each shader takes a minute to compile: a head's size has three. One without units borrows some.
 */
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { GpuContext } from '../../src/gpu/context.ts';
import type { SubgroupMatrix } from '../../src/gpu/subgroup-matrix.ts';
import { attention, attentionGradient, attentionUsesMatrices } from '../../src/kernels/attention.ts';
import type { Slot } from '../../src/kernels/launch.ts';
import { type DropoutKey, dropoutThreshold } from '../../src/kernels/pointwise.ts';
import { Device } from '../../src/tensor/device.ts';
import { to } from '../../src/tensor/ops/elementwise.ts';
import { AS_AMD, lendMatrixUnits } from '../support/matrix-units.ts';

// Not `requestDevice`, which tries the units first: these tests do.
let device: Device;
let units: readonly SubgroupMatrix[] = [];
let lent = false;
beforeAll(async () => {
  device = new Device(await GpuContext.request({ kernels: 'gpu' }));
  lent = lendMatrixUnits(device.gpu, AS_AMD);
  units = device.gpu.subgroupMatrices;
  // Attention wants to know it; nothing else here sums by subgroups.
  Object.assign(device.gpu, { subgroupSize: units[0]?.lanes ?? 0 });
});
afterAll(() => device.destroy());

/** Sequences of tokens, and which of their keys are hidden. */
interface Layout {
  starts: readonly number[];
  hidden?: (token: number) => boolean;
  /** Of the numbers of a token's key; others are up to 1. */
  scale?: (token: number) => number;
}

interface Case extends Layout {
  size: number;
  heads: number;
  dropout?: DropoutKey;
}

/** Numbers of attention's inputs, outputs and their gradients, by name; all rows of one head after another. */
type Arrays = Record<'q' | 'k' | 'v' | 'dy', Float32Array<ArrayBuffer>>;
type Results = Record<'o' | 'dq' | 'dk' | 'dv', ArrayLike<number>>;

const tokensOf = ({ starts }: Layout): number => starts.at(-1)!;
const lengthOf = ({ starts }: Layout): number =>
  Math.max(...starts.slice(1).map((end, b) => end - starts[b]!));

/** [tokens, heads · size] each, of numbers that float16 holds. */
function inputsOf({ size, heads, scale = () => 1, ...layout }: Case): Arrays {
  const width = heads * size;
  let state = 1;
  const draw = (of: (token: number) => number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: tokensOf(layout) * width }, (_, at) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (Math.round((state / 2 ** 30 - 1) * 64) / 64) * of(Math.floor(at / width));
    });
  const one = () => 1;
  return { q: draw(one), k: draw(scale), v: draw(one), dy: draw(one) };
}

/** As `dropout_scale` of rng.wgsl. */
function dropoutScale(element: number, { seed, stream, p }: DropoutKey): number {
  let [x, y, z] = [element, seed, stream].map((n) => Math.imul(n, 1_664_525) + 1_013_904_223) as [
    number,
    number,
    number,
  ];
  const mix = (): void => {
    x += Math.imul(y, z);
    y += Math.imul(z, x);
    z += Math.imul(x, y);
  };
  mix();
  [x, y, z] = [x, y, z].map((n) => n ^ (n >>> 16)) as [number, number, number];
  x += Math.imul(y, z);
  return x >>> 0 >= dropoutThreshold(p) ? 1 / (1 - p) : 0;
}

/** The products of each query of a sequence's head with each key, over √size: [query][key]. */
function scoresOf({ q, k }: Arrays, { size, heads }: Case, [start, end]: [number, number], head: number) {
  return Array.from({ length: end - start }, (_, i) =>
    Array.from({ length: end - start }, (_, j) => {
      const [row, column] = [start + i, start + j].map((token) => (token * heads + head) * size);
      let total = 0;
      for (let e = 0; e < size; e += 1) total += q[row! + e]! * k[column! + e]!;
      return total / Math.sqrt(size);
    }),
  );
}

/** Every sequence's head: its number, first and last token, and the head. */
function planes({ starts, heads }: Case): { plane: number; bounds: [number, number]; head: number }[] {
  return starts.slice(1).flatMap((end, b) =>
    Array.from({ length: heads }, (_, head) => {
      return { plane: b * heads + head, bounds: [starts[b]!, end] as [number, number], head };
    }),
  );
}

function reference(arrays: Arrays, of: Case): Results {
  const { size, heads, hidden = () => false, dropout } = of;
  const [o, dq, dk, dv] = [0, 0, 0, 0].map(() => new Float64Array(arrays.q.length)) as Float64Array[];
  for (const { plane, bounds, head } of planes(of)) {
    const [start, end] = bounds;
    const at = (token: number): number => ((start + token) * heads + head) * size;
    for (const [i, row] of scoresOf(arrays, of, bounds, head).entries()) {
      const seen = row.map((score, j) => (hidden(start + j) ? Number.NEGATIVE_INFINITY : score));
      const highest = Math.max(...seen);
      if (highest === Number.NEGATIVE_INFINITY) continue;
      const total = seen.reduce((sum, score) => sum + Math.exp(score - highest), 0);
      const kept = seen.map((_, j) =>
        dropout ? dropoutScale((plane * lengthOf(of) + i) * lengthOf(of) + j, dropout) : 1,
      );
      const p = seen.map((score) => Math.exp(score - highest) / total);
      const dp = p.map((_, j) => {
        let product = 0;
        for (let e = 0; e < size; e += 1) {
          const dy = arrays.dy[at(i) + e]!;
          product += dy * arrays.v[at(j) + e]!;
          o![at(i) + e]! += p[j]! * kept[j]! * arrays.v[at(j) + e]!;
          dv![at(j) + e]! += p[j]! * kept[j]! * dy;
        }
        return product * kept[j]!;
      });
      const delta = dp.reduce((sum, value, j) => sum + value * p[j]!, 0);
      for (let j = 0; j < end - start; j += 1) {
        const slope = (p[j]! * (dp[j]! - delta)) / Math.sqrt(size);
        for (let e = 0; e < size; e += 1) {
          dq![at(i) + e]! += slope * arrays.k[at(j) + e]!;
          dk![at(j) + e]! += slope * arrays.q[at(i) + e]!;
        }
      }
    }
  }
  return { o: o!, dq: dq!, dk: dk!, dv: dv! };
}

/** By the kernels; `fused`: q, k and v side by side in one tensor. */
async function computed(arrays: Arrays, of: Case, fused: boolean): Promise<Results> {
  using _scope = device.scope();
  const { starts, heads, size, hidden, dropout } = of;
  const [tokens, width] = [tokensOf(of), heads * size];
  const half = (values: Float32Array<ArrayBuffer>) => to(device.tensor(values), 'float16');
  const room = () => device.zeros([tokens * width], 'float16');
  const columns = [arrays.q, arrays.k, arrays.v];
  const sideBySide = Float32Array.from({ length: 3 * tokens * width }, (_, at) => {
    const [token, column] = [Math.floor(at / (3 * width)), at % (3 * width)];
    return columns[Math.floor(column / width)]![token * width + (column % width)]!;
  });
  const inputs = fused
    ? { qkv: half(sideBySide) }
    : { q: half(arrays.q), k: half(arrays.k), v: half(arrays.v) };
  const gradients = fused
    ? { qkv: device.zeros([3 * tokens * width], 'float16') }
    : { q: room(), k: room(), v: room() };
  const slotsOf = (tensors: object) =>
    Object.fromEntries(Object.entries(tensors).map(([name, { slot }]) => [name, slot as Slot])) as never;
  const integers = (values: readonly number[]) => device.tensor(Int32Array.from(values)).slot;
  const batch = starts.length - 1;
  const mask = hidden && integers(Array.from({ length: tokens }, (_, token) => (hidden(token) ? 0 : 1)));
  const common = { batch, tokens, length: lengthOf(of), heads, size, dropout, inputs: slotsOf(inputs) };
  const launch = { ...common, ...(mask ? { mask } : { starts: integers(starts) }) };
  const [o, stats] = [room(), device.zeros([heads * tokens * 2])];
  const outputs = { o: o.slot, stats: stats.slot };
  attention(device.gpu, { ...launch, ...outputs });
  attentionGradient(device.gpu, {
    ...launch,
    ...outputs,
    dy: half(arrays.dy).slot,
    gradients: slotsOf(gradients),
  });
  const all = await Promise.all(Object.values(gradients).map((tensor) => tensor.float32Data()));
  const part = (n: number) =>
    fused ? all[0]!.filter((_, at) => Math.floor((at % (3 * width)) / width) === n) : all[n]!;
  await device.sync();
  return { o: await o.float32Data(), dq: part(0), dk: part(1), dv: part(2) };
}

/** Weights and their slopes are rounded to float16, and so are results: 5e-4 of the largest each time. */
const TOLERANCE = 2e-3;

function compare(actual: Results, expected: Results): void {
  for (const name of ['o', 'dq', 'dk', 'dv'] as const) {
    const values = Array.from(expected[name]);
    const bound = TOLERANCE * Math.max(...values.map(Math.abs));
    const errors = Array.from(actual[name], (value, at) => Math.abs(value - values[at]!));
    expect(errors).toHaveLength(values.length);
    const worst = errors.findIndex((error) => !(error <= bound));
    if (worst >= 0) expect.fail(`${name}[${worst}] is ${actual[name][worst]}, not ${values[worst]}`);
  }
}

/** Sequences that end within a block, one of a single token; masks with holes; scores that grow. */
const layouts: Record<string, Layout> = {
  ragged: { starts: [0, 70, 71, 104] },
  // The second sequence sees nothing, the third only its last keys.
  masked: {
    starts: [0, 70, 140, 210],
    hidden: (token) =>
      token < 70 ? token < 3 || token % 7 === 3 || (token > 30 && token < 64) : token < 190,
  },
  growing: { starts: [0, 70], scale: (token) => (token < 40 ? 0.25 : token < 64 ? 12 : 24) },
};

/** The sums of attention_matrices.wgsl are scaled if a later block's weight would be more than 2^12. */
const GROWTH = 12 * Math.LN2;

it('has a case whose later blocks raise the highest score, so that sums are scaled', () => {
  for (const size of [32, 128]) {
    const of = { ...layouts.growing!, size, heads: 1 };
    const rows = scoresOf(inputsOf(of), of, [0, 70], 0);
    // Whatever the columns of a block, 16 or 32.
    const raised = rows.filter((row) => {
      const before = Math.max(...row.slice(0, 32));
      return Math.max(...row.slice(32, 64)) > before + GROWTH;
    });
    // Not every row, so that others are scaled by 1.
    expect(raised.length).toBeGreaterThan(8);
    expect(raised.length).toBeLessThan(62);
  }
});

const variants: { size: number; fused: boolean; dropout?: DropoutKey }[] = [
  { size: 32, fused: false },
  ...[32, 64, 96, 128].map((size) => ({ size, fused: true, dropout: { seed: 3, stream: 5, p: 0.3 } })),
];

describe.each(variants)('heads of $size, fused $fused', ({ size, fused, dropout }) => {
  const run = async (byUnits: boolean, context: TestContext): Promise<void> => {
    const { gpu } = device;
    if (!gpu.float16) return context.skip('this adapter has no float16');
    gpu.subgroupMatrices = byUnits ? units : [];
    // Those that are lent are slow: each form of the shaders once.
    if (byUnits && lent && (size > 96 || (size === 32 && fused)))
      return context.skip('this adapter has no units of its own');
    if (byUnits && !attentionUsesMatrices(gpu, size))
      return context.skip('this adapter lists no matrices of float16 that attention can use');
    for (const layout of Object.values(layouts)) {
      const of = { ...layout, size, heads: 2, ...(dropout && { dropout }) };
      const arrays = inputsOf(of);
      compare(await computed(arrays, of, fused), reference(arrays, of));
    }
  };
  // Of every size in the tests of ops, without dropout.
  if (size === 32) it('by tiles', (context) => run(false, context));
  it('by matrix units', (context) => run(true, context));
});
