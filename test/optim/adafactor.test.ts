/** Adafactor, compared with transformers' (test/reference/optimizer_fixtures.py). */
import { describe, expect, it } from 'vitest';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { Adafactor, type AdafactorOptions } from '../../src/optim/adafactor.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipGradNorm } from '../../src/optim/clip.ts';
import type { OptimizerState, SavedState, StateKind } from '../../src/optim/optimizer.ts';
import type { Device } from '../../src/tensor/device.ts';
import { float16Copy, gradientMemory } from '../../src/tensor/parameters.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { type FixtureInputs, int32, modelInputs, models, readJson } from '../support/fixtures.ts';
import { losses, tinyTrainer, useFolders } from '../support/trainer.ts';
import { weightsOf } from '../support/weights.ts';

interface Fixture {
  lr: number;
  losses: number[];
  steps: {
    shapes: number[][];
    start: number[][];
    gradients: number[][][];
    values: number[][];
    states: Partial<Record<'exp_avg_sq' | 'exp_avg_sq_row' | 'exp_avg_sq_col', number[]>>[];
  };
}
const { adafactor: fixture } = await readJson<{ adafactor: Fixture }>(
  new URL('../reference/fixtures/optimizers.json', import.meta.url).pathname,
);

const devices = {
  'kernels for CPUs': useDevice({ kernels: 'cpu' }),
  'kernels for GPUs': useDevice({ kernels: 'gpu' }),
  'small bindings': useDevice({ maxBindingBytes: 1024 }),
};
const device = devices['kernels for CPUs'];
const freshFolder = useFolders();
const { steps } = fixture;

function makeWeights(current: Device): Tensor[] {
  return steps.shapes.map((shape, at) => {
    const weight = current.keep(current.tensor(Float32Array.from(steps.start[at]!), shape));
    weight.requiresGrad = true;
    return weight;
  });
}

function setGradient(weight: Tensor, gradient: readonly number[]): void {
  weight.grad?.dispose();
  weight.grad = gradientMemory(weight);
  weight.grad.write(Float32Array.from(gradient));
}

const groupsOf = (weights: readonly Tensor[]) => [
  { params: weights.slice(0, 3), weightDecay: 0.1 },
  { params: weights.slice(3) },
];

/** Within `least`, or a part of that size. */
function expectNear(value: Float32Array, wanted: readonly number[], what: string, least = 0): void {
  expect(value.length, what).toBe(wanted.length);
  for (const [i, one] of value.entries())
    if (!(Math.abs(one - wanted[i]!) <= Math.max(least, 2e-6 * Math.abs(wanted[i]!))))
      expect.fail(`${what}: element ${i} is ${one} instead of ${wanted[i]}`);
}

describe.each(Object.entries(devices))('Adafactor with %s', (_, one) => {
  it("has the weights and the state of transformers'", async () => {
    const weights = makeWeights(one.current);
    const optimizer = new Adafactor(groupsOf(weights), { lr: 0.01 });
    for (const gradients of steps.gradients) {
      for (const [at, weight] of weights.entries()) setGradient(weight, gradients[at]!);
      optimizer.step();
      optimizer.zeroGrad();
    }
    for (const [at, weight] of weights.entries()) {
      expectNear(await weight.float32Data(), steps.values[at]!, `weight ${at}`, 1e-6);
      const state = optimizer.state(weight)!;
      const { exp_avg_sq: all, exp_avg_sq_row: row, exp_avg_sq_col: col } = steps.states[at]!;
      expect(state.step).toBe(4);
      for (const [view, wanted] of [
        [state.expAvgSq, all],
        [state.expAvgSqRow, row],
        [state.expAvgSqCol, col],
      ] as const)
        if (wanted === undefined) expect(view).toBeUndefined();
        else expectNear(await view!.float32Data(), wanted, `state of weight ${at}`);
    }
    optimizer.dispose();
    for (const weight of weights) weight.dispose();
  });
});

