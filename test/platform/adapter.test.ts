/** Names of adapters, from the strings that Dawn reports for several drivers. */
import { expect, it } from 'vitest';
import { describeAdapter } from '../../src/platform/node/adapter.ts';

it('names a card before its driver, since the driver alone is that of many cards', () => {
  const card = { vendor: 'nvidia', architecture: 'hopper', description: 'NVIDIA: 580.159.04 580.159.4.0' };
  const [h100, h200] = ['nvidia-h100-80gb-hbm3', 'nvidia-h200'].map((device) =>
    describeAdapter({ ...card, device }),
  );
  expect(h100).toBe('nvidia-h100-80gb-hbm3 · NVIDIA: 580.159.04 580.159.4.0');
  expect(h200).not.toBe(h100);
});

it('names a software adapter by its driver', () => {
  const adapter = {
    vendor: 'mesa',
    architecture: 'software',
    device: 'llvmpipe-llvm-15-0-6-256-bits-',
    description: 'llvmpipe: Mesa 25.0.7 (LLVM 15.0.6) 0.0.1',
  };
  expect(describeAdapter(adapter)).toBe('llvmpipe: Mesa 25.0.7 (LLVM 15.0.6) 0.0.1');
});

it('makes do with less', () => {
  const none = { vendor: '', architecture: '', device: '', description: '' };
  expect(describeAdapter(none)).toBe('unnamed adapter');
  expect(describeAdapter({ ...none, vendor: 'apple', architecture: 'metal-3' })).toBe('apple metal-3');
  expect(describeAdapter({ ...none, device: 'apple-m4' })).toBe('apple-m4');
});
