/** Learning-rate schedules of transformers: a factor of the initial rate for each step. */

import { ConfigError } from '../errors.ts';
import { check, checkChoice, checkOptions, type OptionNames } from '../options.ts';
import type { Optimizer } from './optimizer.ts';

/** transformers' names. */
export type SchedulerType =
  | 'linear'
  | 'cosine'
  | 'cosine_with_restarts'
  | 'polynomial'
  | 'constant'
  | 'constant_with_warmup'
  | 'inverse_sqrt'
  | 'cosine_with_min_lr'
  | 'warmup_stable_decay';

const courses = ['linear', 'cosine', '1-sqrt'] as const;
type Course = (typeof courses)[number];

/** What single schedules take besides, transformers' `lr_scheduler_kwargs`. */
export interface SchedulerKwargs {
  /** Waves of a cosine (0.5), or restarts of `cosine_with_restarts` (1). */
  numCycles?: number;
  /** `polynomial`: the last rate (1e-7), and the power (1). */
  lrEnd?: number;
  power?: number;
  /** `inverse_sqrt`: default the steps of warm-up, or 10,000 without. */
  timescale?: number;
  /** `cosine_with_min_lr` needs one of these: the lowest rate, or its share of the initial one. */
  minLr?: number;
  minLrRate?: number;
  /** `warmup_stable_decay` needs the steps of decay; the rate is stable until then, or for `numStableSteps`. */
  numDecaySteps?: number;
  numStableSteps?: number;
  warmupType?: Course;
  decayType?: Course;
  minLrRatio?: number;
}

/** Sets the rate of an optimizer's groups; `step()` after each `optimizer.step()`. */
export class LambdaLR {
  private count = 0;

  constructor(
    private readonly optimizer: Pick<Optimizer, 'groups'>,
    private readonly factor: (step: number) => number,
  ) {
    this.apply();
  }

  /** Steps taken. */
  get lastStep(): number {
    return this.count;
  }

  /** The rates now, one for each group. */
  getLastLr(): number[] {
    return this.optimizer.groups.map((group) => group.lr);
  }

  step(): void {
    this.count += 1;
    this.apply();
  }

  /** Continues from a step, as after a resume. */
  moveTo(step: number): void {
    this.count = step;
    this.apply();
  }

  private apply(): void {
    for (const group of this.optimizer.groups) group.lr = group.initialLr * this.factor(this.count);
  }
}

/** `cycles` waves of a cosine, between 1 and 0; half a wave falls from 1 to 0. */
const wave = (progress: number, cycles: number): number =>
  0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress));

/** Up linearly over the warm-up, then the factor for the share of the other steps that is done. */
function decaying(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
  numTrainingSteps: number,
  factor: (progress: number) => number,
): LambdaLR {
  const span = Math.max(1, numTrainingSteps - numWarmupSteps);
  return warmedUp(optimizer, numWarmupSteps, (step) => Math.max(0, factor((step - numWarmupSteps) / span)));
}

/** Up linearly over the warm-up, then the factor that `after` gives. */
function warmedUp(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
  after: (step: number) => number,
): LambdaLR {
  const factor = (step: number): number =>
    step < numWarmupSteps ? step / Math.max(1, numWarmupSteps) : after(step);
  return new LambdaLR(optimizer, factor);
}

/** The rate that the schedule starts from, transformers' `optimizer.defaults["lr"]`: the highest of the groups. */
const initialRate = ({ groups }: Pick<Optimizer, 'groups'>): number =>
  Math.max(0, ...groups.map(({ initialLr }) => initialLr));

/** Up linearly over the warm-up, then down linearly to 0 at `numTrainingSteps`. */
export function getLinearScheduleWithWarmup(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
  numTrainingSteps: number,
): LambdaLR {
  const span = Math.max(1, numTrainingSteps - numWarmupSteps);
  return warmedUp(optimizer, numWarmupSteps, (step) => Math.max(0, (numTrainingSteps - step) / span));
}

/** Up linearly over the warm-up, then down along half a cosine (or `numCycles` waves) to 0. */
export function getCosineScheduleWithWarmup(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
  numTrainingSteps: number,
  numCycles = 0.5,
): LambdaLR {
  return decaying(optimizer, numWarmupSteps, numTrainingSteps, (progress) => wave(progress, numCycles));
}

