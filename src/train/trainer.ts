/** `Trainer`: the fine-tuning loop. */

import { platform } from '#platform';
import { type Collator, dataCollatorWithPadding } from '../data/collate.ts';
import type { Dataset } from '../data/dataset.ts';
import { callUser, checkDataset } from '../data/example-checks.ts';
import { DataLoader, type DataLoaderOptions } from '../data/loader.ts';
import { ConfigError } from '../errors.ts';
import { problemTypeOf } from '../models/common/config.ts';
import { type Advice, checkOptions, type OptionNames } from '../options.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import { resolveArguments, type TrainingArguments } from './arguments.ts';
import { checkCallbacks, type TrainerCallback } from './callbacks.ts';
import { type Evaluation, evaluateLogits, type Metrics } from './metrics.ts';
import { predictBatches, type TrainableModel } from './predict.ts';
import { TrainingRun } from './run.ts';
import { freshState, type TrainerState } from './state.ts';

export interface EvalPrediction {
  logits: Float32Array;
  /** Flat, in the dataset's order. */
  labels: Float32Array;
}

export interface TrainerOptions {
  model: TrainableModel;
  args: Partial<TrainingArguments> & { outputDir: string };
  trainDataset?: Dataset;
  evalDataset?: Dataset;
  /**
   * Saved with the model; gives the padding of the default collator. transformers' name for the tokenizer.
   */
  processingClass?: PreTrainedTokenizer;
  dataCollator?: Collator | DataLoaderOptions['collate'];
  callbacks?: TrainerCallback[];
  /** Replaces the report that the model's problem type gives. */
  computeMetrics?: (prediction: EvalPrediction) => Metrics;
  /** Gets what is to be said while it trains, one line each; `console.warn` where absent. */
  onWarning?: (text: string) => void;
  /** An `AbortSignal`, say. Aborting it saves a checkpoint after the current step and ends the training. */
  signal?: { readonly aborted: boolean };
}

const trainerOptionNames: OptionNames<TrainerOptions> = {
  model: true,
  args: true,
  trainDataset: true,
  evalDataset: true,
  processingClass: true,
  dataCollator: true,
  callbacks: true,
  computeMetrics: true,
  onWarning: true,
  signal: true,
};

/** What transformers' Trainer has besides, or had. */
const advice: Advice = {
  tokenizer: 'pass it as processingClass',
  optimizers: 'write the loop yourself: examples/loop.ts',
  modelInit: 'pass a model',
};

export interface TrainOutput {
  globalStep: number;
  /** Mean over all steps of this run. */
  trainingLoss: number;
  /** Path of the checkpoint written on abort, or null where the training ran to its end. */
  interruptedAt: string | null;
  /** Whether a callback ended it before its last step. */
  stoppedEarly: boolean;
  /** The step whose weights were loaded at the end as the best; null where the last weights stayed. */
  restoredStep: number | null;
  /** The evaluation of the weights that were saved; null where this run made none. */
  evaluation: Evaluation | null;
  /** Of this run. */
  seconds: number;
}

/** What trainings that go on now use: two would write over each other. */
const modelsInUse = new WeakSet<TrainableModel>();
const outputsInUse = new Set<string>();

export class Trainer {
  readonly args: TrainingArguments;
  readonly model: TrainableModel;
  state: TrainerState;
  private readonly options: TrainerOptions;

  /** Throws `ConfigError` for arguments that cannot be used. */
  constructor(options: TrainerOptions) {
    checkOptions('Trainer', options, trainerOptionNames, advice);
    if (options.model === undefined)
      throw new ConfigError('Trainer: there is no model', { remedy: 'pass model' });
    checkDataset('trainDataset', options.trainDataset);
    checkDataset('evalDataset', options.evalDataset);
    checkCallbacks(options.callbacks);
    this.args = resolveArguments(options.args);
    this.options = options;
    this.model = options.model;
    this.state = freshState(this.args);
  }

  /**
   * Trains, then saves model, tokenizer and state into `outputDir`. With `resumeFromCheckpoint` it continues
   * there with the numbers of an unbroken run; arguments that differ from the checkpoint's are refused or
   * told of. Throws `ConfigError` where a training of this model or into this folder is under way,
   * `FileError` where the folder cannot be written, `CheckpointError` for a damaged checkpoint,
   * `UserCodeError` for what a callback threw, and `NonFiniteError` as soon as a loss or gradient is not
   * finite; earlier checkpoints stay.
   */
  async train(options: { resumeFromCheckpoint?: string } = {}): Promise<TrainOutput> {
    checkOptions('train', options, { resumeFromCheckpoint: true });
    const { model } = this;
    const output = platform.joinPath(this.args.outputDir, '.');
    if (modelsInUse.has(model) || outputsInUse.has(output)) {
      const what = modelsInUse.has(model) ? 'this model' : `'${this.args.outputDir}'`;
      throw new ConfigError(`train: a training of ${what} is under way`, {
        remedy: 'await it before the next one',
      });
    }
    modelsInUse.add(model);
    outputsInUse.add(output);
    try {
      return await new TrainingRun(this, this.options).go(options.resumeFromCheckpoint);
    } finally {
      modelsInUse.delete(model);
      outputsInUse.delete(output);
    }
  }

