/** AdamW and clipping, compared with their formulas in double precision. */
import { describe, expect, it, vi } from 'vitest';
import { AdamW, type AdamWOptions, type ParameterGroup, type StepOptions } from '../../src/optim/adamw.ts';
import { clipFactor, clipGradNorm } from '../../src/optim/clip.ts';
import type { Device } from '../../src/tensor/device.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../src/tensor/float16.ts';
import { float16Copy, layParameters } from '../../src/tensor/parameters.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { randomArray } from '../support/ndarray.ts';
import { expectExactResume, type Laid, learning, setGradient } from '../support/optimizers.ts';

/**
 * Both kernel families, and bindings so small that every tensor of more than 64 elements is walked in
 * windows.
 */
const devices = {
  'kernels for CPUs': useDevice({ kernels: 'cpu' }),
  'kernels for GPUs': useDevice({ kernels: 'gpu' }),
  'bindings of 512 bytes': useDevice({ maxBindingBytes: 512 }),
};

/** More tensors than one dispatch takes, with sizes around those of vectors, workgroups and windows. */
const sizes = [
  1, 2, 3, 4, 5, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 1021, 4097, 6, 7, 8, 9, 10, 70_001, 11,
];

const values = (size: number, seed: number): Float32Array =>
  Float32Array.from(randomArray([size], seed).data);

const makeWeights = (device: Device): Tensor[] => sizes.map((size, at) => learning(device, values(size, at)));

const everyLayout = Object.entries(devices).flatMap(([name, device]) =>
  (['in place', 'apart'] as const).map((laid) => ({ name, device, laid })),
);

/** AdamW in double precision. */
class Reference {
  readonly value: Float64Array;
  readonly first: Float64Array;
  readonly second: Float64Array;
  step = 0;

  constructor(start: Float32Array) {
    this.value = Float64Array.from(start);
    this.first = new Float64Array(start.length);
    this.second = new Float64Array(start.length);
  }

  update(
    gradient: Float32Array,
    { lr, betas: [b1, b2], eps, weightDecay }: Required<AdamWOptions>,
    factor = 1,
  ): void {
    this.step += 1;
    for (const [i, unscaled] of gradient.entries()) {
      const g = unscaled * factor;
      this.value[i]! *= 1 - lr * weightDecay;
      this.first[i] = b1 * this.first[i]! + (1 - b1) * g;
      this.second[i] = b2 * this.second[i]! + (1 - b2) * g * g;
      const root = Math.sqrt(this.second[i]! / (1 - b2 ** this.step)) + eps;
      this.value[i]! -= ((lr / (1 - b1 ** this.step)) * this.first[i]!) / root;
    }
  }

  async check(weight: Tensor, optimizer: AdamW): Promise<void> {
    const state = optimizer.state(weight)!;
    expect(state.step).toBe(this.step);
    const [value, first, second] = await Promise.all([
      weight.float32Data(),
      state.expAvg.float32Data(),
      state.expAvgSq.float32Data(),
    ]);
    const where = `of ${weight.size} at step ${this.step}`;
    for (let i = 0; i < weight.size; i += 1) {
      expectNear(value[i]!, this.value[i]!, 1e-6, `weight ${i} ${where}`);
      expectNear(first[i]!, this.first[i]!, 1e-6, `first moment ${i} ${where}`);
      expectNear(second[i]!, this.second[i]!, 1e-6 * this.second[i]! + 1e-12, `second moment ${i} ${where}`);
    }
  }
}

/** Like `toBeLessThan`, which is slow for so many values. */
function expectNear(got: number, wanted: number, tolerance: number, what: string): void {
  if (!(Math.abs(got - wanted) <= tolerance)) expect.fail(`${what} is ${got} instead of ${wanted}`);
}

const defaults: Required<AdamWOptions> = { lr: 1e-2, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.1 };

