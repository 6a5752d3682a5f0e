/** `TrainerState`: the state of a training, as in trainer_state.json (transformers' keys). */
import * as v from 'valibot';
import { CheckpointError } from '../errors.ts';
import { checkJson, parseJsonObject } from '../models/files/json.ts';
import type { ProcessGroup } from '../platform/contract.ts';
import type { TrainingArguments } from './arguments.ts';

/** One entry of the log: a training loss or an evaluation. */
export type LogEntry = Record<string, number | null>;

/** @internal Shortens a number for the log. */
export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** A callback's entry in a checkpoint: its options, and its state. */
export interface CallbackState {
  args: Record<string, unknown>;
  attributes: Record<string, unknown>;
}

export interface TrainerState {
  epoch: number;
  globalStep: number;
  maxSteps: number;
  numTrainEpochs: number;
  trainBatchSize: number;
  loggingSteps: number;
  evalSteps: number;
  saveSteps: number;
  /** Null unless `metricForBestModel` or `loadBestModelAtEnd` is set. */
  bestMetric: number | null;
  bestGlobalStep: number | null;
  bestModelCheckpoint: string | null;
  /** Without padding. */
  numInputTokensSeen: number;
  /**
   * Floating-point operations, estimated as in transformers: six for each token and weight outside the
   * embeddings.
   */
  totalFlos: number;
  /** Whether this process is the first of its machine, and of all. */
  isLocalProcessZero: boolean;
  isWorldProcessZero: boolean;
  /** Constants here: this engine trains without a search. */
  isHyperParamSearch: boolean;
  trialName: string | null;
  trialParams: Record<string, unknown> | null;
  /** By the callback's name; a list if several share it. */
  statefulCallbacks: Record<string, CallbackState | CallbackState[]>;
  logHistory: LogEntry[];
}

/** @internal A safe integer of 0 or more. */
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** @internal */
export const finite = v.pipe(v.number(), v.finite());
const steps = v.pipe(count, v.minValue(1));
const callbackState = v.object({
  args: v.record(v.string(), v.unknown()),
  attributes: v.record(v.string(), v.unknown()),
});

/** By the file's keys. Keys with a default are missing in the oldest checkpoints. */
const schema = v.object({
  best_global_step: v.nullable(count),
  best_metric: v.nullable(finite),
  best_model_checkpoint: v.nullable(v.string()),
  epoch: v.pipe(finite, v.minValue(0)),
  eval_steps: steps,
  global_step: count,
  is_hyper_param_search: v.optional(v.boolean(), false),
  is_local_process_zero: v.optional(v.boolean(), true),
  is_world_process_zero: v.optional(v.boolean(), true),
  log_history: v.array(v.record(v.string(), v.nullable(finite))),
  logging_steps: steps,
  max_steps: count,
  num_input_tokens_seen: count,
  num_train_epochs: count,
  save_steps: steps,
  stateful_callbacks: v.optional(
    v.record(v.string(), v.union([callbackState, v.array(callbackState)])),
    () => ({}),
  ),
  total_flos: v.optional(v.pipe(finite, v.minValue(0)), 0),
  train_batch_size: steps,
  trial_name: v.optional(v.nullable(v.string()), null),
  trial_params: v.optional(v.nullable(v.record(v.string(), v.unknown())), null),
});

type FileKey = keyof typeof schema.entries;
type Camel<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${First}${Capitalize<Camel<Rest>>}`
  : Name;

/** The file's keys, and their names here: `global_step` and `globalStep`. */
const keys = (Object.keys(schema.entries) as FileKey[]).map((key) => {
  const ours = key.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  return [key, ours as Camel<FileKey>] as const;
});

export function freshState(
  args: TrainingArguments,
  group: Pick<ProcessGroup, 'rank' | 'localRank'> | null = null,
): TrainerState {
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
    totalFlos: 0,
    isLocalProcessZero: (group?.localRank ?? 0) === 0,
    isWorldProcessZero: (group?.rank ?? 0) === 0,
    isHyperParamSearch: false,
    trialName: null,
    trialParams: null,
    statefulCallbacks: {},
    logHistory: [],
  };
}

export function stateToJson(state: TrainerState): Record<string, unknown> {
  return Object.fromEntries(keys.map(([theirs, ours]) => [theirs, state[ours]]));
}

/**
 * @internal Reads one of a checkpoint's JSON files. Throws `CheckpointError` naming the file and the key that
 * cannot be used.
 */
export function readSaved<S extends v.GenericSchema>(
  schema: S,
  text: string,
  source: string,
): v.InferOutput<S> {
  const file = { source, error: CheckpointError, remedy: 'resume from another checkpoint' };
  return checkJson(schema, parseJsonObject(text, file), file);
}

/** Reads trainer_state.json. Throws `CheckpointError` naming the file and the key that cannot be used. */
export function stateFromJson(text: string, source: string): TrainerState {
  const json = readSaved(schema, text, source);
  const entries = keys.map(([theirs, ours]) => [ours, json[theirs]]);
  return Object.fromEntries(entries) as Record<Camel<FileKey>, never>;
}
