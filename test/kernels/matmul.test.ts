/** Every technique of matrix multiplication that this adapter can run, compared with float64. */
import { describe, expect, it, type TestContext } from 'vitest';
import { GpuError } from '../../src/errors.ts';
import type { GpuContext } from '../../src/gpu/context.ts';
import { candidates, chooseMatmul, matmulClass } from '../../src/kernels/matmul/choose.ts';
import { matmul } from '../../src/kernels/matmul/matmul.ts';
import {
  type SubgroupMatrixTile,
  subgroupMatrixTiles,
  techniquesOf,
} from '../../src/kernels/matmul/subgroup-matrix.ts';
import {
  type MatmulTechnique,
  matmulTechniques,
  splitInto,
  techniqueName,
} from '../../src/kernels/matmul/techniques.ts';
import { type FloatDtype, to } from '../../src/tensor/ops/elementwise.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { subgroupMatrixTechniques } from '../support/variants.ts';

const device = useDevice();

interface Case {
  m: number;
  n: number;
  k: number;
  batch?: number;
  transposes: readonly (readonly [boolean, boolean])[];
  /** Run again into the same c, added and with a bias. */
  accumulate?: boolean;
}

const allTransposes = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

/**
 * More than a tile, at multiples of four; an inner dimension of whole iterations; primes; a batch. Only a
 * few, because each is a shader to compile.
 */
const cases: Case[] = [
  { m: 132, n: 136, k: 36, accumulate: true, transposes: allTransposes },
  { m: 36, n: 68, k: 16, transposes: allTransposes },
  { m: 37, n: 41, k: 19, transposes: [[true, false]] },
  { m: 5, n: 7, k: 3, batch: 3, transposes: [[false, true]] },
];

/** The same for techniques that split the inner dimension; each part has 32 or more. */
const splitCases: Case[] = [
  { m: 132, n: 136, k: 100, accumulate: true, transposes: allTransposes },
  { m: 37, n: 41, k: 71, transposes: [[true, false]] },
  // Products in a batch are not split.
  { m: 5, n: 7, k: 67, batch: 3, transposes: [[false, true]] },
];

/**
 * The activation's input is stored, and the activation's slope there multiplies a product; aligned to four
 * elements or not.
 */
async function checkPreactivation(
  technique: MatmulTechnique,
  n: number,
  dtype: FloatDtype = 'float32',
): Promise<void> {
  const { current } = device;
  using _scope = current.scope();
  const [m, k] = [37, technique.splits > 1 ? 71 : 20];
  const [a, b] = [to(current.randn([m * k]), dtype), to(current.randn([n * k]), dtype)];
  const bias = current.randn([n]);
  const [c, inner, sloped] = [0, 1, 2].map(() => current.zeros([m * n])) as [Tensor, Tensor, Tensor];
  const sizes = { m, n, k, transposeA: false, technique, activation: 'sigmoid' } as const;
  const forward = { a: a.slot, b: b.slot, bias: bias.slot, c: c.slot, transposeB: true };
  matmul(current.gpu, { ...sizes, ...forward, preactivation: { slot: inner.slot, use: 'store' } });
  const backward = { a: a.slot, b: b.slot, c: sloped.slot, transposeB: false };
  matmul(current.gpu, { ...sizes, ...backward, preactivation: { slot: inner.slot, use: 'slope' } });
  const [va, vb, vBias] = [await a.float32Data(), await b.float32Data(), await bias.float32Data()];
  const [vc, vInner, vSloped] = [
    await c.float32Data(),
    await inner.float32Data(),
    await sloped.float32Data(),
  ];
  for (let i = 0; i < m; i += 1) {
    for (let j = 0; j < n; j += 1) {
      let [x, product] = [at(vBias, j), 0];
      for (let t = 0; t < k; t += 1) {
        x += at(va, i * k + t) * at(vb, j * k + t);
        product += at(va, i * k + t) * at(vb, t * n + j);
      }
      const y = 1 / (1 + Math.exp(-x));
      expect(at(vInner, i * n + j)).toBeCloseTo(x, 4);
      expect(at(vc, i * n + j)).toBeCloseTo(y, 5);
      expect(at(vSloped, i * n + j)).toBeCloseTo(product * y * (1 - y), 4);
    }
  }
}