export function getConstantSchedule(optimizer: Pick<Optimizer, 'groups'>): LambdaLR {
  return new LambdaLR(optimizer, () => 1);
}

export function getConstantScheduleWithWarmup(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
): LambdaLR {
  return warmedUp(optimizer, numWarmupSteps, () => 1);
}

/** Like the cosine, but each of `numCycles` (1) waves starts again from the top. */
export function getCosineWithHardRestartsScheduleWithWarmup(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
  numTrainingSteps: number,
  numCycles = 1,
): LambdaLR {
  return decaying(optimizer, numWarmupSteps, numTrainingSteps, (progress) =>
    progress >= 1 ? 0 : wave((numCycles * progress) % 1, 0.5),
  );
}

/**
 * Up linearly over the warm-up, then down along half a cosine (or `numCycles` waves) to `minLr`, or to
 * `minLrRate` times the initial rate. Throws `ConfigError` unless one of the two is given.
 */
export function getCosineWithMinLrScheduleWithWarmup(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
  numTrainingSteps: number,
  { numCycles = 0.5, minLr, minLrRate }: Pick<SchedulerKwargs, 'numCycles' | 'minLr' | 'minLrRate'>,
): LambdaLR {
  if ((minLr === undefined) === (minLrRate === undefined))
    throw new ConfigError(
      `cosine_with_min_lr: there is ${minLr === undefined ? 'neither minLr nor minLrRate' : 'minLr and minLrRate'}`,
      {
        remedy: 'set one of them: lrSchedulerKwargs: { minLrRate: 0.1 }, or --scheduler-args minLrRate=0.1',
      },
    );
  const least = minLrRate ?? minLr! / initialRate(optimizer);
  const factor = (progress: number): number => wave(progress, numCycles) * (1 - least) + least;
  return decaying(optimizer, numWarmupSteps, numTrainingSteps, factor);
}

/**
 * Up linearly over the warm-up, then down to `lrEnd` (1e-7) along a polynomial of degree `power` (1). Throws
 * `ConfigError` unless `lrEnd` is below the initial rate.
 */
export function getPolynomialDecayScheduleWithWarmup(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
  numTrainingSteps: number,
  { lrEnd = 1e-7, power = 1 }: Pick<SchedulerKwargs, 'lrEnd' | 'power'> = {},
): LambdaLR {
  const initial = initialRate(optimizer);
  check('polynomial: lrEnd', lrEnd, lrEnd < initial, `use less than the learning rate, ${initial}`);
  const span = numTrainingSteps - numWarmupSteps;
  return warmedUp(optimizer, numWarmupSteps, (step) => {
    if (step >= numTrainingSteps) return lrEnd / initial;
    const remaining = 1 - (step - numWarmupSteps) / span;
    return ((initial - lrEnd) * remaining ** power + lrEnd) / initial;
  });
}

/** Up linearly over the warm-up, then down with the root of the steps. */
export function getInverseSqrtSchedule(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
  timescale: number = numWarmupSteps || 10_000,
): LambdaLR {
  const shift = timescale - numWarmupSteps;
  return warmedUp(optimizer, numWarmupSteps, (step) => 1 / Math.sqrt((step + shift) / timescale));
}

const rising: Record<Course, (progress: number) => number> = {
  linear: (progress) => progress,
  cosine: (progress) => 0.5 * (1 - Math.cos(Math.PI * progress)),
  '1-sqrt': (progress) => 1 - Math.sqrt(1 - progress),
};

/**
 * Up over the warm-up, stable, then down over `numDecaySteps` to `minLrRatio` (0) times the initial rate.
 * Throws `ConfigError` without `numDecaySteps`.
 */
