/**
 * Rules for which matrix units are used, with which tiles, and for which products, tested with hypothetical
 * adapters.
 */
import { describe, expect, it } from 'vitest';
import type { GpuContext, GpuLimits } from '../../src/gpu/context.ts';
import { SUBGROUP_MATRIX, type SubgroupMatrix, subgroupMatricesOf } from '../../src/gpu/subgroup-matrix.ts';
import { Tuning } from '../../src/gpu/tuning.ts';
import { candidates, chooseMatmul, matmulClass } from '../../src/kernels/matmul/choose.ts';
import { subgroupMatrixTechniques } from '../../src/kernels/matmul/subgroup-matrix.ts';
import { type MatmulTechnique, techniqueName } from '../../src/kernels/matmul/techniques.ts';

type Config = readonly [component: string, result: string, M: number, N: number, K: number];

/** The units that the engine uses of an adapter that lists `configs`, with subgroups of these sizes. */
function unitsOf(
  configs: readonly Config[],
  [least, most]: readonly [number, number] = [32, 32],
  without: readonly string[] = [],
): readonly SubgroupMatrix[] {
  const features = ['shader-f16', 'subgroups', SUBGROUP_MATRIX].filter((name) => !without.includes(name));
  const info = {
    subgroupMinSize: least,
    subgroupMaxSize: most,
    subgroupMatrixConfigs: configs.map(([componentType, resultComponentType, M, N, K]) => ({
      componentType,
      resultComponentType,
      M,
      N,
      K,
    })),
  };
  return subgroupMatricesOf({ features: new Set(features) } as unknown as GPUDevice, info as never);
}

const limits = {
  maxComputeWorkgroupStorageSize: 49_152,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
} as GpuLimits;

/** The part of a context that the choice needs. */
function adapter(
  subgroupMatrices: readonly SubgroupMatrix[],
  { kernels = 'gpu', ...less }: Partial<GpuLimits> & { kernels?: 'cpu' | 'gpu' } = {},
): GpuContext {
  const known = { kernels, subgroupSize: 8, subgroupMatrices, limits: { ...limits, ...less } };
  return { ...known, tuning: new Tuning() } as unknown as GpuContext;
}

const tensorCores: Config[] = [
  ['f16', 'f16', 16, 16, 16],
  ['f16', 'f32', 16, 8, 8],
  ['f16', 'f32', 16, 16, 16],
  ['f16', 'f32', 16, 8, 16],
  ['u8', 'u32', 16, 16, 32],
];
const simdgroups: Config[] = [
  ['f32', 'f32', 8, 8, 8],
  ['f16', 'f16', 8, 8, 8],
];

describe('matrix units', () => {
  it('are the largest that sum in float32', () => {
    expect(unitsOf(tensorCores)).toEqual([
      { component: 'f16', M: 16, N: 16, K: 16, lanes: 32, maxLanes: 32 },
    ]);
    expect(unitsOf([...tensorCores, ...simdgroups]).map(({ component }) => component)).toEqual([
      'f16',
      'f32',
    ]);
  });

  it('of float32 do for an adapter that sums those of float16 in float16', () => {
    // Bounds so wide carry no information: such hardware has 32.
    expect(unitsOf(simdgroups, [4, 64])).toEqual([
      { component: 'f32', M: 8, N: 8, K: 8, lanes: 32, maxLanes: 64 },
    ]);
  });

  it('are none where the adapter lists none that fit, or lacks a feature', () => {
    expect(unitsOf([])).toEqual([]);
    expect(
      unitsOf([
        ['f16', 'f16', 16, 16, 16],
        ['f16', 'f32', 12, 8, 8],
        ['f16', 'f32', 8, 8, 4],
        ['f16', 'f32', 64, 16, 16],
        ['i8', 'i32', 16, 16, 32],
      ]),
    ).toEqual([]);
    for (const name of ['shader-f16', 'subgroups', SUBGROUP_MATRIX])
      expect(unitsOf(tensorCores, [32, 32], [name])).toEqual([]);
    const browser = { features: new Set(['shader-f16', 'subgroups']) } as unknown as GPUDevice;
    expect(subgroupMatricesOf(browser, {} as GPUAdapterInfo)).toEqual([]);
  });

  it("get the tiles that the adapter's limits allow", () => {
    const tilesOf = (gpu: GpuContext): number[][] =>
      subgroupMatrixTechniques(gpu, 'float16').map(({ rows, columns }) => [rows, columns]);
    const of16 = unitsOf(tensorCores);
    const [small, tall, large] = [
      [64, 64],
      [128, 64],
      [128, 128],
    ];
    expect(tilesOf(adapter(of16))).toEqual([small, tall, large]);
    expect(tilesOf(adapter([...of16], { maxComputeWorkgroupStorageSize: 32_768 }))).toEqual([small, tall]);
    expect(tilesOf(adapter([...of16], { maxComputeWorkgroupStorageSize: 16_384 }))).toEqual([]);
    expect(tilesOf(adapter([...of16], { maxComputeInvocationsPerWorkgroup: 128 }))).toEqual([small, tall]);
    // A workgroup must consist of whole subgroups, however large they are.
    expect(tilesOf(adapter(unitsOf(tensorCores, [32, 256])))).toEqual([large]);
  });
});

