/** Lion, compared with its formula in double precision, and with PyTorch (test/reference/optimizer_fixtures.py). */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Lion, type LionOptions } from '../../src/optim/lion.ts';
import type { Device } from '../../src/tensor/device.ts';
import { float16Copy } from '../../src/tensor/parameters.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { readJson } from '../support/fixtures.ts';
import { randomArray } from '../support/ndarray.ts';
import {
  expectCurve,
  expectExactResume,
  expectResumedTraining,
  learning,
  setGradient,
} from '../support/optimizers.ts';
import { tinyTrainer, useFolders } from '../support/trainer.ts';

const devices = {
  'kernels for CPUs': useDevice({ kernels: 'cpu' }),
  'kernels for GPUs': useDevice({ kernels: 'gpu' }),
  'bindings of 512 bytes': useDevice({ maxBindingBytes: 512 }),
};
const device = devices['kernels for CPUs'];
const freshFolder = useFolders();

const sizes = [1, 3, 4, 63, 64, 65, 129, 257, 1021, 6, 70_001, 11];
const values = (size: number, seed: number): Float32Array =>
  Float32Array.from(randomArray([size], seed).data);

const makeWeights = (current: Device): Tensor[] =>
  sizes.map((size, at) => learning(current, values(size, at)));

const defaults: Required<LionOptions> = { lr: 1e-2, betas: [0.9, 0.99], weightDecay: 0.1 };

/** Elements whose sign rounding could decide are left out. */
const UNSURE = 1e-6;

function expectNear(value: Float32Array, wanted: Float64Array, unsure: ReadonlySet<number>): void {
  for (const [i, one] of value.entries())
    if (!unsure.has(i) && !(Math.abs(one - wanted[i]!) <= 1e-6))
      expect.fail(`element ${i} of ${value.length} is ${one} instead of ${wanted[i]}`);
}

describe.each(Object.entries(devices))('Lion with %s', (_, one) => {
  it('follows the paper’s formula, each group with its own rates', async () => {
    const weights = makeWeights(one.current);
    const rates = [
      defaults,
      { ...defaults, lr: 3e-3, weightDecay: 0 },
      { ...defaults, betas: [0.5, 0.9] as const },
    ];
    const optimizer = new Lion(
      rates.map((options, kind) => ({ ...options, params: weights.filter((_w, at) => at % 3 === kind) })),
    );
    const states = weights.map(({ size }, at) => ({
      value: Float64Array.from(values(size, at)),
      moment: new Float64Array(size),
      unsure: new Set<number>(),
    }));
    for (let step = 0; step < 4; step += 1) {
      for (const [at, weight] of weights.entries()) {
        // Some join late, and some have no gradient in between.
        if ((at % 4 === 1 && step < 2) || (at % 5 === 2 && step === 3)) continue;
        const gradient = values(weight.size, 100 * (step + 1) + at);
        setGradient(weight, gradient);
        const { lr, betas, weightDecay } = rates[at % 3]!;
        const { value, moment, unsure } = states[at]!;
        for (const [i, g] of gradient.entries()) {
          const blend = betas[0] * moment[i]! + (1 - betas[0]) * g;
          if (Math.abs(blend) < UNSURE) unsure.add(i);
          value[i] = value[i]! * (1 - lr * weightDecay) - lr * Math.sign(blend);
          moment[i] = betas[1] * moment[i]! + (1 - betas[1]) * g;
        }
      }
      optimizer.step();
      optimizer.zeroGrad();
    }
    for (const [at, weight] of weights.entries()) {
      const { value, moment, unsure } = states[at]!;
      expectNear(await weight.float32Data(), value, unsure);
      const state = optimizer.state(weight)!;
      expect(state.expAvgSq).toBeUndefined();
      expectNear(await state.expAvg.float32Data(), moment, new Set());
    }
    optimizer.dispose();
    for (const weight of weights) weight.dispose();
  });
});

it('goes on with the same bits from a state that was saved', () =>
  expectExactResume(
    () => makeWeights(device.current),
    (weights) => new Lion(weights, defaults),
    (weights, step) => {
      for (const [at, weight] of weights.entries()) setGradient(weight, values(weight.size, 10 * step + at));
    },
  ));

it('scales gradients as it reads them, skips a step that is not finite, and stores float16 copies', async () => {
  const weight = makeWeights(device.current)[5]!;
  const optimizer = new Lion([weight], defaults);
  using _scope = device.current.scope();
  const before = await weight.float32Data();
  setGradient(weight, values(weight.size, 7));
  const infinite = device.current.tensor([Number.POSITIVE_INFINITY, 1]);
  optimizer.step({ gradScale: infinite, skipNonFinite: true });
  expect(await weight.float32Data()).toEqual(before);
  float16Copy(weight);
  optimizer.step({ gradScale: device.current.tensor([1, 0]) });
  // Factor 0: no direction, only decay.
  const decayed = await weight.float32Data();
  for (const [i, value] of decayed.entries()) expect(value).toBeCloseTo(before[i]! * (1 - 1e-3), 6);
  const half = await float16Copy(weight).float32Data();
  for (const [i, value] of decayed.entries()) expect(Math.abs(half[i]! - value)).toBeLessThan(1e-3);
  optimizer.dispose();
  weight.dispose();
});

it('has PyTorch’s curve over 20 steps', async () => {
  const { lion } = await readJson<{ lion: { lr: number; betas: [number, number]; losses: number[] } }>(
    new URL('../reference/fixtures/optimizers.json', import.meta.url).pathname,
  );
  const { lr, betas } = lion;
  await expectCurve(device.current, lion.losses, (groups) => new Lion(groups, { lr, betas }));
});

it('trains by its name, and a resumed training goes on with its bits', async () => {
  const args = { optim: 'lion_32bit', learningRate: 1e-4 } as const;
  const checkpoint = await expectResumedTraining(device.current, freshFolder, args);
  expect(existsSync(`${checkpoint}/optimizer.safetensors`)).toBe(true);
  const other = await tinyTrainer(device.current, freshFolder(), {
    args: { ...args, maxSteps: 6, optim: 'adamw_torch' },
  });
  await expect(other.train({ resumeFromCheckpoint: checkpoint })).rejects.toThrow(
    /optim is 'adamw_torch', in .* it was 'lion_32bit' · resume with optim 'lion_32bit'/,
  );
});

describe('are refused:', () => {
  it.each<LionOptions & { eps?: number }>([{ betas: [1, 0.9] }, { lr: -1 }, { eps: 1e-8 }])(
    '%j',
    (options) => {
      expect(() => new Lion([], options)).toThrowErrorMatchingSnapshot();
    },
  );
});