describe.each(everyLayout)('AdamW with $name, gradients $laid', ({ device, laid }) => {
  it('follows PyTorch’s formula, each group with its own rates, each parameter with its own steps', async () => {
    const weights = makeWeights(device.current);
    const options = sizes.map((_, at) =>
      at % 3 === 0
        ? defaults
        : at % 3 === 1
          ? { ...defaults, lr: 3e-3, weightDecay: 0 }
          : { ...defaults, eps: 1e-3 },
    );
    const groups = [0, 1, 2].map(
      (kind): ParameterGroup => ({ ...options[kind]!, params: weights.filter((_, at) => at % 3 === kind) }),
    );
    const optimizer = new AdamW(groups);
    const references = weights.map((_, at) => new Reference(values(sizes[at]!, at)));
    for (let step = 0; step < 4; step += 1) {
      for (const [at, weight] of weights.entries()) {
        // Some join late, as thawed ones do; some occasionally have no gradient; one is temporarily frozen.
        weight.requiresGrad = !(at === 5 && step === 2);
        if ((at % 4 === 1 && step < 2) || (at % 5 === 2 && step === 3)) continue;
        const gradient = values(sizes[at]!, 100 * (step + 1) + at);
        setGradient(weight, gradient, laid);
        if (weight.requiresGrad) references[at]!.update(gradient, options[at]!);
      }
      optimizer.step();
      optimizer.zeroGrad();
    }
    for (const [at, weight] of weights.entries()) await references[at]!.check(weight, optimizer);
    optimizer.dispose();
    for (const weight of weights) weight.dispose();
  });

  it('goes on with the same bits from a state that was saved', () =>
    expectExactResume(
      () => makeWeights(device.current),
      (weights) => new AdamW(weights, defaults),
      (weights, step) => {
        for (const [at, weight] of weights.entries())
          setGradient(weight, values(weight.size, 10 * step + at), laid);
      },
    ));

  it('scales gradients as it reads them, and skips a step whose norm is not finite only where told to', async () => {
    const weight = makeWeights(device.current)[14]!;
    const optimizer = new AdamW([weight], defaults);
    const reference = new Reference(values(sizes[14]!, 14));
    const gradient = values(weight.size, 77);
    const step = async (options: StepOptions): Promise<void> => {
      setGradient(weight, gradient, laid);
      optimizer.step(options);
    };
    using _scope = device.current.scope();
    const scale = (norm: number, factor: number) => device.current.tensor([norm, factor]);
    await step({ gradScale: scale(9, 0.25) });
    reference.update(gradient, defaults, 0.25);
    for (const norm of [Number.NaN, Number.POSITIVE_INFINITY]) {
      await step({ gradScale: scale(norm, norm), skipNonFinite: true });
      reference.step += 1;
      await reference.check(weight, optimizer);
    }
    await step({ gradScale: scale(3, 0.5), skipNonFinite: true });
    reference.update(gradient, defaults, 0.5);
    await reference.check(weight, optimizer);
    await step({ gradScale: scale(Number.NaN, Number.NaN) });
    expect((await weight.float32Data()).every(Number.isNaN)).toBe(true);
    optimizer.dispose();
    weight.dispose();
  });

  it('keeps float16 copies of weights up to date, and leaves those alone that were out of date', async (context) => {
    const { current } = device;
    if (!current.gpu.float16) context.skip('this adapter has no float16');
    const shapes = [
      [70, 64],
      [48, 64],
      [16, 64],
      [80, 64],
      [7, 9],
      [25, 9],
      [1021, 3],
    ];
    const weights = shapes.map((shape, at) => learning(current, values(shape[0]! * shape[1]!, at), shape));
    const check = async (): Promise<number> => {
      const before = current.statistics().dispatches;
      const copies = weights.map((weight) => float16Copy(weight));
      const casts = current.statistics().dispatches - before;
      for (const [at, weight] of weights.entries()) {
        const expected = float16ToFloat32(float32ToFloat16(await weight.float32Data()));
        expect([...(await copies[at]!.float32Data())]).toEqual([...expected]);
      }
      return casts;
    };
    const optimizer = new AdamW(weights, defaults);
    const step = (options: StepOptions = {}): void => {
      for (const [at, weight] of weights.entries()) setGradient(weight, values(weight.size, 30 + at), laid);
      optimizer.step(options);
    };
    const all = await check();
    step();
    const again = await check();
    // With bindings of 512 bytes, the moments are in runs of which every other one could not be bound.
    expect(again).toBe(current.gpu.maxBindingBytes > 512 ? 0 : all);
    using _scope = current.scope();
    step({ gradScale: current.tensor([Number.NaN, 1]), skipNonFinite: true });
    expect(await check()).toBe(again);
    for (const weight of weights) weight.write(new Float32Array(weight.size).fill(0.1));
    step();
    expect(await check()).toBe(all);
    for (const weight of weights) weight.dispose();
    optimizer.dispose();
  });

  it('has no state before the first step, and gives its memory back', async () => {
    const before = device.current.statistics().live;
    const weights = makeWeights(device.current);
    const optimizer = new AdamW(weights);
    const laidTogether = device.current.statistics().live;
    optimizer.step();
    expect(optimizer.state(weights[0]!)).toBeUndefined();
    setGradient(weights[0]!, values(1, 1), laid);
    optimizer.step();
    expect(optimizer.state(weights[0]!)?.expAvg.shape).toEqual([1]);
    expect(optimizer.state(weights[1]!)).toBeUndefined();
    optimizer.zeroGrad();
    optimizer.dispose();
    expect(device.current.statistics().live).toBe(laidTogether);
    for (const weight of weights) weight.dispose();
    expect(device.current.statistics().live).toBe(before);
  });
});

