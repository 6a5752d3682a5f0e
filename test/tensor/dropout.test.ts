/** Dropout: share, scale, seeds, and the same mask in backward. */
import { describe, expect, it } from 'vitest';
import type { GpuOptions } from '../../src/gpu/options.ts';
import type { Device } from '../../src/tensor/device.ts';
import { attention, selfAttention } from '../../src/tensor/ops/attention.ts';
import { add, dropout, mul, to } from '../../src/tensor/ops/elementwise.ts';
import { addLayerNorm, layerNorm } from '../../src/tensor/ops/normalize.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { maxDifference } from '../support/fixtures.ts';

const device = useDevice();
const windowed = useDevice({ maxBindingBytes: 1024 });
const families = { cpu: useDevice({ kernels: 'cpu' }), gpu: useDevice({ kernels: 'gpu' }) };

describe('dropout', () => {
  it.each([0.1, 0.5, 0.9])('drops a share of %f and scales the rest', async (p) => {
    using _scope = device.current.scope();
    device.current.manualSeed(1);
    const values = await dropout(device.current.ones([100, 1000]), p).float32Data();
    const kept = values.filter((value) => value !== 0);
    // Four standard deviations of a binomial share.
    expect(Math.abs(kept.length / values.length - (1 - p))).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 1e5));
    for (const value of kept) expect(value).toBeCloseTo(1 / (1 - p), 5);
  });

  it('draws the same mask for the same seed, another at each call, and resumes from a saved state', async () => {
    using _scope = device.current.scope();
    const ones = device.current.ones([2000]);
    const draw = () => dropout(ones, 0.5).float32Data();
    device.current.manualSeed(7);
    const first = await draw();
    const state = device.current.randomState;
    const second = await draw();
    expect(second).not.toEqual(first);
    device.current.manualSeed(7);
    expect(await draw()).toEqual(first);
    device.current.randomState = state;
    expect(await draw()).toEqual(second);
    device.current.manualSeed(8);
    expect(await draw()).not.toEqual(first);
  });

  it('sends gradients through what it kept, at the same scale', async () => {
    using _scope = device.current.scope();
    const x = device.current.ones([3, 700]);
    x.requiresGrad = true;
    const y = dropout(x, 0.3);
    const values = await y.data();
    sum(y).backward();
    expect(await x.grad!.data()).toEqual(values);
  });

  it('draws one mask whether or not the tensor is walked in windows', async () => {
    const draw = async ({ current }: typeof device) => {
      using _scope = current.scope();
      current.manualSeed(3);
      return dropout(current.ones([1000]), 0.5).data();
    };
    expect(await draw(windowed)).toEqual(await draw(device));
  });

  it('is the identity for p = 0, and refuses p outside [0, 1)', () => {
    using _scope = device.current.scope();
    const x = device.current.ones([2]);
    expect(dropout(x, 0)).toBe(x);
    for (const p of [-0.1, 1, Number.NaN]) expect(() => dropout(x, p)).toThrowErrorMatchingSnapshot();
  });
});

const settings: Record<string, GpuOptions> = {
  'kernels for CPU adapters': { kernels: 'cpu' },
  'kernels for CPU adapters without subgroups': { kernels: 'cpu', subgroups: false },
  'kernels for GPUs': { kernels: 'gpu' },
};

describe.each(Object.entries(settings))('dropout before a residual sum and LayerNorm: %s', (_, options) => {
  const one = useDevice(options);
  const small = useDevice({ ...options, maxBindingBytes: 32 * 1024 });

  it.for([
    [70, 148, 'float32'],
    [9, 33, 'float32'],
    [300, 64, 'float32'],
    [70, 148, 'float16'],
    [9, 33, 'float16'],
  ] as const)(
    'of [%i,%i] equals the single ops, and so do its gradients, of %s',
    async ([rows, cols, dtype], context) => {
      if (dtype === 'float16' && !one.current.gpu.float16) context.skip('this adapter has no float16');
      const run = async (
        { current }: typeof device,
        op: (x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) => Tensor,
      ) => {
        using _scope = current.scope();
        current.manualSeed(5);
        const shapes = [[rows, cols], [rows, cols], [cols], [cols]];
        const leaves = shapes.map((shape) => current.randn(shape)) as [Tensor, Tensor, Tensor, Tensor];
        leaves[0] = to(leaves[0], dtype);
        for (const leaf of leaves) leaf.requiresGrad = true;
        const dy = current.randn([rows, cols]);
        const y = op(...leaves);
        y.backward(dy);
        return Promise.all([y, ...leaves.map((leaf) => leaf.grad!)].map((tensor) => tensor.float32Data()));
      };
      const fused = (...[x, residual, weight, bias]: Tensor[]) =>
        addLayerNorm(x!, residual!, weight!, bias!, { dropout: 0.3 });
      const single = (...[x, residual, weight, bias]: Tensor[]) =>
        layerNorm(add(dropout(to(x!, 'float32'), 0.3), residual!), weight!, bias!);
      const expected = await run(one, single);
      const dx = expected[1]!;
      expect(Math.abs(dx.filter((value) => value === 0).length / dx.length - 0.3)).toBeLessThan(0.1);
      for (const got of [await run(one, fused), await run(small, fused)])
        for (const [at, values] of got.entries())
          expect(maxDifference(values, expected[at]!), `result ${at}`).toBeLessThan(
            // The gradient of x has the type of x.
            at === 1 && dtype === 'float16' ? 2e-3 : 2e-5,
          );
    },
  );
});

