/**
 * One device per test file, on the adapter named by DAWNGRAD_ADAPTER or else the best one, with the kernel
 * family named by DAWNGRAD_KERNELS (`cpu` or `gpu`) unless a test chooses.
 */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Device, type DeviceOptions, requestDevice } from '../../src/tensor/device.ts';

function named(): DeviceOptions {
  const kernels = process.env.DAWNGRAD_KERNELS;
  if (kernels === undefined) return {};
  if (kernels === 'cpu' || kernels === 'gpu') return { kernels };
  throw new Error(`DAWNGRAD_KERNELS is '${kernels}': use cpu or gpu`);
}

/** The file's device, opened before its tests. A GPU error fails the test in which it occurs. */
export function useDevice(options: DeviceOptions = {}): { readonly current: Device } {
  const holder: { device?: Device } = {};
  beforeAll(async () => {
    holder.device = await requestDevice({ ...named(), ...options });
  });
  afterEach(async () => {
    await holder.device!.sync();
  });
  afterAll(() => {
    holder.device?.destroy();
  });
  return {
    get current() {
      return holder.device!;
    },
  };
}
