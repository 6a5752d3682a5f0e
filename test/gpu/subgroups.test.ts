/** Adapters with several sizes of subgroups: kernels ask for one where they can. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { platform } from '#platform';
import { SUBGROUP_SIZE_CONTROL, subgroupsOf } from '../../src/gpu/subgroups.ts';
import { type DeviceOptions, requestDevice } from '../../src/tensor/device.ts';
import { attention } from '../../src/tensor/ops/attention.ts';
import { matmul } from '../../src/tensor/ops/matmul.ts';
import { layerNorm, softmax } from '../../src/tensor/ops/normalize.ts';
import { normalize } from '../../src/tensor/ops/text-vectors.ts';
import { reshape } from '../../src/tensor/ops/view.ts';

afterEach(() => vi.restoreAllMocks());

const both = ['subgroups', SUBGROUP_SIZE_CONTROL];

/** What is known of an adapter with these bounds, which may refuse sizes within them. */
function known([least, most]: readonly [number, number], features = both, refuses = false) {
  const device = {
    features: new Set(features),
    adapterInfo: { subgroupMinSize: least, subgroupMaxSize: most },
    pushErrorScope: () => {},
    popErrorScope: async () => (refuses ? new Error() : null),
    createShaderModule: vi.fn(() => ({})),
    createComputePipeline: () => {},
  };
  return subgroupsOf(device as unknown as GPUDevice);
}

describe('subgroupsOf', () => {
  it.each([
    [[32, 64], 32, true],
    [[8, 32], 32, false],
    [[16, 32], 32, false],
    [[64, 128], 64, false],
    [[4, 16], 16, false],
  ] as const)('of %o asks for %i', async (bounds, size, PINNED_TILES) => {
    expect(await known(bounds)).toEqual({ size, pins: { PINNED: true, PINNED_TILES } });
    const without = { size: 0, pins: {} };
    expect(await known(bounds, ['subgroups'])).toEqual(without);
    expect(await known(bounds, both, true)).toEqual(without);
  });

  it('asks for nothing if there is one size, or none', async () => {
    expect(await known([32, 32])).toEqual({ size: 32, pins: {} });
    expect(await known([32, 64], [])).toEqual({ size: 0, pins: {} });
    expect(await subgroupsOf({ features: new Set() } as unknown as GPUDevice)).toEqual({ size: 0, pins: {} });
  });
});

/** Results of kernels that count on a size, and the sizes that their code asks for. */
async function compute(options: DeviceOptions, leastOf?: (size: number) => number) {
  const { requestAdapter } = platform;
  const asked: string[] = [];
  let features: readonly string[] = [];
  const spy = vi.spyOn(platform, 'requestAdapter').mockImplementation(async (request) => {
    const found = await requestAdapter.call(platform, request);
    const open = found.adapter.requestDevice.bind(found.adapter);
    found.adapter.requestDevice = async (descriptor) => {
      features = [...(descriptor?.requiredFeatures ?? [])];
      const device = await open(descriptor);
      const { subgroupMinSize = 0, subgroupMaxSize } = found.adapter.info;
      if (leastOf !== undefined)
        Object.defineProperty(device, 'adapterInfo', {
          value: { subgroupMinSize: leastOf(subgroupMinSize), subgroupMaxSize },
        });
      const make = device.createShaderModule.bind(device);
      device.createShaderModule = (module) => {
        asked.push(...(module.code.match(/@subgroup_size\(\w+\)/g) ?? []));
        return make(module);
      };
      return device;
    };
    return found;
  });
  const device = await requestDevice(options);
  spy.mockRestore();
  using _scope = device.scope();
  const x = device.tensor(
    Float32Array.from({ length: 24 * 72 }, (_, i) => Math.sin(i)),
    [24, 72],
  );
  const heads = reshape(x, [1, 24, 72]);
  // Narrow heads compile sooner; tiles are for wide ones.
  const results = [
    softmax(x),
    layerNorm(x, device.ones([72]), device.zeros([72])),
    normalize(x),
    matmul(x, x, { transposeB: true }),
    attention(heads, heads, heads, { heads: options.kernels === 'gpu' ? 2 : 18 }),
  ];
  const values = await Promise.all(results.map((one) => one.float32Data()));
  const { subgroupSize } = device.gpu;
  device.destroy();
  return { values, asked, features, subgroupSize };
}

it('kernels that ask for the size compute what others do', async () => {
  const plain = await compute({ kernels: 'cpu' });
  const pinned = await compute({ kernels: 'cpu' }, (size) => size / 2);
  expect(plain.asked).toEqual([]);
  for (const name of both) expect(plain.features).toContain(name);
  expect(pinned.subgroupSize).toBe(plain.subgroupSize);
  // Once each to try the size, and by softmax, layer normalization, the unit rows, matmul and attention.
  expect(pinned.asked).toHaveLength(6);
  expect(pinned.values).toEqual(plain.values);
});

it('kernels for GPUs ask for it over rows only if tiles run on any', async () => {
  const { asked, subgroupSize } = await compute({ adapter: 'null', kernels: 'gpu' });
  expect(subgroupSize).toBe(32);
  expect(asked).toEqual([
    '@subgroup_size(32)',
    '@subgroup_size(TEAM)',
    '@subgroup_size(TEAM)',
    '@subgroup_size(TEAM)',
  ]);
  const amd = await compute({ adapter: 'null', kernels: 'gpu' }, () => 32);
  expect(amd.asked).toHaveLength(6);
});
