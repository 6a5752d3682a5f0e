/** Callbacks: what may look on, and ask the training to stop. */

import { ConfigError } from '../errors.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import { isGreaterBetter, type TrainingArguments } from './arguments.ts';
import type { Metrics } from './metrics.ts';
import type { LogEntry, TrainerState } from './state.ts';

export interface TrainerControl {
  /** Set to end the training after the current step. */
  shouldTrainingStop: boolean;
}

/** What a step reports at once, before its loss has come back from the GPU. */
export interface StepReport {
  learningRate: number;
  /** Tokens of the step, padding left out. */
  tokens: number;
  /** Seconds since training began (or resumed). */
  seconds: number;
}

export interface CallbackContext {
  args: TrainingArguments;
  state: TrainerState;
  control: TrainerControl;
}

export interface TrainerCallback {
  onTrainBegin?(context: CallbackContext): void;
  onEpochBegin?(context: CallbackContext): void;
  onStepEnd?(context: CallbackContext, report: StepReport): void;
  onLog?(context: CallbackContext, entry: LogEntry): void;
  onEvaluate?(context: CallbackContext, metrics: Metrics): void;
  onSave?(context: CallbackContext, folder: string): void;
  onTrainEnd?(context: CallbackContext): void;
}

/** The value of the metric that decides which model is best. Throws `ConfigError` where evaluations do not give it. */
export function bestMetricOf(args: TrainingArguments, metrics: Metrics): number | null {
  const name = args.metricForBestModel ?? 'loss';
  const key = name.startsWith('eval_') ? name : `eval_${name}`;
  const value = metrics[key];
  if (value === undefined) {
    throw new ConfigError(`metricForBestModel '${name}' is not among the metrics`, {
      remedy: `use one of ${Object.keys(metrics).join(', ')}`,
    });
  }
  return value;
}

export function isBetter(
  args: TrainingArguments,
  value: number,
  best: number | null,
  threshold = 0,
): boolean {
  if (best === null) return true;
  return isGreaterBetter(args) ? value > best + threshold : value < best - threshold;
}

export interface EarlyStoppingOptions {
  /** Default 1. */
  earlyStoppingPatience?: number;
  /** Default 0. */
  earlyStoppingThreshold?: number;
}

const earlyStoppingOptionNames: OptionNames<EarlyStoppingOptions> = {
  earlyStoppingPatience: true,
  earlyStoppingThreshold: true,
};

/** Stops when the metric has not improved by more than a threshold for `earlyStoppingPatience` evaluations. */
export class EarlyStoppingCallback implements TrainerCallback {
  private readonly patience: number;
  private readonly threshold: number;
  private best: number | null = null;
  private waited = 0;

  constructor(options: EarlyStoppingOptions = {}) {
    checkOptions('EarlyStoppingCallback', options, earlyStoppingOptionNames);
    const { earlyStoppingPatience = 1, earlyStoppingThreshold = 0 } = options;
    this.patience = earlyStoppingPatience;
    this.threshold = earlyStoppingThreshold;
  }

  /** Counts again over the evaluations of a training that is resumed. */
  onTrainBegin({ args, state }: CallbackContext): void {
    const key = `eval_${(args.metricForBestModel ?? 'loss').replace(/^eval_/, '')}`;
    for (const entry of state.logHistory) if (typeof entry[key] === 'number') this.count(args, entry[key]);
  }

  onEvaluate({ args, control }: CallbackContext, metrics: Metrics): void {
    const value = bestMetricOf(args, metrics);
    if (value !== null) this.count(args, value);
    if (this.waited >= this.patience) control.shouldTrainingStop = true;
  }

  private count(args: TrainingArguments, value: number): void {
    if (isBetter(args, value, this.best, this.threshold)) {
      this.best = value;
      this.waited = 0;
    } else {
      this.waited += 1;
    }
  }
}
