/** What sets a task apart: its files, its model, its examples, its metrics and its predictions. */
import type { Batch } from '../data/collate.ts';
import type { Dataset, Settings } from '../data/dataset.ts';
import type { TableOptions } from '../data/table.ts';
import type { AutoClass } from '../models/auto.ts';
import type { PretrainedConfig, ProblemType } from '../models/common/config.ts';
import type { Family } from '../models/common/family.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import type { ConfigOverrides } from '../models/config.ts';
import { checkChoice, checkOptions, type OptionNames } from '../options.ts';
import type { LossName } from '../sentence/losses/names.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import type { ComputeMetrics, EvalPrediction } from '../train/evaluate.ts';
import type { ComputeLoss } from '../train/predict.ts';
import { type Aggregation, aggregations } from './entity-groups.ts';
import type { FileFront } from './file-front.ts';

/** A text, or a pair, outside a file. */
export interface Input {
  text: string;
  pair?: string;
}

/** What a task reads from a file. */
export interface TaskFile<E> {
  path: string;
  examples: readonly E[];
  /** How the file was read, for people. */
  about: readonly string[];
}

/** What a first pass over a file leaves: examples have only what is decided from, and checked in, them. */
export interface Survey<E> extends TaskFile<E> {
  /** Tells a file that changed. */
  digest: string;
  /** The whole examples as they are read, each time anew. */
  rows(): AsyncIterable<E>;
}

/** Encoded examples, as many as the model is to be asked. */
export interface Features<E, F = unknown> extends Dataset<F> {
  /** The examples that they come from. */
  readonly examples: readonly E[];
}

/** What the data decide about a new model, or a model about new data. */
export interface Decision {
  /** Values of the model's config. */
  config: ConfigOverrides;
  /** Whether the checkpoint's trained head is kept; null if it has none, or the task has no classes. */
  keepsHead: boolean | null;
  /** What was decided and why, a line each. */
  about: readonly string[];
  /** What is learned: `3 classes (0 a, 1 b, 2 c)`; empty if the task says it all. */
  labels: string;
  /** Names of the metrics, besides `loss`. */
  metrics: readonly string[];
}

export interface DecisionOptions {
  problemType?: ProblemType;
  head?: 'keep' | 'new';
  /** The config of a checkpoint with a trained head for this task. */
  model?: PretrainedConfig;
  /** The loss of embeddings to learn by. */
  loss?: LossName;
}

/** How examples are encoded and answers read; every task takes what it knows. */
export interface EncodingOptions {
  /** The most tokens of a text, or of a window. */
  maxLength: number;
  /** Whether longer texts are cut; if false, they are refused. Default true. */
  truncation?: boolean;
  /** Tokens that the windows over a long text share. Default 128, at most a third of a window. */
  docStride?: number;
  /** How tokens are grouped into entities. Default `first`. */
  aggregation?: Aggregation;
  /** The most tokens of an answer. Default 30. */
  maxAnswerLength?: number;
  /** How many answers are weighed, and given. Default 20. */
  nBest?: number;
  /** How much better no answer must be than the best one. Default 0. */
  nullThreshold?: number;
  /** Share of tokens to predict. Default 0.15. */
  mlmProbability?: number;
  /** Whether all tokens of a word are masked together. Default false. */
  wholeWordMask?: boolean;
  /** How many words are given for a mask. Default 5. */
  topK?: number;
  /** Of the masks. Default 42. */
  seed?: number;
  /** The loss of embeddings. Default: the usual one for the data. */
  loss?: LossName;
  /** Lengths of shortened embeddings that learn too. */
  matryoshkaDims?: readonly number[];
  /** Texts that a cached loss computes at once. Default 32. */
  miniBatchSize?: number;
}

const encodingOptionNames: OptionNames<EncodingOptions> = {
  maxLength: true,
  truncation: true,
  docStride: true,
  aggregation: true,
  maxAnswerLength: true,
  nBest: true,
  nullThreshold: true,
  mlmProbability: true,
  wholeWordMask: true,
  topK: true,
  seed: true,
  loss: true,
  matryoshkaDims: true,
  miniBatchSize: true,
};