  /** @internal Says something of a training. */
  warn(text: string): void {
    (this.options.onWarning ?? console.warn)(text);
  }

  /**
   * Loss and metrics of a dataset, their names with `eval_` in front. Throws `ConfigError` while the model is
   * in training.
   */
  async evaluate(dataset: Dataset | undefined = this.options.evalDataset): Promise<Evaluation> {
    if (modelsInUse.has(this.model))
      throw new ConfigError('evaluate: the model is in training', {
        remedy: 'set evalStrategy, or await train() first',
      });
    return this.score(dataset);
  }

  /** @internal */
  async score(dataset: Dataset | undefined = this.options.evalDataset): Promise<Evaluation> {
    if (dataset === undefined)
      throw new ConfigError('evaluate: there is no dataset', { remedy: 'pass evalDataset' });
    const started = performance.now();
    const loader = new DataLoader(dataset, {
      batchSize: this.args.perDeviceEvalBatchSize,
      collate: this.collate(),
      shuffle: false,
    });
    const collected = await this.collect(loader);
    const { config } = this.model;
    const custom = this.options.computeMetrics;
    const prediction = { logits: collected.logits, labels: collected.labels };
    const scored =
      collected.labels.length === 0 || collected.positions
        ? { metrics: {} }
        : custom
          ? { metrics: customMetrics(custom, prediction) }
          : evaluateLogits(
              problemTypeOf(config, collected.floatLabels),
              prediction.logits,
              prediction.labels,
              config.numLabels,
            );
    const seconds = (performance.now() - started) / 1000;
    const named = Object.entries(scored.metrics).map(([name, value]) => [`eval_${name}`, value]);
    const metrics = {
      eval_loss: collected.loss,
      ...Object.fromEntries(named),
      eval_runtime: Number(seconds.toFixed(4)),
      eval_samples_per_second: Number((dataset.length / seconds).toFixed(3)),
    };
    return { ...scored, metrics };
  }

  /** @internal */
  collate(): DataLoaderOptions['collate'] {
    const { dataCollator, processingClass } = this.options;
    if (dataCollator !== undefined) return dataCollator;
    const { config } = this.model;
    return dataCollatorWithPadding({
      padTokenId: processingClass?.padTokenId ?? config.padTokenId ?? 0,
      paddingSide: processingClass?.paddingSide ?? 'right',
      floatLabels: problemTypeOf(config, false) !== 'single_label_classification',
    });
  }

  private async collect(loader: DataLoader): Promise<{
    logits: Float32Array;
    labels: Float32Array;
    floatLabels: boolean;
    loss: number | null;
    positions: boolean;
  }> {
    const logits: Float32Array[] = [];
    const labels: (Int32Array | Float32Array)[] = [];
    let lossSum = 0;
    let count = 0;
    let positions = false;
    let floatLabels = false;
    const { fp16 } = this.args;
    const predictions = predictBatches(this.model, loader.batches(), { fp16 });
    for await (const { batch, logits: values, loss } of predictions) {
      positions ||= batch.positions !== undefined;
      if (!positions) logits.push(values);
      if (batch.labels !== undefined) labels.push(batch.labels);
      floatLabels ||= batch.labels instanceof Float32Array;
      const weight = batch.positions?.length ?? batch.shape[0];
      if (loss !== null) lossSum += loss * weight;
      count += weight;
    }
    return {
      logits: joined(logits),
      labels: joined(labels),
      floatLabels,
      loss: labels.length === 0 ? null : lossSum / count,
      positions,
    };
  }
}

/**
 * What the user's function gives. Throws `UserCodeError` where it throws, `ConfigError` where it gives
 * something else than numbers.
 */
function customMetrics(
  computeMetrics: NonNullable<TrainerOptions['computeMetrics']>,
  prediction: EvalPrediction,
): Metrics {
  const metrics = callUser('computeMetrics', () => computeMetrics(prediction));
  const isRecord = typeof metrics === 'object' && metrics !== null && !(metrics instanceof Promise);
  const broken = isRecord
    ? Object.entries(metrics).find(([, value]) => value !== null && typeof value !== 'number')
    : undefined;
  if (!isRecord || broken !== undefined)
    throw new ConfigError(
      broken === undefined
        ? `computeMetrics gave ${String(metrics)}`
        : `computeMetrics gave ${String(broken[1])} for '${broken[0]}'`,
      { remedy: 'return an object of numbers, or null where one is not defined' },
    );
  return metrics;
}

function joined(parts: readonly ArrayLike<number>[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
