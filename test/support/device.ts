/** One device for each test file, on the adapter that DAWNGRAD_ADAPTER names or the best there is. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Device, type DeviceOptions, requestDevice } from '../../src/tensor/device.ts';

/** The file's device, opened before its tests; GPU errors fail the test they happen in. */
export function useDevice(options: DeviceOptions = {}): { readonly current: Device } {
  const holder: { device?: Device } = {};
  beforeAll(async () => {
    holder.device = await requestDevice(options);
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
