/** `TrainerState`: where a training stands, as trainer_state.json holds it (transformers' keys). */

import type { TrainingArguments } from './arguments.ts';

/** One entry of the log: a training loss or an evaluation. */
export type LogEntry = Record<string, number | null>;

export interface TrainerState {
  epoch: number;
  globalStep: number;
  maxSteps: number;
  numTrainEpochs: number;
  trainBatchSize: number;
  loggingSteps: number;
  evalSteps: number;
  saveSteps: number;
  bestMetric: number | null;
  bestGlobalStep: number | null;
  bestModelCheckpoint: string | null;
  /** Tokens seen, padding left out. */
  numInputTokensSeen: number;
  logHistory: LogEntry[];
}

const keys = {
  epoch: 'epoch',
  globalStep: 'global_step',
  maxSteps: 'max_steps',
  numTrainEpochs: 'num_train_epochs',
  trainBatchSize: 'train_batch_size',
  loggingSteps: 'logging_steps',
  evalSteps: 'eval_steps',
  saveSteps: 'save_steps',
  bestMetric: 'best_metric',
  bestGlobalStep: 'best_global_step',
  bestModelCheckpoint: 'best_model_checkpoint',
  numInputTokensSeen: 'num_input_tokens_seen',
  logHistory: 'log_history',
} as const satisfies Record<keyof TrainerState, string>;

/** The state before the first step. */
export function freshState(args: TrainingArguments): TrainerState {
  return {
    epoch: 0,
    globalStep: 0,
    maxSteps: 0,
    numTrainEpochs: args.numTrainEpochs,
    trainBatchSize: args.perDeviceTrainBatchSize,
    loggingSteps: args.loggingSteps,
    evalSteps: args.evalSteps ?? args.loggingSteps,
    saveSteps: args.saveSteps,
    bestMetric: null,
    bestGlobalStep: null,
    bestModelCheckpoint: null,
    numInputTokensSeen: 0,
    logHistory: [],
  };
}

export function stateToJson(state: TrainerState): string {
  const entries = Object.entries(keys).map(([ours, theirs]) => [theirs, state[ours as keyof TrainerState]]);
  return `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`;
}

export function stateFromJson(json: Record<string, unknown>): TrainerState {
  const entries = Object.entries(keys).map(([ours, theirs]) => [ours, json[theirs]]);
  return Object.fromEntries(entries) as unknown as TrainerState;
}
