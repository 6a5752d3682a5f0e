/** `Trainer`: the fine-tuning loop. */

import { type Collator, dataCollatorWithPadding } from '../data/collate.ts';
import type { Dataset } from '../data/dataset.ts';
import { DataLoader, type DataLoaderOptions } from '../data/loader.ts';
import { ConfigError } from '../errors.ts';
import { problemTypeOf } from '../models/config.ts';
import { type Advice, checkOptions, type OptionNames } from '../options.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import { resolveArguments, type TrainingArguments } from './arguments.ts';
import type { TrainerCallback } from './callbacks.ts';
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
  /** Saved with the model; gives the padding of the default collator. transformers' name for the tokenizer. */
  processingClass?: PreTrainedTokenizer;
  dataCollator?: Collator | DataLoaderOptions['collate'];
  callbacks?: TrainerCallback[];
  /** Replaces the report that the model's problem type gives. */
  computeMetrics?: (prediction: EvalPrediction) => Metrics;
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
}

export class Trainer {
  readonly args: TrainingArguments;
  readonly model: TrainableModel;
  state: TrainerState;
  private readonly options: TrainerOptions;

  /** Throws `ConfigError` for arguments that cannot be used. */
  constructor(options: TrainerOptions) {
    checkOptions('Trainer', options, trainerOptionNames, advice);
    this.args = resolveArguments(options.args);
    this.options = options;
    this.model = options.model;
    this.state = freshState(this.args);
  }

  /**
   * Trains, then saves model, tokenizer and state into `outputDir`. With `resumeFromCheckpoint` it continues there with the numbers of an
   * unbroken run. Throws `NonFiniteError` as soon as a loss or gradient is not finite; earlier checkpoints stay.
   */
  async train(options: { resumeFromCheckpoint?: string } = {}): Promise<TrainOutput> {
    checkOptions('train', options, { resumeFromCheckpoint: true });
    return new TrainingRun(this, this.options).go(options.resumeFromCheckpoint);
  }

  /** Loss and metrics of a dataset, their names with `eval_` in front. */
  async evaluate(dataset: Dataset | undefined = this.options.evalDataset): Promise<Evaluation> {
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
          ? { metrics: custom(prediction) }
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

function joined(parts: readonly ArrayLike<number>[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
