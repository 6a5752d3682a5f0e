/** Learning-rate schedules of transformers: a factor of the initial rate for each step. */

import { ConfigError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import type { Optimizer } from './optimizer.ts';

export type SchedulerType = 'linear' | 'cosine' | 'constant' | 'constant_with_warmup';

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
  const span = Math.max(1, numTrainingSteps - numWarmupSteps);
  return warmedUp(optimizer, numWarmupSteps, (step) => {
    const progress = (step - numWarmupSteps) / span;
    return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * numCycles * 2 * progress)));
  });
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

const makers: Record<
  SchedulerType,
  (optimizer: Pick<Optimizer, 'groups'>, warmup: number, steps: number) => LambdaLR
> = {
  linear: getLinearScheduleWithWarmup,
  cosine: getCosineScheduleWithWarmup,
  constant: getConstantSchedule,
  constant_with_warmup: getConstantScheduleWithWarmup,
};

export const schedulerTypes = Object.keys(makers) as readonly SchedulerType[];

export interface SchedulerOptions {
  /** Default 0. */
  numWarmupSteps?: number;
  numTrainingSteps: number;
}

/** A schedule by transformers' name. Throws `ConfigError` for an unknown one. */
export function getScheduler(
  name: SchedulerType,
  optimizer: Pick<Optimizer, 'groups'>,
  options: SchedulerOptions,
): LambdaLR {
  checkOptions<SchedulerOptions>('getScheduler', options, { numWarmupSteps: true, numTrainingSteps: true });
  const { numWarmupSteps = 0, numTrainingSteps } = options;
  if (!Object.hasOwn(makers, name))
    throw new ConfigError(`'${String(name)}' is not a learning-rate schedule`, {
      remedy: `use one of ${schedulerTypes.join(', ')}`,
    });
  return makers[name](optimizer, numWarmupSteps, numTrainingSteps);
}