/**
 * Adds, for one technique of each shader, one that splits the inner dimension into parts, the last of which
 * is shorter.
 */
const techniques = [
  ...matmulTechniques,
  ...matmulTechniques
    .filter(({ shader, rows }) => rows === (shader === 'matmul_tiled' ? 64 : 8))
    .map((technique) => splitInto(technique, 4)),
];
const label = ({ shader, defines, splits }: MatmulTechnique): string =>
  `${shader} ${Object.values(defines).join(' ')}${splits === 1 ? '' : `, ${splits} parts`}`;

function at(values: Float32Array, index: number): number {
  return values[index]!;
}

async function check(
  technique: MatmulTechnique,
  { m, n, k, batch = 1, accumulate = false }: Case,
  [transposeA, transposeB]: readonly [boolean, boolean],
  dtypes: { ab: FloatDtype; c: FloatDtype } = { ab: 'float32', c: 'float32' },
): Promise<void> {
  const { current } = device;
  using _scope = current.scope();
  const sums = transposeA ? current.zeros([m]) : undefined;
  const [a, b] = [batch * m * k, batch * k * n].map((size) => to(current.randn([size]), dtypes.ab)) as [
    Tensor,
    Tensor,
  ];
  const bias = current.randn([n]);
  const c = current.zeros([batch * m * n], dtypes.c);
  const options = { a: a.slot, b: b.slot, c: c.slot, m, n, k, batch, transposeA, transposeB, technique };
  const all = { ...options, ...(sums && { sums: sums.slot }) };
  const before = current.statistics().dispatches;
  matmul(current.gpu, { ...all, bias: bias.slot });
  const dispatches = current.statistics().dispatches - before;
  expect(dispatches).toBe(technique.splits > 1 && batch === 1 ? 2 : 1);
  if (accumulate) matmul(current.gpu, { ...all, accumulate });
  const times = accumulate ? 2 : 1;
  const [va, vb, vc] = [await a.float32Data(), await b.float32Data(), await c.float32Data()];
  const [vBias, vSums] = [await bias.float32Data(), await sums?.float32Data()];
  for (let z = 0; z < batch; z += 1) {
    for (let i = 0; i < m; i += 1) {
      const row = (t: number): number => at(va, z * m * k + (transposeA ? t * m + i : i * k + t));
      if (vSums !== undefined) {
        let sum = 0;
        for (let t = 0; t < k; t += 1) sum += row(t);
        expect(at(vSums, i)).toBeCloseTo(times * sum, 3);
      }
      for (let j = 0; j < n; j += 1) {
        let total = at(vBias, j);
        for (let t = 0; t < k; t += 1)
          total += times * row(t) * at(vb, z * k * n + (transposeB ? j * k + t : t * n + j));
        const error = Math.abs(at(vc, (z * m + i) * n + j) - total);
        // float16 rounds to 5e-4 of a number each time it is stored.
        const most = dtypes.c === 'float32' ? 1e-4 : 1e-3 * Math.max(1, Math.abs(total)) * times;
        if (!(error <= most)) expect.fail(`[${z}, ${i}, ${j}] is off by ${error}`);
      }
    }
  }
}

