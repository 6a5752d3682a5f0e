/** Adafactor, compared with transformers' (test/reference/optimizer_fixtures.py). */
import { describe, expect, it } from 'vitest';
import { Adafactor, type AdafactorOptions } from '../../src/optim/adafactor.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import type { Device } from '../../src/tensor/device.ts';
import { float16Copy } from '../../src/tensor/parameters.ts';
import { sizeOf } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { readJson } from '../support/fixtures.ts';
import {
  expectCurve,
  expectExactResume,
  expectResumedTraining,
  learning,
  setGradient,
} from '../support/optimizers.ts';
import { useFolders } from '../support/trainer.ts';

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

const makeWeights = (current: Device): Tensor[] =>
  steps.shapes.map((shape, at) => learning(current, Float32Array.from(steps.start[at]!), shape));

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
      const weight = learning(device.current, new Float32Array(sizeOf(shape)), shape);
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

it('goes on with the same bits from a state that was saved', () =>
  expectExactResume(
    () => makeWeights(device.current),
    (weights) => new Adafactor(groupsOf(weights)),
    (weights, step) => {
      for (const [at, weight] of weights.entries()) setGradient(weight, steps.gradients[step]![at]!);
    },
  ));

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

it("has the curve of transformers' over 20 steps", () =>
  expectCurve(device.current, fixture.losses, (groups) => new Adafactor(groups, { lr: fixture.lr })));

it('trains by its name, and a resumed training goes on with its bits', () =>
  expectResumedTraining(device.current, freshFolder, { optim: 'adafactor', learningRate: 1e-3 }));

it('needs a hundredth of the memory that AdamW needs beside the weights', () => {
  const bytes = (make: (params: Tensor[]) => AdamW | Adafactor): number => {
    const weight = learning(device.current, new Float32Array(500_000), [1000, 500]);
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
