/** Consecutive requests for adapters in one process. */
import { afterEach, expect, it } from 'vitest';
import { NoAdapterError } from '../../src/errors.ts';
import { type Device, requestDevice } from '../../src/tensor/device.ts';

const open: Device[] = [];
const request = async (adapter?: string): Promise<Device> => {
  const device = await requestDevice(adapter === undefined ? {} : { adapter });
  open.push(device);
  return device;
};
afterEach(() => {
  for (const device of open.splice(0)) device.destroy();
});

const variables = () => [process.env.VK_ICD_FILENAMES, process.env.VK_DRIVER_FILES];

it('one that does not exist changes nothing for the next', async () => {
  const before = variables();
  const first = (await request()).description;
  await expect(request('no such adapter')).rejects.toThrow(NoAdapterError);
  expect(variables()).toEqual(before);
  expect((await request()).description).toBe(first);
});

it.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
  'the packaged one changes nothing for the next, and both compute',
  async () => {
    const before = variables();
    const first = await request();
    const packaged = await request('swiftshader');
    expect(packaged.description).toContain('SwiftShader');
    expect(variables()).toEqual(before);
    const next = await request();
    expect(next.description).toBe(first.description);
    for (const device of [first, packaged, next])
      expect(await device.full([3], 2).data()).toEqual(new Float32Array(3).fill(2));
  },
);

it('requests at once do not get in each other’s way', async () => {
  const before = variables();
  const { description } = await request();
  const found = await Promise.all([
    request('no such adapter').catch(() => null),
    request(),
    request('no such adapter either').catch(() => null),
    request(),
  ]);
  expect(found.map((device) => device?.description)).toEqual([
    undefined,
    description,
    undefined,
    description,
  ]);
  expect(variables()).toEqual(before);
});