describe('the choice', () => {
  const product = {
    m: 4096,
    n: 4096,
    k: 768,
    transposeA: false,
    transposeB: true,
    dtype: 'float16',
  } as const;
  const few = { ...product, m: 128, n: 128, k: 16_384 };
  const tile = ({ shader, rows, columns, splits }: MatmulTechnique): string =>
    `${shader} ${rows}×${columns} ${splits}`;

  it('for float16 is matrix units, of large tiles where they are many, in parts where they are few', () => {
    const gpu = adapter(unitsOf(tensorCores));
    expect(tile(chooseMatmul(gpu, product))).toBe('matmul_subgroup_matrix 128×128 1');
    expect(tile(chooseMatmul(gpu, { ...product, n: 1024 }))).toBe('matmul_subgroup_matrix 128×128 1');
    expect(tile(chooseMatmul(gpu, { ...product, n: 512 }))).toBe('matmul_subgroup_matrix 128×64 1');
    expect(tile(chooseMatmul(gpu, few))).toBe('matmul_subgroup_matrix 64×64 8');
    // The same object each time, because variants are looked up by it.
    expect(chooseMatmul(gpu, few)).toBe(chooseMatmul(gpu, few));
  });

  it('is tiles for products of few classes that cannot be loaded as four-vectors', () => {
    const gpu = adapter(unitsOf(tensorCores));
    const shaderOf = (shape: object): string => chooseMatmul(gpu, { ...product, ...shape }).shader;
    const gradient = { transposeB: false };
    for (const classes of [1, 2, 3, 6, 9, 15]) {
      // The gradients of a head's input and of its weight, and the latter the other way round.
      expect(shaderOf({ ...gradient, k: classes })).toBe('matmul_tiled');
      expect(shaderOf({ ...gradient, transposeA: true, m: classes })).toBe('matmul_tiled');
      expect(shaderOf({ ...gradient, n: classes })).toBe('matmul_tiled');
      // Its forward, whose operands both lie along k.
      expect(shaderOf({ n: classes })).toBe('matmul_subgroup_matrix');
    }
    expect(shaderOf({ ...gradient, transposeA: true, m: 12 })).toBe('matmul_subgroup_matrix');
    // BERT's vocabulary.
    expect(shaderOf({ ...gradient, transposeA: true, m: 30_522 })).toBe('matmul_subgroup_matrix');
    expect(shaderOf({ ...gradient, k: 30_522 })).toBe('matmul_subgroup_matrix');
  });

  it('for float32 is never matrix units, unless they were measured, and then only those of float32', () => {
    for (const configs of [tensorCores, simdgroups]) {
      const gpu = adapter(unitsOf(configs));
      const wide = { ...product, dtype: 'float32' as const };
      expect(chooseMatmul(gpu, wide).shader).toBe('matmul_tiled');
      const onUnits = candidates(gpu, wide).filter(({ defines }) => 'COMPONENT' in defines);
      expect(onUnits.map(({ defines }) => defines.COMPONENT)).toEqual(
        configs === tensorCores ? [] : onUnits.map(() => 'f32'),
      );
      const halfName = techniqueName(chooseMatmul(gpu, product));
      gpu.tuning.choose(matmulClass(wide), halfName);
      expect(chooseMatmul(gpu, wide).shader).toBe(
        configs === tensorCores ? 'matmul_tiled' : 'matmul_subgroup_matrix',
      );
    }
  });

  it('keeps what was measured for float16 and float32 apart', () => {
    const gpu = adapter(unitsOf(tensorCores));
    const tiled = candidates(gpu, product).find(({ shader }) => shader === 'matmul_tiled')!;
    gpu.tuning.choose(matmulClass(product), techniqueName(tiled));
    expect(chooseMatmul(gpu, product)).toBe(tiled);
    expect(matmulClass({ ...product, dtype: 'float32' as const })).not.toBe(matmulClass(product));
  });

  it('is as ever where there are no units that fit, and with kernels for CPUs', () => {
    const none = adapter([]);
    const narrow = adapter(unitsOf(tensorCores), { maxComputeWorkgroupStorageSize: 16_384 });
    for (const shape of [product, few]) {
      expect(chooseMatmul(none, shape)).toBe(chooseMatmul(none, { ...shape, dtype: 'float32' }));
      expect(chooseMatmul(narrow, shape)).toBe(chooseMatmul(none, shape));
      expect(candidates(narrow, shape)).toEqual(candidates(none, shape));
    }
    const cpu = adapter(unitsOf(tensorCores), { kernels: 'cpu' });
    expect(candidates(cpu, product).every(({ shader }) => shader === 'matmul_broadcast')).toBe(true);
    expect(chooseMatmul(cpu, product).shader).toBe('matmul_broadcast');
  });
});
