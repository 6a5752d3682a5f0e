/** The check of matrix units finds what is wrong, and lets pass what is right. */
import { expect, it, vi } from 'vitest';
import { checkMatrixUnits, multipliesRight } from '../../src/kernels/matmul-check.ts';
import { candidates, chooseMatmul, type MatmulTechnique } from '../../src/kernels/matmul-variants.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();
const asGpu = useDevice({ kernels: 'gpu' });

it.for([
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const)(
  'is satisfied with a product that is right: transposed %s, %s',
  async ([transposeA, transposeB]) => {
    const { gpu } = device.current;
    const [technique] = candidates(gpu, false);
    const sides = { transposeA, transposeB };
    expect(await multipliesRight(gpu, technique!, { ...sides, half: false })).toBe(true);
    if (gpu.device.features.has('shader-f16'))
      expect(await multipliesRight(gpu, technique!, { ...sides, half: true })).toBe(true);
  },
);

it('notices elements that were not computed, whatever was in memory', async () => {
  const { gpu } = device.current;
  const technique = candidates(gpu, false)[0]!;
  const sides = { transposeA: false, transposeB: true, half: false };
  for (const less of [{ rows: 2 * technique.rows }, { columns: 2 * technique.columns }]) {
    const gaps: MatmulTechnique = { ...technique, ...less };
    expect(await multipliesRight(gpu, technique, sides)).toBe(true);
    expect(await multipliesRight(gpu, gaps, sides)).toBe(false);
  }
});

it('does without units that the adapter refuses, and says so', async () => {
  const { gpu } = asGpu.current;
  const warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const shape = { m: 512, n: 512, k: 512, transposeA: false, transposeB: true, half: true };
  const before = gpu.subgroupMatrices;
  // No adapter has matrices of 32 × 32 × 16 that sum in float32.
  gpu.subgroupMatrices = [{ component: 'f16', M: 32, N: 32, K: 16, lanes: 8, maxLanes: 8 }];
  expect(chooseMatmul(gpu, shape, true).shader).toBe('matmul_subgroup_matrix');
  await checkMatrixUnits(gpu);
  expect(chooseMatmul(gpu, shape, true).shader).toBe('matmul_tiled');
  expect(warned).toHaveBeenCalledOnce();
  warned.mockRestore();
  gpu.subgroupMatrices = before;
});