it('treats each part of a weight as a matrix or a vector of its own', async () => {
  const run = async (shapes: readonly number[][], parts: number): Promise<number[]> => {
    const weights = shapes.map((shape) => {
      const weight = device.current.keep(device.current.zeros(shape));
      weight.requiresGrad = true;
      weight.parts = parts;
      return weight;
    });
    const optimizer = new Adafactor(weights);
    for (let step = 1; step < 3; step += 1) {
      const gradients = Array.from({ length: 12 }, (_, i) => Math.sin((i + 1) * step) * (i > 5 ? 100 : 1));
      for (const weight of weights) setGradient(weight, gradients.splice(0, weight.size));
      optimizer.step();
    }
    const result: number[] = [];
    for (const weight of weights) result.push(...(await weight.float32Data()));
    optimizer.dispose();
    for (const weight of weights) weight.dispose();
    return result;
  };
  expect(await run([[6, 2]], 2)).toEqual(
    await run(
      [
        [3, 2],
        [3, 2],
      ],
      1,
    ),
  );
  expect(await run([[12]], 2)).toEqual(await run([[6], [6]], 1));
  expect(await run([[2, 3, 2]], 1)).toEqual(
    await run(
      [
        [3, 2],
        [3, 2],
      ],
      1,
    ),
  );
});

it('goes on with the same bits from a state that was saved', async () => {
  const read = async ({ step, ...views }: OptimizerState): Promise<SavedState> => {
    const saved: SavedState = { step };
    for (const [kind, view] of Object.entries(views)) saved[kind as StateKind] = await view.float32Data();
    return saved;
  };
  const run = async (saved: boolean): Promise<Float32Array[]> => {
    const weights = makeWeights(device.current);
    let optimizer = new Adafactor(groupsOf(weights));
    for (const [step, gradients] of steps.gradients.entries()) {
      if (saved && step === 2) {
        const next = new Adafactor(groupsOf(weights));
        for (const weight of weights) next.loadState(weight, await read(optimizer.state(weight)!));
        optimizer.dispose();
        optimizer = next;
      }
      for (const [at, weight] of weights.entries()) setGradient(weight, gradients[at]!);
      optimizer.step();
    }
    const result = await Promise.all(weights.map((weight) => weight.float32Data()));
    optimizer.dispose();
    for (const weight of weights) weight.dispose();
    return result;
  };
  expect(await run(true)).toEqual(await run(false));
});

it('scales gradients as it reads them, skips a step that is not finite, and lets float16 copies be made anew', async () => {
  const weights = makeWeights(device.current).slice(1, 7);
  const optimizer = new Adafactor(weights, { weightDecay: 0.5 });
  using _scope = device.current.scope();
  const values = () => Promise.all(weights.map((weight) => weight.float32Data()));
  const before = await values();
  const set = () => {
    for (const [at, weight] of weights.entries()) setGradient(weight, steps.gradients[2]![at + 1]!);
  };
  set();
  optimizer.step({
    gradScale: device.current.tensor([Number.POSITIVE_INFINITY, Number.NaN]),
    skipNonFinite: true,
  });
  expect(await values()).toEqual(before);
  float16Copy(weights[0]!);
  set();
  optimizer.step({ gradScale: device.current.tensor([1, 0]) });
  // Factor 0: no update, only decay.
  const decayed = await values();
  for (const [at, all] of decayed.entries())
    for (const [i, value] of all.entries()) expect(value).toBeCloseTo(before[at]![i]! * (1 - 5e-4), 6);
  const half = await float16Copy(weights[0]!).float32Data();
  for (const [i, value] of decayed[0]!.entries()) expect(Math.abs(half[i]! - value)).toBeLessThan(2e-3);
  optimizer.dispose();
  for (const weight of weights) weight.dispose();
});