describe.each(everyLayout)('clipping with $name, gradients $laid', ({ device, laid }) => {
  interface Clipped {
    expected: number;
    got: number;
    factor: number;
    before: Float32Array[];
    after: Float32Array[];
  }
  const clip = async (
    call: (weights: readonly Tensor[]) => Tensor | null,
    change: (gradients: Float32Array[]) => void = () => {},
  ): Promise<Clipped> => {
    using _scope = device.current.scope();
    const weights = makeWeights(device.current);
    const before = sizes.map((size, at) => values(size, 50 + at));
    change(before);
    if (laid === 'in place') layParameters(weights);
    for (const [at, weight] of weights.entries()) setGradient(weight, before[at]!, laid);
    const expected = Math.sqrt(before.reduce((total, all) => all.reduce((sum, x) => sum + x * x, total), 0));
    const [got, factor] = await call(weights)!.float32Data();
    const after = await Promise.all(weights.map((weight) => weight.grad!.float32Data()));
    for (const weight of weights) weight.dispose();
    return { expected, got: got!, factor: factor!, before, after };
  };
  const scaled = (all: readonly Float32Array[], factor: number) =>
    all.map((some) => some.map((x) => Math.fround(x * factor)));

  it('brings the joint norm down', async () => {
    const { expected, got, factor, before, after } = await clip((weights) => clipGradNorm(weights, 0.5));
    expect(got / expected).toBeCloseTo(1, 6);
    expect(factor / (0.5 / (expected + 1e-6))).toBeCloseTo(1, 6);
    expect(after).toEqual(scaled(before, factor));
  });

  it('leaves gradients below it as they are', async () => {
    const { factor, before, after } = await clip((weights) => clipGradNorm(weights, 1e6));
    expect(factor).toBe(1);
    expect(after).toEqual(before);
  });

  it('takes each parameter once', async () => {
    const once = await clip((weights) => clipGradNorm(weights, 0.5));
    const twice = await clip((weights) => clipGradNorm([...weights, ...weights], 0.5));
    expect(twice).toEqual(once);
  });

  it('can leave the scaling to the optimizer, of a loss that was scaled too', async () => {
    const out = device.current.zeros([2]);
    const { expected, got, factor, before, after } = await clip((weights) => {
      expect(clipFactor(weights, 2, { lossScale: 1024, out })).toBe(out);
      return out;
    });
    expect((got * 1024) / expected).toBeCloseTo(1, 6);
    expect(factor).toBe(1 / 1024);
    expect(after).toEqual(before);
    const unclipped = await clip((weights) =>
      clipFactor(weights, Number.POSITIVE_INFINITY, { lossScale: 4 }),
    );
    expect(unclipped.factor).toBe(0.25);
    out.dispose();
  });

  it('has the norm and the factor of PyTorch where a gradient is not finite', async () => {
    const at = sizes.indexOf(129);
    const nan = await clip(
      (weights) => clipFactor(weights, 1),
      (gradients) => {
        gradients[at]![128] = Number.NaN;
      },
    );
    expect([nan.got, nan.factor]).toEqual([Number.NaN, Number.NaN]);
    const infinite = await clip(
      (weights) => clipFactor(weights, 1),
      (gradients) => {
        gradients[at]![128] = Number.NEGATIVE_INFINITY;
      },
    );
    expect([infinite.got, infinite.factor]).toEqual([Number.POSITIVE_INFINITY, 0]);
  });

  it('has nothing to do without gradients', () => {
    expect(clipGradNorm([], 1)).toBeNull();
  });
});

