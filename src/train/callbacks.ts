/** Callbacks: they observe a training and may stop it. */
import { callUser, userError } from '../data/example-checks.ts';
import { ConfigError } from '../errors.ts';
import { keepNames } from '../keep-names.ts';
import { check, checkOptions, remedyFor } from '../options.ts';
import type { TrainingArguments } from './arguments.ts';
import { bestMetricKey, bestMetricOf, isBetter } from './best.ts';
import type { Metrics } from './metrics.ts';
import type { CallbackState, LogEntry, TrainerState } from './state.ts';

export interface TrainerControl {
  /** Set to end the training after the current step. */
  shouldTrainingStop: boolean;
}

/** What is known of a step before its loss is back from the GPU. */
export interface StepReport {
  learningRate: number;
  /** Tokens of the step, without padding. */
  tokens: number;
  /** Seconds since training began (or resumed). */
  seconds: number;
}

export interface CallbackContext {
  args: TrainingArguments;
  state: TrainerState;
  control: TrainerControl;
}

/** Every method may be async; the training awaits it. */
export interface TrainerCallback {
  onTrainBegin?(context: CallbackContext): void;
  onEpochBegin?(context: CallbackContext): void;
  onStepEnd?(context: CallbackContext, report: StepReport): void;
  onLog?(context: CallbackContext, entry: LogEntry): void;
  onEvaluate?(context: CallbackContext, metrics: Metrics): void;
  onSave?(context: CallbackContext, folder: string): void;
  onTrainEnd?(context: CallbackContext): void;
  /** The callback's entry in trainer_state.json, as in transformers. */
  state?(): CallbackState;
}

type Event = Exclude<keyof TrainerCallback, 'state'>;
type Arguments<E extends Event> = Parameters<NonNullable<TrainerCallback[E]>>;

const events: Readonly<Record<Event, true>> = {
  onTrainBegin: true,
  onEpochBegin: true,
  onStepEnd: true,
  onLog: true,
  onEvaluate: true,
  onSave: true,
  onTrainEnd: true,
};

const LIKE_AN_EVENT = /^on([A-Z_]|[a-z]*(begin|end|log|evaluate|save)$)/;

/** Names of an object's own properties and of its classes' methods; those of `Object` left out. */
function namesIn(object: object): string[] {
  const above: unknown = Object.getPrototypeOf(object);
  const own = Object.getOwnPropertyNames(object);
  return above === null || above === Object.prototype ? own : [...own, ...namesIn(above as object)];
}

/**
 * Throws `ConfigError` for anything that is not a callback, and for unknown events, which would never be
 * called.
 */
export function checkCallbacks(callbacks: unknown): void {
  if (callbacks === undefined) return;
  if (!Array.isArray(callbacks))
    throw new ConfigError('callbacks is no list', { remedy: 'pass callbacks: [callback]' });
  for (const callback of callbacks as unknown[]) {
    if (typeof callback !== 'object' || callback === null)
      throw new ConfigError(
        `callbacks: one is ${typeof callback === 'function' ? 'a function or a class' : callback}`,
        { remedy: 'pass objects with methods such as onLog, of a class: new MyCallback()' },
      );
    for (const name of namesIn(callback)) {
      const value = (callback as Record<string, unknown>)[name];
      const isMethod = typeof value === 'function';
      const known = Object.hasOwn(events, name);
      if (known && value !== undefined && !isMethod)
        throw new ConfigError(`callbacks: ${name} is no function`, { remedy: 'make it a method' });
      if (!known && isMethod && LIKE_AN_EVENT.test(name))
        throw new ConfigError(`callbacks: there is no event '${name}'`, {
          remedy: remedyFor(name, Object.keys(events)),
        });
    }
  }
}

const nameOf = (callback: TrainerCallback): string => {
  const { name } = callback.constructor;
  return name === 'Object' ? 'a callback' : name;
};

/**
 * Calls one event of all callbacks, in order. Throws `UserCodeError` naming event and callback; its cause is
 * the callback's error.
 */
