/** Schedules, and which weights decay, compared with transformers (test/reference/model_fixtures.py). */
import { describe, expect, it } from 'vitest';
import { AutoModelForMaskedLM, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { Linear } from '../../src/nn/layers.ts';
import { AdamW, type AdamWOptions } from '../../src/optim/adamw.ts';
import {
  getCosineScheduleWithWarmup,
  getScheduler,
  type SchedulerKwargs,
  type SchedulerType,
} from '../../src/optim/schedule.ts';
import { useDevice } from '../support/device.ts';
import { models, readJson } from '../support/fixtures.ts';
import { weightsOf } from '../support/weights.ts';

const device = useDevice({ adapter: 'null' });

interface OptimFixture {
  schedules: {
    type: SchedulerType;
    warmup_steps: number;
    training_steps: number;
    cycles?: number;
    kwargs?: Record<string, number | string>;
    values: number[];
  }[];
  weight_decay: Record<string, { decay: string[]; no_decay: string[] }>;
}
const fixture = await readJson<OptimFixture>(`${models}optim.json`);

describe('schedules', () => {
  it.each(
    fixture.schedules.map(
      (s) =>
        [
          `${s.type}, ${s.warmup_steps} of ${s.training_steps}, ${s.kwargs === undefined ? `${s.cycles ?? 0.5} waves` : JSON.stringify(s.kwargs)}`,
          s,
        ] as const,
    ),
  )('%s', (_, { type, warmup_steps, training_steps, cycles, kwargs = {}, values }) => {
    const weight = device.current.zeros([1]);
    const optimizer = new AdamW([{ params: [weight] }, { params: [], lr: 0.5 }], { lr: 1 });
    const schedulerSpecificKwargs = Object.fromEntries(
      Object.entries(kwargs).map(([name, value]) => [
        name.replace(/_(.)/g, (_all, letter: string) => letter.toUpperCase()),
        value,
      ]),
    );
    const steps = {
      numWarmupSteps: warmup_steps,
      numTrainingSteps: training_steps,
      schedulerSpecificKwargs,
    };
    const scheduler =
      cycles === undefined
        ? getScheduler(type, optimizer, steps)
        : getCosineScheduleWithWarmup(optimizer, warmup_steps, training_steps, cycles);
    for (const expected of values) {
      expect(scheduler.getLastLr()[0]).toBeCloseTo(expected, 12);
      expect(scheduler.getLastLr()[1]).toBeCloseTo(expected / 2, 12);
      scheduler.step();
    }
    const middle = Math.floor(values.length / 2);
    scheduler.moveTo(middle);
    expect(scheduler.getLastLr()[0]).toBeCloseTo(values[middle]!, 12);
    weight.dispose();
  });

  it('are refused by any other name', () => {
    const optimizer = new AdamW([], {});
    expect(() =>
      getScheduler('sawtooth' as SchedulerType, optimizer, { numTrainingSteps: 1 }),
    ).toThrowErrorMatchingSnapshot();
  });
});

describe('arguments of a schedule', () => {
  const make = (type: SchedulerType, schedulerSpecificKwargs: SchedulerKwargs) => () =>
    getScheduler(type, new AdamW([], {}), { numTrainingSteps: 9, schedulerSpecificKwargs });
  it.each<[SchedulerType, SchedulerKwargs]>([
    ['linear', { power: 2 }],
    ['cosine_with_min_lr', {}],
    ['cosine_with_min_lr', { minLr: 0, minLrRate: 0 }],
    ['polynomial', { lrEnd: 1 }],
    ['warmup_stable_decay', {}],
    ['warmup_stable_decay', { numDecaySteps: 3, decayType: 'sine' as never }],
  ])('are checked: %s %j', (type, kwargs) => {
    expect(make(type, kwargs)).toThrowErrorMatchingSnapshot();
  });
});

describe('weight decay', () => {
  it.each(Object.entries(fixture.weight_decay))('%s', async (folder, { decay, no_decay }) => {
    const auto = folder.endsWith('mlm') ? AutoModelForMaskedLM : AutoModelForSequenceClassification;
    const model = await auto.fromPretrained(`${models}${folder}`, {
      device: device.current,
    });
    const undecayed = model.undecayedParameters();
    const names = (left: boolean) =>
      [...weightsOf(model)].flatMap(([name, { tensor }]) => (undecayed.has(tensor) === left ? [name] : []));
    expect(names(false).sort()).toEqual([...decay].sort());
    expect(names(true).sort()).toEqual([...no_decay].sort());
    model.dispose();
  });
});

describe('a module', () => {
  it('of the user’s own decides which of its weights have no decay', () => {
    class Scaled extends Linear {
      override ownUndecayed() {
        return [this.weight];
      }
    }
    const [plain, scaled] = [new Linear(device.current, 2, 2), new Scaled(device.current, 2, 2)];
    expect([...plain.undecayedParameters()]).toEqual([plain.bias]);
    expect([...scaled.undecayedParameters()]).toEqual([scaled.weight]);
    for (const module of [plain, scaled]) module.dispose();
  });
});

describe('AdamW', () => {
  it('refuses hyper-parameters out of range', () => {
    const params = [device.current.zeros([1])];
    const bad: AdamWOptions[] = [
      { lr: -1 },
      { lr: Number.NaN },
      { betas: [0.9, 1] },
      { eps: -1 },
      { weightDecay: -1 },
    ];
    for (const options of bad) expect(() => new AdamW(params, options)).toThrowErrorMatchingSnapshot();
    params[0]!.dispose();
  });
});
