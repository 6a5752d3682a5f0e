/** Edge cases of numbers: NaN, the lowest float, large arguments, labels out of range. */
import { describe, expect, it } from 'vitest';
import type { GpuOptions } from '../../src/gpu/options.ts';
import { requestDevice } from '../../src/tensor/device.ts';
import { exp, gelu, quickGelu, relu, sigmoid, silu, tanh } from '../../src/tensor/ops/elementwise.ts';
import { embedding } from '../../src/tensor/ops/embedding.ts';
import { crossEntropy } from '../../src/tensor/ops/loss.ts';
import { layerNorm, softmax } from '../../src/tensor/ops/normalize.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();

const geluTanh = (x: Tensor) => gelu(x, { approximate: 'tanh' });

describe('NaN', () => {
  it.each(Object.entries({ exp, gelu, geluTanh, quickGelu, relu, sigmoid, silu, tanh }))(
    'passes through %s',
    async (_, op) => {
      using _scope = device.current.scope();
      const values = await op(device.current.tensor([Number.NaN, 1])).data();
      expect(values[0]).toBeNaN();
      expect(values[1]).toBeGreaterThan(0.5);
    },
  );
});

const settings: GpuOptions[] = [{ kernels: 'cpu' }, { kernels: 'cpu', subgroups: false }, { kernels: 'gpu' }];

describe.each(settings)('NaN and infinity in a row: %o', (options) => {
  const rows = useDevice(options);

  it.each([8, 37, 300])('of %i stay in that row', async (cols) => {
    using _scope = rows.current.scope();
    const values = Float32Array.from({ length: 3 * cols }, (_, i) => Math.sin(i));
    const places = [cols + 5, 2 * cols + 6];
    values[places[0]!] = Number.NaN;
    values[places[1]!] = Number.POSITIVE_INFINITY;
    const x = rows.current.tensor(values, [3, cols]);
    const [weight, bias] = [rows.current.ones([cols]), rows.current.zeros([cols])];
    const weights = await softmax(x).float32Data();
    const normalized = await layerNorm(x, weight, bias).float32Data();
    for (const got of [weights, normalized]) {
      expect(got.subarray(0, cols).every(Number.isFinite)).toBe(true);
      // Not the whole row of a softmax: SwiftShader's exp of NaN may be a number.
      for (const place of places) expect(got[place]).toBeNaN();
    }
    expect(normalized.subarray(cols).every(Number.isNaN)).toBe(true);
  });
});

describe('large arguments', () => {
  it('give the limits', async () => {
    using _scope = device.current.scope();
    const x = device.current.tensor([-1e30, -100, 100, 1e30]);
    expect([...(await tanh(x).data())]).toEqual([-1, -1, 1, 1]);
    for (const op of [gelu, geluTanh])
      expect([...(await op(x).data())].map((value) => value + 0)).toEqual([0, 0, 100, Math.fround(1e30)]);
    for (const [at, value] of [0, 0, 100, Math.fround(1e30)].entries())
      expect((await quickGelu(x).data())[at]).toBeCloseTo(value, 4);
    const ends = await sigmoid(x).data();
    expect(ends[0]).toBeLessThan(1e-30);
    expect(ends[3]).toBe(1);
    expect((await exp(device.current.tensor([88.5])).data())[0]! / Math.exp(88.5)).toBeCloseTo(1, 4);
  });

  it('give the slopes of every kind of GELU', async () => {
    for (const op of [gelu, geluTanh, quickGelu]) {
      using _scope = device.current.scope();
      const x = device.current.tensor([-1e30, -100, 100, 1e30]);
      x.requiresGrad = true;
      sum(op(x)).backward();
      for (const [at, slope] of [0, 0, 1, 1].entries())
        expect((await x.grad!.data())[at]).toBeCloseTo(slope, 4);
    }
  });

  it('of softmax and cross-entropy: rows masked with the lowest float', async () => {
    using _scope = device.current.scope();
    const lowest = -3.4028234663852886e38;
    const x = device.current.tensor([lowest, lowest, 0, lowest, 1000, 1000], [3, 2]);
    expect([...(await softmax(x).data())]).toEqual([0.5, 0.5, 1, 0, 0.5, 0.5]);
    expect(await crossEntropy(x, device.current.tensor(Int32Array.of(0, 0, 1))).item()).toBeCloseTo(
      (2 * Math.log(2)) / 3,
      5,
    );
  });

  it('of cross-entropy with weights of classes: classes masked with the lowest float', async () => {
    using _scope = device.current.scope();
    const lowest = -3.4028234663852886e38;
    const x = device.current.tensor([1, 1, lowest, lowest, lowest, 2, lowest, 2], [2, 4]);
    x.requiresGrad = true;
    const weight = device.current.tensor([4, 1, 2, 2]);
    const loss = crossEntropy(x, device.current.tensor(Int32Array.of(0, 1)), { weight });
    expect(await loss.item()).toBeCloseTo(Math.log(2), 5);
    loss.backward();
    const slopes = await x.grad!.data();
    for (const [at, slope] of [-0.4, 0.4, 0, 0, 0, -0.1, 0, 0.1].entries())
      expect(slopes[at]).toBeCloseTo(slope, 6);
  });
});

describe('labels of cross-entropy', () => {
  const logits = () => device.current.zeros([3, 4]);
  const targets = (...values: number[]) => device.current.tensor(Int32Array.from(values));

  it('may be any number that ignoreIndex names', async () => {
    using _scope = device.current.scope();
    const loss = crossEntropy(logits(), targets(1, 255, 255), { ignoreIndex: 255 });
    expect(await loss.item()).toBeCloseTo(Math.log(4), 5);
  });

  it('are refused out of range, whatever is ignored', () => {
    using _scope = device.current.scope();
    expect(() => crossEntropy(logits(), targets(1, -1, -100))).toThrowErrorMatchingSnapshot();
    expect(() => crossEntropy(logits(), targets(1, 4, -100))).toThrowErrorMatchingSnapshot();
  });

  it('give NaN out of range if only the GPU knows them', async () => {
    using _scope = device.current.scope();
    const labels = targets(1, 2, 3);
    device.current.fill(labels, 7);
    expect(await crossEntropy(logits(), labels).item()).toBeNaN();
  });
});

describe('ids of an embedding', () => {
  it.each([{}, { maxBindingBytes: 512 }])(
    'give NaN out of range if only the GPU knows them: %o',
    async (options) => {
      const current = await requestDevice(options);
      const table = current.ones([50, 8]);
      const ids = current.full([3], 50, 'int32');
      expect((await embedding(table, ids).float32Data()).every(Number.isNaN)).toBe(true);
      current.fill(ids, 49);
      expect((await embedding(table, ids).float32Data()).every((value) => value === 1)).toBe(true);
      current.destroy();
    },
  );
});