describe('dropout of attention weights', () => {
  const shape = [2, 9, 8];
  const inputs = () => {
    device.current.manualSeed(11);
    const draw = () => {
      const tensor = device.current.randn(shape);
      tensor.requiresGrad = true;
      return tensor;
    };
    return [draw(), draw(), draw()] as const;
  };

  it('has a gradient that follows the mask: by differences along each input', async () => {
    using _scope = device.current.scope();
    const [q, k, v] = inputs();
    const weights = device.current.randn(shape);
    const run = async (step: number, which: number, direction: Float32Array) => {
      const moved = await Promise.all(
        [q, k, v].map(async (tensor, at) => {
          const values = await tensor.float32Data();
          return device.current.tensor(
            values.map((value, i) => value + (at === which ? step * direction[i]! : 0)),
            shape,
          );
        }),
      );
      device.current.manualSeed(5);
      const y = attention(moved[0]!, moved[1]!, moved[2]!, { heads: 2, dropout: 0.4 });
      const [values, w] = [await y.float32Data(), await weights.float32Data()];
      return values.reduce((total, value, i) => total + value * w[i]!, 0);
    };
    device.current.manualSeed(5);
    attention(q, k, v, { heads: 2, dropout: 0.4 }).backward(weights);
    for (const [which, tensor] of [q, k, v].entries()) {
      const gradient = await tensor.grad!.float32Data();
      const norm = Math.hypot(...gradient);
      const direction = gradient.map((value) => value / norm);
      const slope = ((await run(1e-2, which, direction)) - (await run(-1e-2, which, direction))) / 2e-2;
      expect(Math.abs(slope / norm - 1), `input ${which}`).toBeLessThan(2e-3);
    }
  });

  it.each([6, 8, 32])(
    'draws the same for one tensor of q, k and v, padded or not, whole or in windows, of head size %i',
    async (size) => {
      using _scope = device.current.scope();
      using _other = windowed.current.scope();
      const [batch, length, heads, width] = [2, 11, 2, 2 * size];
      const own = [4, 11];
      const thirds = [0, 1, 2].map(() => device.current.randn([batch, length, width]));
      for (const third of thirds) third.requiresGrad = true;
      const [q, k, v] = thirds as [Tensor, Tensor, Tensor];
      const rows = own.flatMap((count, b) => Array.from({ length: count }, (_, i) => b * length + i));
      // Concatenates the rows of some tensors, without padding.
      const packed = async (tensors: readonly Tensor[]): Promise<Tensor> => {
        const values = await Promise.all(tensors.map((tensor) => tensor.float32Data()));
        const joined = rows.flatMap((row) =>
          values.flatMap((data) => [...data.subarray(row * width, (row + 1) * width)]),
        );
        return windowed.current.tensor(joined, [rows.length, tensors.length * width]);
      };
      const mask = device.current.tensor(
        Int32Array.from({ length: batch * length }, (_, i) => (rows.includes(i) ? 1 : 0)),
        [batch, length],
      );
      const weights = device.current.randn([batch, length, width]);
      // The packed tensor has no results for padding.
      const shown = mul(
        weights,
        device.current.tensor(Float32Array.from(await mask.data()), [batch, length, 1]),
      );
      device.current.manualSeed(5);
      const wide = attention(q, k, v, { heads, mask, dropout: 0.4 });
      wide.backward(shown);
      const qkv = await packed(thirds);
      qkv.requiresGrad = true;
      const starts = windowed.current.tensor(Int32Array.of(0, own[0]!, own[0]! + own[1]!));
      windowed.current.manualSeed(5);
      const dense = selfAttention(qkv, { heads, starts, length, dropout: 0.4 });
      dense.backward(await packed([shown]));
      const difference = async (a: Tensor, b: readonly Tensor[]) =>
        maxDifference(await a.float32Data(), await (await packed(b)).float32Data());
      expect(await difference(dense, [wide])).toBeLessThan(1e-5);
      expect(
        await difference(
          qkv.grad!,
          thirds.map((third) => third.grad!),
        ),
      ).toBeLessThan(1e-5);
    },
  );

  const [length, heads] = [70, 2];
  /** Results and gradients for values that `drawn` gives, with or without a bias. */
  const biased = async (where: Device, size: number, values: Float32Array, bias?: Float32Array) => {
    using _scope = where.scope();
    const qkv = where.tensor(values, [1, length, 3 * heads * size]);
    const added = bias && where.tensor(bias, [heads, 2 * length - 1]);
    for (const leaf of [qkv, added]) if (leaf) leaf.requiresGrad = true;
    where.manualSeed(5);
    const y = selfAttention(qkv, { heads, dropout: 0.4, bias: added });
    y.backward(where.tensor(values.subarray(0, y.size), y.shape));
    const all = [y, qkv.grad!, ...(added ? [added.grad!] : [])];
    return Promise.all(all.map((tensor) => tensor.float32Data()));
  };
  const drawn = (count: number): Promise<Float32Array> => {
    using _scope = device.current.scope();
    device.current.manualSeed(4);
    return device.current.randn([count]).float32Data();
  };

  it.each([
    [32, false],
    [64, false],
    [20, true],
    [32, true],
    [64, true],
  ])(
    'draws the same with each family of kernels, in several tiles, of head size %i, with a bias: %s',
    async (size, withBias) => {
      const values = await drawn(length * 3 * heads * size);
      const bias = withBias ? values.slice(0, heads * (2 * length - 1)) : undefined;
      const [cpu, gpu] = [
        await biased(families.cpu.current, size, values, bias),
        await biased(families.gpu.current, size, values, bias),
      ];
      expect(cpu).toHaveLength(withBias ? 3 : 2);
      for (const [at, result] of cpu.entries()) expect(maxDifference(result, gpu[at]!)).toBeLessThan(2e-5);
    },
  );

  it.each(Object.keys(families) as (keyof typeof families)[])(
    'draws the same with a bias of zeros as without one: %s',
    async (family) => {
      const values = await drawn(length * 3 * heads * 32);
      const { current } = families[family];
      const plain = await biased(current, 32, values);
      const zeros = await biased(current, 32, values, new Float32Array(heads * (2 * length - 1)));
      for (const [at, result] of plain.entries())
        expect(maxDifference(result, zeros[at]!)).toBeLessThan(1e-5);
    },
  );

  it.each(Object.keys(families) as (keyof typeof families)[])(
    'has a gradient of the bias that follows the mask, by a difference: %s',
    async (family) => {
      const values = await drawn(length * 3 * heads * 32);
      const bias = (await drawn(heads * (2 * length - 1))).map((value) => 0.3 * value);
      const { current } = families[family];
      const gradient = (await biased(current, 32, values, bias))[2]!;
      const norm = Math.hypot(...gradient);
      const loss = async (step: number): Promise<number> => {
        const moved = bias.map((value, at) => value + (step * gradient[at]!) / norm);
        const [y] = await biased(current, 32, values, moved);
        return y!.reduce((total, value, at) => total + value * values[at]!, 0);
      };
      const slope = ((await loss(5e-2)) - (await loss(-5e-2))) / 0.1;
      expect(Math.abs(slope / norm - 1)).toBeLessThan(5e-3);
    },
  );

  it('keeps the mean: many draws average to the result without dropout', async () => {
    using _scope = device.current.scope();
    const [q, k, v] = inputs();
    const plain = await attention(q, k, v, { heads: 2 }).float32Data();
    const mean = new Float64Array(plain.length);
    const draws = 400;
    for (let i = 0; i < draws; i += 1) {
      using _inner = device.current.scope();
      const values = await attention(q, k, v, { heads: 2, dropout: 0.2 }).float32Data();
      for (const [at, value] of values.entries()) mean[at]! += value / draws;
    }
    expect(maxDifference(mean, plain)).toBeLessThan(0.15);
  });
});