export async function callAll<E extends Event>(
  callbacks: readonly TrainerCallback[],
  event: E,
  ...args: Arguments<E>
): Promise<void> {
  for (const callback of callbacks) {
    try {
      const handler = callback[event] as ((...given: Arguments<E>) => unknown) | undefined;
      const result = handler?.apply(callback, args);
      if (result instanceof Promise) await result;
    } catch (cause) {
      throw userError(`${event} of ${nameOf(callback)}`, cause, `at step ${args[0].state.globalStep}`);
    }
  }
}

/** transformers' `stateful_callbacks`. Throws `UserCodeError` naming a callback whose `state` throws. */
export function callbackStates(
  callbacks: readonly TrainerCallback[],
  shouldTrainingStop: boolean,
): TrainerState['statefulCallbacks'] {
  const out: Record<string, CallbackState | CallbackState[]> = {
    TrainerControl: {
      args: {
        should_training_stop: shouldTrainingStop,
        should_epoch_stop: false,
        should_save: false,
        should_evaluate: false,
        should_log: false,
      },
      attributes: {},
    },
  };
  for (const callback of callbacks) {
    const state = callUser(`state of ${nameOf(callback)}`, () => callback.state?.());
    if (state === undefined) continue;
    const before = out[nameOf(callback)];
    out[nameOf(callback)] = before === undefined ? state : [before, state].flat();
  }
  return out;
}

export interface EarlyStoppingOptions {
  /** Default 1. */
  earlyStoppingPatience?: number;
  /** Default 0. */
  earlyStoppingThreshold?: number;
}

/**
 * Stops the training if the metric has not improved by more than a threshold for `earlyStoppingPatience`
 * evaluations, as in transformers. An evaluation without a value of the metric counts as no improvement.
 */
export class EarlyStoppingCallback implements TrainerCallback {
  private readonly patience: number;
  private readonly threshold: number;
  private best: number | null = null;
  private waited = 0;

  /** Throws `ConfigError` for a patience that is no integer of 1 or more, or a threshold below 0. */
  constructor(options: EarlyStoppingOptions = {}) {
    checkOptions<EarlyStoppingOptions>('EarlyStoppingCallback', options, {
      earlyStoppingPatience: true,
      earlyStoppingThreshold: true,
    });
    const { earlyStoppingPatience = 1, earlyStoppingThreshold = 0 } = options;
    this.patience = earlyStoppingPatience;
    this.threshold = earlyStoppingThreshold;
    const counts = Number.isSafeInteger(this.patience) && this.patience >= 1;
    check('earlyStoppingPatience', this.patience, counts, 'use an integer of 1 or more');
    check('earlyStoppingThreshold', this.threshold, this.threshold >= 0, 'use a number of 0 or more');
  }

  /** Replays the evaluations of a resumed training, so that one that had stopped stays so. */
  onTrainBegin({ args, state, control }: CallbackContext): void {
    if (args.evalStrategy === 'no')
      throw new ConfigError('EarlyStoppingCallback needs evaluations', {
        remedy: "set evalStrategy to 'epoch' or 'steps'",
      });
    this.best = null;
    this.waited = 0;
    for (const entry of state.logHistory)
      if (bestMetricKey(args) in entry) this.count(args, bestMetricOf(args, entry), control);
  }

  onEvaluate({ args, control }: CallbackContext, metrics: Metrics): void {
    this.count(args, bestMetricOf(args, metrics), control);
  }

  state(): CallbackState {
    return {
      args: { early_stopping_patience: this.patience, early_stopping_threshold: this.threshold },
      attributes: { early_stopping_patience_counter: this.waited },
    };
  }

  /** Compares with the best value so far, even if that one did not pass the threshold itself. */
  private count(args: TrainingArguments, value: number | null, control: TrainerControl): void {
    const improved = value !== null && isBetter(args, value, this.best, this.threshold);
    this.waited = improved ? 0 : this.waited + 1;
    if (value !== null && isBetter(args, value, this.best)) this.best = value;
    if (this.waited >= this.patience) control.shouldTrainingStop = true;
  }
}

keepNames({ EarlyStoppingCallback });