/** Throws `ConfigError` for an option that no task has. */
export function checkEncoding(options: EncodingOptions): void {
  checkOptions('bind', options, encodingOptionNames);
  checkChoice('aggregation', options.aggregation, aggregations);
}

/** A row of predictions: JSON for files, a line for people. */
export interface Row {
  json: Record<string, unknown>;
  text: string;
  /** The row of a `.npy` file. */
  vector?: Float32Array;
}

/** A task with a model's tokenizer and classes. */
export interface Bound<E, F = unknown> {
  /** Of features that are learned from. */
  settings(examples: readonly E[]): Settings;
  encode(examples: readonly E[]): Features<E, F>;
  /** A method, because its parameters are bivariant. */
  collate(examples: readonly F[], indices: readonly number[], stream: number): Batch;
  /** Reads the predictions of `Features`. Undefined: the metrics of the model's problem type. */
  readonly computeMetrics?: ComputeMetrics;
  /** Runs in place of the model's `forward`. */
  readonly computeLoss?: ComputeLoss;
  /** A row for each example. */
  predictions(prediction: EvalPrediction, features: Features<E, F>): Row[];
}

/** Examples of type `E` become features of type `F`. */
export interface Task<E = unknown, F = unknown> {
  readonly name: string;
  /** The model's class in each family; null for one around models without a head. */
  readonly model: keyof Family['tasks'] | null;
  readonly auto: AutoClass<PreTrainedModel>;
  /** What its files hold: `words with tags`. */
  readonly files: string;
  /** What its examples are called: `texts`. */
  readonly things: string;
  /** Tokens of a text unless asked otherwise; null: as many as the model takes. */
  readonly maxLength: number | null;
  /** As `maxLength`, where the model says it. */
  usualLength?(model: PreTrainedModel): number | null;
  /** Options of files that `read` knows, besides format and encoding; undefined: all. */
  readonly columns?: readonly (keyof TableOptions)[];
  /** Whether the predictions of labelled data are worth keeping. Default true. */
  readonly keepsPredictions?: false;
  /** Why a file looks like one of this task; null if it does not. */
  looks(front: FileFront): string | null;
  /** Reads labels too, unless `readLabels` is false. Throws `DataError` naming the place. */
  read(path: string, options: TableOptions): Promise<TaskFile<E>>;
  /** As `read`, of a file that is not to be held in memory. */
  survey(path: string, options: TableOptions): Promise<Survey<E>>;
  /** Whether an example may have several features. Default false. */
  readonly windows?: true;
  /** An example without a label. Throws `UsageError` if the task needs another kind of input. */
  example(input: Input): E;
  /** What examples that are held out are to have their share of: the label, in an order of its own. */
  stratum?(example: E): string;
  /** What examples share that are not to be torn apart by holding some of them out: their context. */
  group?(example: E): string;
  /** Refuses files that do not go together, with `DataError`. */
  check?(files: readonly TaskFile<E>[]): void;
  /** Decides from training data. Throws `DataError` if they are ambiguous. */
  decide(train: TaskFile<E>, options: DecisionOptions): Decision;
  /** What a trained model decides; `examples` are new ones for it. */
  ofModel(config: PretrainedConfig, examples: readonly E[]): Decision;
  /** Whether each text that the model gets is two. */
  pairs(examples: readonly E[]): boolean;
  /** A warning about examples that a model was not trained for; null without. */
  warning?(config: PretrainedConfig, examples: readonly E[]): string | null;
  /** What to do with a trained model, and the arguments of `predict` for it. */
  nextStep(config: PretrainedConfig, tokenizer: PreTrainedTokenizer): { what: string; words: string };
  bind(
    tokenizer: PreTrainedTokenizer,
    config: PretrainedConfig,
    options: EncodingOptions,
    model: PreTrainedModel,
  ): Bound<E, F>;
}

/** The features of examples, in a list. */
export function featureList<E, F>(
  examples: readonly E[],
  features: readonly F[],
  settings: Settings,
): Features<E, F> {
  return { examples, length: features.length, get: (index) => features[index]!, settings };
}