export function getWsdSchedule(
  optimizer: Pick<Optimizer, 'groups'>,
  numWarmupSteps: number,
  numTrainingSteps: number,
  kwargs: Omit<SchedulerKwargs, 'lrEnd' | 'power' | 'timescale' | 'minLr' | 'minLrRate'>,
): LambdaLR {
  const { numDecaySteps, warmupType = 'linear', decayType = 'cosine', minLrRatio: least = 0 } = kwargs;
  checkChoice('warmupType', warmupType, courses);
  checkChoice('decayType', decayType, courses);
  if (numDecaySteps === undefined)
    throw new ConfigError('warmup_stable_decay: there is no numDecaySteps', {
      remedy: 'set it: lrSchedulerKwargs: { numDecaySteps: 100 }, or --scheduler-args numDecaySteps=100',
    });
  const { numCycles = 0.5, numStableSteps = numTrainingSteps - numWarmupSteps - numDecaySteps } = kwargs;
  const falling: Record<Course, (progress: number) => number> = {
    linear: (progress) => 1 - progress,
    cosine: (progress) => wave(progress, numCycles),
    '1-sqrt': (progress) => 1 - Math.sqrt(progress),
  };
  const above = (factor: number): number => Math.max(0, factor * (1 - least) + least);
  return new LambdaLR(optimizer, (step) => {
    if (step < numWarmupSteps) return above(rising[warmupType](step / Math.max(1, numWarmupSteps)));
    const decayed = step - numWarmupSteps - numStableSteps;
    if (decayed < 0) return 1;
    return decayed < numDecaySteps ? above(falling[decayType](decayed / Math.max(1, numDecaySteps))) : least;
  });
}

interface Maker {
  /** Names of `SchedulerKwargs` that the schedule takes. */
  takes: readonly (keyof SchedulerKwargs)[];
  make(
    optimizer: Pick<Optimizer, 'groups'>,
    warmup: number,
    steps: number,
    kwargs: SchedulerKwargs,
  ): LambdaLR;
}

const makers: Record<SchedulerType, Maker> = {
  linear: { takes: [], make: getLinearScheduleWithWarmup },
  cosine: {
    takes: ['numCycles'],
    make: (optimizer, warmup, steps, { numCycles }) =>
      getCosineScheduleWithWarmup(optimizer, warmup, steps, numCycles),
  },
  cosine_with_restarts: {
    takes: ['numCycles'],
    make: (optimizer, warmup, steps, { numCycles }) =>
      getCosineWithHardRestartsScheduleWithWarmup(optimizer, warmup, steps, numCycles),
  },
  polynomial: { takes: ['lrEnd', 'power'], make: getPolynomialDecayScheduleWithWarmup },
  constant: { takes: [], make: getConstantSchedule },
  constant_with_warmup: { takes: [], make: getConstantScheduleWithWarmup },
  inverse_sqrt: {
    takes: ['timescale'],
    make: (optimizer, warmup, _, { timescale }) => getInverseSqrtSchedule(optimizer, warmup, timescale),
  },
  cosine_with_min_lr: {
    takes: ['numCycles', 'minLr', 'minLrRate'],
    make: getCosineWithMinLrScheduleWithWarmup,
  },
  warmup_stable_decay: {
    takes: ['numDecaySteps', 'numStableSteps', 'warmupType', 'decayType', 'minLrRatio', 'numCycles'],
    make: getWsdSchedule,
  },
};

export const schedulerTypes = Object.keys(makers) as readonly SchedulerType[];

export interface SchedulerOptions {
  /** Default 0. */
  numWarmupSteps?: number;
  numTrainingSteps: number;
  /** What the schedule takes besides. */
  schedulerSpecificKwargs?: SchedulerKwargs;
}

const optionNames: OptionNames<SchedulerOptions> = {
  numWarmupSteps: true,
  numTrainingSteps: true,
  schedulerSpecificKwargs: true,
};

/**
 * A schedule by transformers' name. Throws `ConfigError` for an unknown one, and for kwargs that it does not
 * take.
 */
export function getScheduler(
  name: SchedulerType,
  optimizer: Pick<Optimizer, 'groups'>,
  options: SchedulerOptions,
): LambdaLR {
  checkOptions('getScheduler', options, optionNames);
  const { numWarmupSteps = 0, numTrainingSteps, schedulerSpecificKwargs = {} } = options;
  if (!Object.hasOwn(makers, name))
    throw new ConfigError(`'${String(name)}' is not a learning-rate schedule`, {
      remedy: `use one of ${schedulerTypes.join(', ')}`,
    });
  const { takes, make } = makers[name];
  const names = Object.fromEntries(takes.map((one) => [one, true as const]));
  checkOptions(`the schedule ${name}`, schedulerSpecificKwargs, names);
  return make(optimizer, numWarmupSteps, numTrainingSteps, schedulerSpecificKwargs);
}