it("has the curve of transformers' over 20 steps", async () => {
  const folder = `${models}bert-single`;
  const { batches, labels } = await readJson<{ batches: FixtureInputs[]; labels: number[][] }>(
    `${folder}/curve.json`,
  );
  const { weight_decay } = await readJson<{ weight_decay: Record<string, { decay: string[] }> }>(
    `${models}optim.json`,
  );
  const model = await AutoModelForSequenceClassification.fromPretrained(folder, { device: device.current });
  model.train();
  const weights = weightsOf(model);
  const decay = new Set(weight_decay['bert-single']!.decay.map((name) => weights.get(name)!.tensor));
  const optimizer = new Adafactor(
    [
      { params: [...decay], weightDecay: 0.1 },
      { params: model.parameters().filter((one) => !decay.has(one)) },
    ],
    { lr: fixture.lr },
  );
  for (const [step, expected] of fixture.losses.entries()) {
    using _scope = device.current.scope();
    const { loss } = model.forward({
      ...modelInputs(device.current, batches[step % 5]!),
      labels: int32(device.current, labels[step % 5]!),
    });
    loss!.backward();
    clipGradNorm(model.parameters(), 0.5);
    expect(Math.abs((await loss!.item()) / expected - 1), `loss of step ${step}`).toBeLessThan(1e-3);
    optimizer.step();
    optimizer.zeroGrad();
  }
  optimizer.dispose();
  model.dispose();
});

it('trains by its name, and a resumed training goes on with its bits', async () => {
  const args = { optim: 'adafactor', learningRate: 1e-3, maxSteps: 6 } as const;
  const part = freshFolder();
  const unbroken = await tinyTrainer(device.current, freshFolder(), { args });
  await unbroken.train();
  const saving = await tinyTrainer(device.current, part, {
    args: { ...args, saveStrategy: 'steps', saveSteps: 3 },
  });
  await saving.train();
  const resumed = await tinyTrainer(device.current, freshFolder(), { args });
  await resumed.train({ resumeFromCheckpoint: `${part}/checkpoint-3` });
  expect(losses(resumed)).toEqual(losses(unbroken));
});

it('needs a hundredth of the memory that AdamW needs beside the weights', () => {
  const bytes = (make: (params: Tensor[]) => AdamW | Adafactor): number => {
    const weight = device.current.keep(device.current.zeros([1000, 500]));
    weight.requiresGrad = true;
    setGradient(weight, new Array(weight.size).fill(1));
    const optimizer = make([weight]);
    const { liveBytes } = device.current.statistics();
    optimizer.step();
    const needed = device.current.statistics().liveBytes - liveBytes;
    optimizer.dispose();
    weight.dispose();
    return needed;
  };
  expect(bytes((params) => new Adafactor(params))).toBeLessThan(bytes((params) => new AdamW(params)) / 100);
});

describe('are refused:', () => {
  it.each<AdafactorOptions & { scaleParameter?: boolean }>([
    { lr: -1 },
    { clipThreshold: 0 },
    { decayRate: 0.8 },
    { scaleParameter: true },
  ])('%j', (options) => {
    expect(() => new Adafactor([], options)).toThrowErrorMatchingSnapshot();
  });

  it('a state of another kind or size', () => {
    const [weight] = makeWeights(device.current);
    const optimizer = new Adafactor([weight!]);
    for (const state of [
      { step: 1, expAvg: new Float32Array(15), expAvgSq: new Float32Array(15) },
      { step: 1, expAvgSqRow: new Float32Array(4), expAvgSqCol: new Float32Array(3) },
    ])
      expect(() => optimizer.loadState(weight!, state)).toThrowErrorMatchingSnapshot();
    const adamw = new AdamW([weight!]);
    const factored = { step: 1, expAvgSqRow: new Float32Array(5), expAvgSqCol: new Float32Array(3) };
    expect(() => adamw.loadState(weight!, factored)).toThrowErrorMatchingSnapshot();
    weight!.dispose();
  });
});