describe.each(techniques.map((technique) => [label(technique), technique] as const))('%s', (_, technique) => {
  const runs = (): boolean =>
    technique.defines.LANES === undefined ||
    technique.shader === 'matmul' ||
    technique.defines.LANES === device.current.gpu.subgroupSize;
  for (const shape of technique.splits > 1 ? splitCases : cases) {
    const { m, n, k, batch = 1 } = shape;
    it(`${batch} × [${m}, ${k}] · [${k}, ${n}]`, async (context) => {
      if (!runs()) context.skip('this adapter has no subgroups of that size');
      for (const transposes of shape.transposes) await check(technique, shape, transposes);
    });

    it(`${batch} × [${m}, ${k}] · [${k}, ${n}] of float16`, async (context) => {
      if (!runs()) context.skip('this adapter has no subgroups of that size');
      if (!device.current.gpu.float16) context.skip('this adapter has no float16');
      const transposes = shape.transposes.at(-1)!;
      // The types of activations, and those of weight gradients.
      await check(technique, shape, transposes, { ab: 'float16', c: 'float16' });
      await check(technique, shape, transposes, { ab: 'float16', c: 'float32' });
    });
  }

  it.for([40, 41])("keeps and uses the activation's input, %d columns", async (n, context) => {
    if (!runs()) context.skip('this adapter has no subgroups of that size');
    await checkPreactivation(technique, n);
  });
});

/**
 * The technique on the adapter's own matrix units, for subgroups of `times` as many invocations as it has; or
 * the reason why there is none.
 */
function onUnits(
  gpu: GpuContext,
  component: 'f16' | 'f32',
  tile: SubgroupMatrixTile,
  times = 1,
): MatmulTechnique | string {
  const matrix = gpu.subgroupMatrices.find((units) => units.component === component);
  if (matrix === undefined) return `this adapter lists no matrices of ${component} that the kernels can use`;
  const { down, across, rows, columns } = subgroupMatrixTiles[tile];
  const fitting = techniquesOf(gpu, { ...matrix, lanes: matrix.lanes * times });
  return (
    fitting.find((technique) => technique.rows === down * rows && technique.columns === across * columns) ??
    `${tile} tiles for ${matrix.lanes * times} invocations a subgroup are more than this adapter's limits allow`
  );
}

const units = (['f16', 'f32'] as const).flatMap((component) =>
  (Object.keys(subgroupMatrixTiles) as SubgroupMatrixTile[]).map((tile) => [component, tile] as const),
);

// On an adapter that computes on the CPU, each shader takes seconds to compile.
describe.each(units)('matrix units of %s, %s tiles', (component, tile) => {
  /** Calls `run` with the technique, or skips. */
  const using =
    (run: (technique: MatmulTechnique) => Promise<void>, times = 1) =>
    async (context: TestContext): Promise<void> => {
      const technique = onUnits(device.current.gpu, component, tile, times);
      if (typeof technique === 'string') return context.skip(technique);
      await run(technique);
    };
  const dtypes: { ab: FloatDtype; c: FloatDtype }[] = [
    { ab: 'float16', c: 'float32' },
    { ab: 'float16', c: 'float16' },
    ...(component === 'f32' ? [{ ab: 'float32', c: 'float32' } as const] : []),
  ];
  for (const shape of cases) {
    const { m, n, k, batch = 1 } = shape;
    for (const of of dtypes) {
      it(
        `${batch} × [${m}, ${k}] · [${k}, ${n}] of ${of.ab} into ${of.c}`,
        using(async (technique) => {
          const some = of.c === 'float16' ? shape.transposes.slice(-1) : shape.transposes;
          for (const transposes of some) await check(technique, shape, transposes, of);
        }),
      );
    }
  }

  for (const times of [0.5, 2]) {
    it(
      `made for subgroups ${times} times as large`,
      using((technique) => check(technique, cases[0]!, [true, false], dtypes[0]), times),
    );
  }

  // The rest does not depend on the tile.
  if (tile !== 'small') return;

  it(
    'in parts, of which the last is shorter',
    using(async (technique) => {
      const split = splitInto(technique, 4);
      await check(split, { ...cases[0]!, k: 100, accumulate: true }, [true, false], dtypes[0]);
      await check(split, { m: 37, n: 41, k: 71, transposes: [] }, [false, true], dtypes[0]);
    }),
  );

  for (const n of [40, 41]) {
    it(
      `keeps and uses the activation's input, ${n} columns`,
      using((technique) => checkPreactivation(technique, n, 'float16')),
    );
  }
});

