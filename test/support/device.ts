/**
 * One device for each test file, on the adapter that DAWNGRAD_ADAPTER names or the best there is; with the
 * family of kernels that DAWNGRAD_KERNELS names (`cpu` or `gpu`) where a test does not choose.
 */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Device, type DeviceOptions, requestDevice } from '../../src/tensor/device.ts';

function named(): DeviceOptions {
  const kernels = process.env.DAWNGRAD_KERNELS;
  if (kernels === undefined) return {};
  if (kernels === 'cpu' || kernels === 'gpu') return { kernels };
  throw new Error(`DAWNGRAD_KERNELS is '${kernels}': use cpu or gpu`);
}

/** The file's device, opened before its tests; GPU errors fail the test they happen in. */
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
