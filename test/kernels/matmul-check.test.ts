/** The check of matrix units detects wrong results and accepts correct ones. */
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DeviceLostError } from '../../src/errors.ts';
import type { SubgroupMatrix } from '../../src/gpu/subgroup-matrix.ts';
import { attentionUsesMatrices } from '../../src/kernels/attention.ts';
import { attendsRight } from '../../src/kernels/attention-check.ts';
import { checkSubgroupMatrices, multipliesRight } from '../../src/kernels/matmul/check.ts';
import { candidates, chooseMatmul } from '../../src/kernels/matmul/choose.ts';
import type { MatmulTechnique } from '../../src/kernels/matmul/techniques.ts';
import { requestDevice } from '../../src/tensor/device.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();
const asGpu = useDevice({ kernels: 'gpu' });

const product = { m: 512, n: 512, k: 512, transposeA: false, transposeB: true, dtype: 'float32' } as const;

it.for([
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const)(
  'is satisfied with a product that is right: transposed %s, %s',
  async ([transposeA, transposeB]) => {
    const { gpu } = device.current;
    const [technique] = candidates(gpu, product);
    const sides = { transposeA, transposeB };
    expect(await multipliesRight(gpu, technique!, { ...sides, dtype: 'float32' })).toBe(true);
    if (gpu.float16)
      expect(await multipliesRight(gpu, technique!, { ...sides, dtype: 'float16' })).toBe(true);
  },
);

/** Omits every other tile, down or across. */
function gapsIn(technique: MatmulTechnique): MatmulTechnique[] {
  const { rows, columns } = technique;
  return [
    { ...technique, rows: 2 * rows },
    { ...technique, columns: 2 * columns },
  ];
}

it('notices elements that were not computed, whatever was in memory', async () => {
  const { gpu } = device.current;
  const technique = candidates(gpu, product)[0]!;
  for (const gaps of gapsIn(technique)) {
    expect(await multipliesRight(gpu, technique, product)).toBe(true);
    expect(await multipliesRight(gpu, gaps, product)).toBe(false);
  }
});

/** The number rounded to the nearest with a significand of `bits`. */
function rounded(value: number, bits: number): number {
  const unit = 2 ** (Math.floor(Math.log2(Math.max(value, 1))) + 1 - bits);
  return Math.round(value / unit) * unit;
}

it.each([
  ['TF32', 11, false],
  ['nothing', 24, true],
] as const)('notices operands of float32 rounded as by %s', async (_, bits, right) => {
  const { gpu } = device.current;
  const { recorder } = gpu;
  const write = recorder.write.bind(recorder);
  const spy = vi.spyOn(recorder, 'write').mockImplementation((buffer, offset, data) =>
    write(
      buffer,
      offset,
      (data as Float32Array<ArrayBuffer>).map((value) => (value < 0 ? value : rounded(value, bits))),
    ),
  );
  expect(await multipliesRight(gpu, candidates(gpu, product)[0]!, product)).toBe(right);
  expect(spy).toHaveBeenCalled();
  spy.mockRestore();
});

it.for([
  ['wrong', 40, false],
  ['right', 0, true],
] as const)('finds attention %s', async ([_, off, right], context) => {
  const { gpu } = asGpu.current;
  if (!gpu.float16) context.skip('this adapter has no float16');
  const write = gpu.recorder.write.bind(gpu.recorder);
  const spy = vi.spyOn(gpu.recorder, 'write').mockImplementation((buffer, offset, data) => {
    // The value of an early key, of which each result has a small part.
    const values = Float32Array.from(data as Float32Array<ArrayBuffer>);
    if (values.length === 72 * 96) values[7 * 96 + 70]! += off * 1024;
    return write(buffer, offset, values);
  });
  expect(await attendsRight(gpu)).toBe(right);
  spy.mockRestore();
});

describe('of an adapter with matrix units', () => {
  const half = { ...product, dtype: 'float16' } as const;
  const units: SubgroupMatrix = { component: 'f16', M: 16, N: 16, K: 16, lanes: 8, maxLanes: 8 };
  const warn = vi.spyOn(console, 'warn');
  let before: readonly SubgroupMatrix[];

  beforeEach(() => {
    warn.mockReset().mockImplementation(() => {});
    before = asGpu.current.gpu.subgroupMatrices;
    asGpu.current.gpu.subgroupMatrices = [units];
  });
  afterEach(() => {
    asGpu.current.gpu.subgroupMatrices = before;
  });
  afterAll(() => warn.mockRestore());

  it('keeps units that multiply right', async (context) => {
    const { gpu } = asGpu.current;
    if (!gpu.float16) context.skip('this adapter has no float16');
    const [standIn] = candidates(device.current.gpu, product);
    await checkSubgroupMatrices(gpu, [standIn!], false);
    expect(gpu.subgroupMatrices).toEqual([units]);
    expect(chooseMatmul(gpu, half).shader).toBe('matmul_subgroup_matrix');
    expect(warn).not.toHaveBeenCalled();
  });

  it('does without those that multiply wrong, and says so', async (context) => {
    const { gpu } = asGpu.current;
    if (!gpu.float16) context.skip('this adapter has no float16');
    const standIn = candidates(device.current.gpu, product)[0]!;
    await checkSubgroupMatrices(gpu, [standIn, gapsIn(standIn)[0]!]);
    expect(gpu.subgroupMatrices).toEqual([]);
    expect(chooseMatmul(gpu, half).shader).toBe('matmul_tiled');
    expect(warn).toHaveBeenCalledExactlyOnceWith(
      `the matrix units of ${gpu.description} multiply wrong: dawngrad does without them`,
    );
  });

  it('does without those that attend wrong', async (context) => {
    const { gpu } = asGpu.current;
    if (!gpu.float16 || before.length > 0) context.skip('this adapter may have such matrices');
    gpu.subgroupMatrices = [{ ...units, M: 8, lanes: gpu.subgroupSize }];
    expect(attentionUsesMatrices(gpu, 32)).toBe(true);
    await checkSubgroupMatrices(gpu, candidates(device.current.gpu, product).slice(0, 1), true);
    expect(gpu.subgroupMatrices).toEqual([]);
    expect(warn).toHaveBeenCalledOnce();
  });

  it('does without those that the adapter refuses, and says so', async (context) => {
    const { gpu } = asGpu.current;
    if (!gpu.float16) context.skip('this adapter has no float16');
    // No adapter has matrices of 32 × 32 × 16 that accumulate in float32.
    gpu.subgroupMatrices = [{ ...units, M: 32, N: 32 }];
    expect(chooseMatmul(gpu, half).shader).toBe('matmul_subgroup_matrix');
    await checkSubgroupMatrices(gpu);
    expect(chooseMatmul(gpu, half).shader).toBe('matmul_tiled');
    expect(warn).toHaveBeenCalledOnce();
  });

  it('are left alone where the adapter has no float16, with which they are tried', async () => {
    const { gpu } = asGpu.current;
    const wide: SubgroupMatrix[] = [{ ...units, component: 'f32', M: 8, N: 8, K: 8 }];
    gpu.subgroupMatrices = wide;
    const { float16 } = gpu;
    Object.assign(gpu, { float16: false });
    await checkSubgroupMatrices(gpu);
    Object.assign(gpu, { float16 });
    expect(gpu.subgroupMatrices).toBe(wide);
    expect(warn).not.toHaveBeenCalled();
  });

  it('tells of a device that was lost', async () => {
    const lost = await requestDevice();
    lost.gpu.device.destroy();
    const techniques = candidates(lost.gpu, product).slice(0, 1);
    await expect(checkSubgroupMatrices(lost.gpu, techniques)).rejects.toThrow(DeviceLostError);
    expect(warn).not.toHaveBeenCalled();
  });

  it('computes nothing where the kernels are those for CPUs', async (context) => {
    const { gpu } = device.current;
    if (gpu.kernels === 'gpu') context.skip('this adapter has kernels for GPUs');
    const kept = gpu.subgroupMatrices;
    gpu.subgroupMatrices = [units];
    const { dispatches } = device.current.statistics();
    await checkSubgroupMatrices(gpu);
    expect(device.current.statistics().dispatches).toBe(dispatches);
    expect(chooseMatmul(gpu, half).shader).not.toBe('matmul_subgroup_matrix');
    gpu.subgroupMatrices = kept;
  });
});
