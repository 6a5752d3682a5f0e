/**
 * Products by matrix units of 16 × 16 × 16, with the shaders' own text, on an adapter without units: those that a
 * layer's training step asks for, of each tile.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GpuContext } from '../../src/gpu/context.ts';
import { matmul } from '../../src/kernels/matmul/matmul.ts';
import { subgroupMatrixTechniques } from '../../src/kernels/matmul/subgroup-matrix.ts';
import { type MatmulTechnique, splitInto } from '../../src/kernels/matmul/techniques.ts';
import { Device } from '../../src/tensor/device.ts';
import { to } from '../../src/tensor/ops/elementwise.ts';
import { AS_AMD, lendMatrixUnits, withoutMatrixUnits } from '../support/matrix-units.ts';

let device: Device;
let techniques: readonly MatmulTechnique[] = [];
beforeAll(async () => {
  device = new Device(await GpuContext.request({ kernels: 'gpu' }));
  lendMatrixUnits(device.gpu, AS_AMD);
  techniques = subgroupMatrixTechniques(device.gpu, 'float16');
});
afterAll(() => device.destroy());

interface Case {
  m: number;
  n: number;
  k: number;
  transposeA: boolean;
  transposeB: boolean;
  /** What becomes of the activation's input. */
  use?: 'store' | 'slope';
  sums?: boolean;
  parts?: number;
}

/** Whole numbers, whose products and sums float16 holds exactly. */
const draw = (count: number, seed: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, (_, i) => ((Math.imul(i + seed, 0x9e37_79b1) >>> 20) % 5) - 2);

/** The sums of products, [m, n], and of op(a)'s rows, of a product with a sigmoid's results in proportion. */
async function check(whole: MatmulTechnique, of: Case): Promise<void> {
  using _scope = device.scope();
  const { m, n, k, transposeA, transposeB, use, parts = 1 } = of;
  const [va, vb, vx] = [draw(m * k, 1), draw(k * n, 2), draw(m * n, 3)];
  const half = (values: Float32Array<ArrayBuffer>) => to(device.tensor(values), 'float16');
  const [a, b, inner] = [half(va), half(vb), half(vx)];
  const c = device.zeros([m * n], transposeA ? 'float32' : 'float16');
  const sums = of.sums ? device.zeros([m]) : undefined;
  const slots = { a: a.slot, b: b.slot, c: c.slot, ...(sums && { sums: sums.slot }) };
  const preactivation = use && { slot: inner.slot, use };
  const technique = splitInto(whole, parts);
  matmul(device.gpu, {
    ...slots,
    ...of,
    sums: sums?.slot,
    technique,
    ...(preactivation && { preactivation, activation: 'sigmoid' }),
  });
  const [found, stored] = [await c.float32Data(), await inner.float32Data()];
  const rows = await sums?.float32Data();
  for (let row = 0; row < m; row += 1) {
    const atA = (t: number): number => va[transposeA ? t * m + row : row * k + t]!;
    for (let column = 0; column < n; column += 1) {
      let total = 0;
      for (let t = 0; t < k; t += 1) total += atA(t) * vb[transposeB ? column * k + t : t * n + column]!;
      const at = row * n + column;
      const sigmoid = 1 / (1 + Math.exp(-(use === 'slope' ? vx[at]! : total)));
      if (use === 'store') expect(stored[at]).toBe(total);
      if (use === undefined) expect(found[at]).toBe(total);
      const expected = use === 'store' ? sigmoid : total * sigmoid * (1 - sigmoid);
      // Rounded to float16.
      if (use !== undefined)
        expect(Math.abs(found[at]! - expected)).toBeLessThan(2 ** -10 * (1 + Math.abs(expected)));
    }
    if (rows) expect(rows[row]).toBe(Array.from({ length: k }, (_, t) => atA(t)).reduce((x, y) => x + y, 0));
  }
}

/** More than a tile of each kind, and an edge on both sides. */
const sizes = { m: 132, n: 136, k: 96 };
const forward = { transposeA: false, transposeB: true };
const ofInput = { transposeA: false, transposeB: false };
const ofWeight = { transposeA: true, transposeB: false, sums: true };

describe.each(['small', 'tall', 'large'])('%s tiles', (name) => {
  const cases: [string, Case][] = [
    ["forward, with the activation's input", { ...sizes, ...forward, use: 'store' }],
    ["the input's gradient, with a slope", { ...sizes, ...ofInput, use: 'slope' }],
    ["the weight's gradient, with the bias's", { ...sizes, ...ofWeight }],
  ];
  const more: [string, Case][] = [
    ['a head of few classes', { ...sizes, ...forward, n: 3 }],
    ['in parts', { ...sizes, ...ofWeight, k: 160, parts: 2 }],
    ['with a rest of everything', { m: 37, n: 41, k: 71, ...ofWeight }],
  ];
  it.for(name === 'small' ? [...cases, ...more] : cases)('%s', async ([, of], context) => {
    const technique = techniques[['small', 'tall', 'large'].indexOf(name)];
    if (technique === undefined)
      return context.skip('this adapter has no float16, or tiles are too large for it');
    await check(technique, of);
  });
});

it('leaves shaders without matrices as they are', () => {
  const matrix = { component: 'f16', M: 16, N: 16, K: 16, ...AS_AMD } as const;
  expect(withoutMatrixUnits('fn main() {}', matrix)).toBe('fn main() {}');
});
