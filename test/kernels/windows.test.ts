/**
 * Tensors larger than one binding: no dispatch binds more than the limit, and the results equal those of a
 * single binding.
 */
import { describe, expect, it, vi } from 'vitest';
import type { Device } from '../../src/tensor/device.ts';
import { add, mul } from '../../src/tensor/ops/elementwise.ts';
import { embedding } from '../../src/tensor/ops/embedding.ts';
import { crossEntropy, mseLoss } from '../../src/tensor/ops/loss.ts';
import { linear } from '../../src/tensor/ops/matmul.ts';
import { addLayerNorm, layerNorm, softmax } from '../../src/tensor/ops/normalize.ts';
import { mean, sum } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { randomArray } from '../support/ndarray.ts';

const LIMIT = 256 * 1024;
const whole = useDevice();
const windowed = useDevice({ maxBindingBytes: LIMIT });

const ids = Int32Array.from({ length: 2500 }, (_, i) => (i * 371) % 12_000);
const classes = Int32Array.from({ length: 12_000 }, (_, i) => (i % 9 === 0 ? -100 : i % 13));

/** Each input has [12_000, 13] elements = 624,000 bytes, or is a table of that size. */
const cases: Record<string, (x: Tensor, device: Device) => Tensor> = {
  softmax: (x) => softmax(x),
  'layerNorm, and the gradients of its weights': (x, device) => {
    const [weight, bias] = [device.ones([13]), device.zeros([13])];
    for (const tensor of [weight, bias]) tensor.requiresGrad = true;
    return layerNorm(x, weight, bias);
  },
  'addLayerNorm, with dropout': (x, device) => {
    device.manualSeed(4);
    const [weight, bias] = [device.ones([13]), device.zeros([13])];
    for (const tensor of [weight, bias]) tensor.requiresGrad = true;
    return addLayerNorm(x, device.ones([12_000, 13]), weight, bias, { dropout: 0.2 });
  },
  'a suffix added, and summed in backward': (x, device) => {
    const bias = device.tensor(Float32Array.from({ length: 13 }, (_, i) => i));
    bias.requiresGrad = true;
    return add(x, bias);
  },
  crossEntropy: (x, device) => crossEntropy(x, device.tensor(classes)),
  mseLoss: (x, device) => mseLoss(x, device.zeros([12_000, 13])),
  'mean of all': (x) => mean(x),
  'sum over rows': (x) => sum(x, 0),
  'sum over columns': (x) => sum(x, 1),
  'embedding of a large table': (x, device) => embedding(x, device.tensor(ids)),
  linear: (x, device) => {
    const weight = device.tensor(
      Float32Array.from({ length: 65 }, (_, i) => Math.sin(i)),
      [5, 13],
    );
    weight.requiresGrad = true;
    return linear(x, weight);
  },
};

async function run(
  device: Device,
  make: (x: Tensor, device: Device) => Tensor,
): Promise<ArrayLike<number>[]> {
  const scope = device.scope();
  const x = device.tensor(Float32Array.from(randomArray([12_000, 13], 3).data), [12_000, 13]);
  x.requiresGrad = true;
  const y = make(x, device);
  const before = await y.data();
  sum(mul(y, y)).backward();
  const leaves = [...scope.tensors].filter((tensor) => tensor.grad !== null);
  const gradients = await Promise.all(leaves.map((tensor) => tensor.grad!.data()));
  scope.close();
  return [before, ...gradients];
}

describe('a tensor larger than a binding', () => {
  it.each(Object.entries(cases))('%s', async (_, make) => {
    const bound = new Set<number>();
    const { recorder } = windowed.current.gpu;
    const spy = vi.spyOn(recorder, 'dispatch').mockImplementation(function (this: typeof recorder, ...args) {
      for (const { buffer, offset = 0, size = buffer.size - offset } of args[1]) bound.add(size);
      return Object.getPrototypeOf(recorder).dispatch.apply(recorder, args);
    });
    const [got, expected] = [await run(windowed.current, make), await run(whole.current, make)];
    spy.mockRestore();
    // Rows that begin between two aligned offsets are bound from the previous aligned offset.
    expect(Math.max(...bound)).toBeLessThanOrEqual(LIMIT + 256);
    expect(got.length).toBeGreaterThan(1);
    for (const [at, values] of got.entries()) {
      expect(values.length).toBe(expected[at]!.length);
      for (let i = 0; i < values.length; i += 1) {
        const difference = Math.abs(values[i]! - expected[at]![i]!);
        if (!(difference <= 1e-5 * Math.max(1, Math.abs(expected[at]![i]!))))
          expect.fail(`element ${i} of result ${at}: ${values[i]} instead of ${expected[at]![i]}`);
      }
    }
  });
});

describe('what no adapter can do', () => {
  it('is refused by name, before it reaches the GPU', ({ skip }) => {
    using _scope = whole.current.scope();
    const limit = whole.current.gpu.device.limits.maxStorageBufferBindingSize;
    if (limit > 2 ** 28) skip();
    const elements = limit / 4 + 1024;
    const x = whole.current.empty([1, 2, elements / 2]);
    expect(() => softmax(x)).toThrow(
      /^softmax .*: \d+ bytes are more than the \d+ this adapter binds at once/,
    );
  });
});
