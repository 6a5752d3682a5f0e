/** Queries, keys and values in one product: weights that share memory, and weights that do not. */
import { expect, it } from 'vitest';
import { qkvLinear } from '../../src/tensor/ops/qkv-linear.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();
type Three = [Tensor, Tensor, Tensor];

it('gives the same from one memory as from three, gradients too', async () => {
  const { current } = device;
  const x = current.randn([5, 64]);
  const [weight, bias] = [current.randn([192, 64]), current.randn([192])];
  const [packedWeights, packedBiases] = [weight, bias].map((t) => t.split([64, 64, 64])) as [Three, Three];
  const apart = (parts: Three): Three => parts.map((part) => current.copy(part)) as Three;
  const [weights, biases] = [apart(packedWeights), apart(packedBiases)];
  const results: Float32Array[][] = [];
  for (const parameters of [
    [packedWeights, packedBiases],
    [weights, biases],
  ] as const) {
    for (const tensor of parameters.flat()) tensor.requiresGrad = true;
    const y = qkvLinear(x, ...parameters);
    sum(y).backward();
    const tensors = [y, ...parameters.flat().map((parameter) => parameter.grad!)];
    results.push(await Promise.all(tensors.map((tensor) => tensor.float32Data())));
  }
  expect(results[0]).toEqual(results[1]);
  expect(results[0]![0]!.some((value) => value !== 0)).toBe(true);
});

it('a part is read, written and released by itself', async () => {
  const { current } = device;
  const before = current.statistics().live;
  const whole = current.raw([3, 64]);
  current.fill(whole, 1);
  const parts = whole.split([1, 1, 1]);
  whole.dispose();
  parts[1]!.write(new Float32Array(64).fill(2));
  expect(parts.map(({ shared }) => shared)).toEqual([false, false, false]);
  expect(await Promise.all(parts.map(async (part) => (await part.float32Data())[63]))).toEqual([1, 2, 1]);
  for (const [at, part] of parts.entries()) {
    expect(current.statistics().live - before).toBe(1);
    part.dispose();
    if (at === 2) expect(current.statistics().live).toBe(before);
  }
});