it('refuses matrices of float16 for operands of float32', () => {
  const technique = subgroupMatrixTechniques.find(({ defines }) => defines.COMPONENT === 'f16')!;
  const [a, b, c] = [0, 1, 2].map(() => device.current.zeros([16]).slot);
  const product = { a: a!, b: b!, c: c!, m: 4, n: 4, k: 4, transposeA: false, transposeB: false };
  expect(() => matmul(device.current.gpu, { ...product, technique })).toThrow(GpuError);
});

describe('techniques for CPU adapters', () => {
  const cpuDevice = useDevice({ kernels: 'cpu' });

  it.each([
    [true, false],
    [false, true],
  ])('give the same bits, transposed %s, %s', async (transposeA, transposeB) => {
    const { current } = cpuDevice;
    using _scope = current.scope();
    const [m, n, k] = [37, 41, 71];
    const [a, b] = [current.randn([k * m]), current.randn([k * n])];
    const sides = { m, n, k, transposeA, transposeB };
    const results: (Float32Array | undefined)[][] = [];
    for (const technique of candidates(current.gpu, { ...sides, dtype: 'float32' })) {
      const [c, sums] = [current.zeros([m * n]), transposeA ? current.zeros([m]) : undefined];
      matmul(current.gpu, { a: a.slot, b: b.slot, c: c.slot, sums: sums?.slot, ...sides, technique });
      results.push([await c.float32Data(), await sums?.float32Data()]);
    }
    for (const result of results) expect(result).toEqual(results[0]);
  });
});

describe('split-K', () => {
  const gpuDevice = useDevice({ kernels: 'gpu' });
  const sides = { transposeA: true, transposeB: false, dtype: 'float32' } as const;

  it('is chosen where tiles are few and the inner dimension is long', () => {
    const splitsOf = (m: number, n: number, k: number): number =>
      chooseMatmul(gpuDevice.current.gpu, { m, n, k, ...sides }).splits;
    expect(splitsOf(128, 128, 16_384)).toBe(8);
    expect(splitsOf(128, 128, 3072)).toBe(2);
    expect(splitsOf(128, 128, 2304)).toBe(1);
    expect(splitsOf(768, 768, 8192)).toBe(2);
    expect(splitsOf(3072, 768, 4096)).toBe(1);
  });

  it('is measured by the tuner for parts that are shorter', () => {
    const most = (k: number): number =>
      Math.max(...candidates(gpuDevice.current.gpu, { m: 128, n: 128, k, ...sides }).map((t) => t.splits));
    expect([4096, 1024, 256].map(most)).toEqual([16, 4, 1]);
  });

  it('is used as measured, also for products alike that the tuner would split less', () => {
    const { gpu } = gpuDevice.current;
    const long = { m: 128, n: 128, k: 4096, ...sides };
    const split = candidates(gpu, long).find(({ splits }) => splits === 16)!;
    gpu.tuning.choose(matmulClass(long), techniqueName(split));
    expect(chooseMatmul(gpu, { ...long, k: 2052 })).toBe(split);
    expect(chooseMatmul(gpu, long)).toBe(split);
    gpu.tuning.clear();
    expect(chooseMatmul(gpu, long)).not.toBe(split);
  });

  it('gives its scratch back, and the same bits each time', async () => {
    const { current } = gpuDevice;
    const [m, n, k] = [12, 20, 1030];
    const [a, b] = [current.randn([k * m]), current.randn([k * n])];
    const results = [current.zeros([m * n]), current.zeros([m * n])];
    const technique = candidates(current.gpu, { m, n, k, ...sides }).find(({ splits }) => splits === 4)!;
    const before = current.statistics();
    for (const c of results)
      matmul(current.gpu, { a: a.slot, b: b.slot, c: c.slot, m, n, k, ...sides, technique });
    expect(current.gpu.pool.statistics.live).toBe(before.live);
    expect(current.statistics().dispatches).toBe(before.dispatches + 4);
    expect(await results[0]!.data()).toEqual(await results[1]!.data());
  });
});