describe('what is refused', () => {
  const device = devices['kernels for CPUs'];

  it('a parameter given twice, of two devices, of another type, a scale of another shape', () => {
    using _scope = device.current.scope();
    const weight = device.current.zeros([2]);
    weight.requiresGrad = true;
    const stranger = devices['kernels for GPUs'].current.zeros([1]);
    const scale = device.current.zeros([3]);
    expect(() => new AdamW([{ params: [weight] }, { params: [weight] }])).toThrowErrorMatchingSnapshot();
    expect(() => new AdamW([weight, stranger])).toThrowErrorMatchingSnapshot();
    expect(() => new AdamW([device.current.zeros([2], 'int32')])).toThrowErrorMatchingSnapshot();
    const same = weight.detach();
    same.requiresGrad = true;
    expect(() => new AdamW([weight, same])).toThrowErrorMatchingSnapshot();
    expect(() => new AdamW([weight]).step({ gradScale: scale })).toThrowErrorMatchingSnapshot();
    weight.grad = device.current.keep(device.current.zeros([2]));
    for (const lossScale of [0, Number.NaN])
      expect(() => clipFactor([weight], 1, { lossScale })).toThrowErrorMatchingSnapshot();
    const state = { step: 1, expAvg: new Float32Array(2), expAvgSq: new Float32Array(3) };
    expect(() => new AdamW([weight]).loadState(weight, state)).toThrowErrorMatchingSnapshot();
    stranger.dispose();
  });
});

describe('dispatches', () => {
  it('bind no more than they may', () => {
    const device = devices['bindings of 512 bytes'].current;
    const weights = makeWeights(device);
    for (const weight of weights) setGradient(weight, values(weight.size, 3));
    const optimizer = new AdamW(weights, defaults);
    const bound: number[] = [];
    const { recorder } = device.gpu;
    const spy = vi.spyOn(recorder, 'dispatch').mockImplementation(function (this: typeof recorder, ...args) {
      for (const { buffer, offset = 0, size = buffer.size - offset } of args[1]) bound.push(size);
      return Object.getPrototypeOf(recorder).dispatch.apply(recorder, args);
    });
    optimizer.step();
    spy.mockRestore();
    expect(bound.length).toBeGreaterThan(2000);
    expect(Math.max(...bound)).toBeLessThanOrEqual(512);
    optimizer.dispose();
    for (const weight of weights) weight.dispose();
  });

  const buffersOf = ({ gpu }: Device): number => Math.min(gpu.limits.maxStorageBuffersPerShaderStage, 16);

  /** Dispatches for clipping and updating weights in a steady step, which makes nothing new. */
  function count(weights: readonly Tensor[], laid: Laid, copied: readonly Tensor[] = []): number {
    const { device } = weights[0]!;
    const optimizer = new AdamW(weights, defaults);
    const out = device.keep(device.zeros([2]));
    for (const weight of copied) float16Copy(weight);
    const step = (): void => {
      for (const weight of weights) setGradient(weight, values(weight.size, 3), laid);
      optimizer.step({ gradScale: clipFactor(weights, 1, { out }) });
    };
    step();
    step();
    const before = device.statistics();
    step();
    const after = device.statistics();
    for (const key of ['created', 'bindGroupMisses', 'pipelines', 'live'] as const)
      expect(after[key]).toBe(before[key]);
    for (const part of [optimizer, out, ...weights]) part.dispose();
    return after.dispatches - before.dispatches;
  }

  it('take neighbours as one', () => {
    const { current } = devices['kernels for CPUs'];
    const many = (): Tensor[] =>
      Array.from({ length: 40 }, (_, at) => learning(current, values(128, at), [2, 64]));
    // Two for the norm, one for AdamW.
    expect(count(many(), 'in place')).toBe(3);
    const buffers = buffersOf(current);
    expect(count(many(), 'apart')).toBe(Math.ceil(40 / (buffers - 1)) + 1 + 1);
    // Weights without a copy come both before and after the ones with a copy.
    const weights = many();
    if (current.gpu.float16) expect(count(weights, 'in place', weights.slice(3, 30))).toBe(4);
    else for (const weight of weights) weight.dispose();
  });

  it('take those with gaps between them as one to update, but not for the norm', () => {
    const { current } = devices['kernels for CPUs'];
    // There is no gap between sizes 128 and 129, nor between 256 and 257.
    const slots = Math.ceil((sizes.length - 2) / (buffersOf(current) - 1));
    expect(count(makeWeights(current), 'in place')).toBe(slots + 1 + 1);
  });
});
