/** `requestDevice` opens a device again, without matrix units, if it is lost while they are tried. */
import { expect, it, vi } from 'vitest';
import { DeviceLostError } from '../../src/errors.ts';
import type { GpuContext } from '../../src/gpu/context.ts';
import { SUBGROUP_MATRIX } from '../../src/gpu/subgroup-matrix.ts';
import { requestDevice } from '../../src/tensor/device.ts';

const checked = vi.hoisted(() => [] as GpuContext[]);

vi.mock('../../src/kernels/matmul/check.ts', () => ({
  checkSubgroupMatrices: async (gpu: GpuContext): Promise<void> => {
    checked.push(gpu);
    throw new DeviceLostError('the GPU device was lost: a test');
  },
}));

it('does without matrix units, and says so', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const device = await requestDevice({ kernels: 'gpu' });
  expect(checked).toHaveLength(1);
  expect(device.gpu).not.toBe(checked[0]);
  expect(device.gpu.kernels).toBe('gpu');
  expect(device.gpu.subgroupMatrices).toEqual([]);
  expect(device.gpu.device.features.has(SUBGROUP_MATRIX)).toBe(false);
  expect(warn).toHaveBeenCalledExactlyOnceWith(
    `${device.description} was lost while its matrix units were tried: dawngrad does without them`,
  );
  warn.mockRestore();
  expect(await device.full([3], 2).data()).toEqual(new Float32Array(3).fill(2));
  device.destroy();
});
