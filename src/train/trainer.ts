/** `Trainer`: the fine-tuning loop. */

import { platform } from '#platform';
import { type Batch, dataCollatorWithPadding } from '../data/collate.ts';
import type { Dataset } from '../data/dataset.ts';
import { checkDataset } from '../data/example-checks.ts';
import { DataLoader } from '../data/loader.ts';
import { isStream, type TrainDataset } from '../data/stream.ts';
import { ConfigError } from '../errors.ts';
import { problemTypeOf } from '../models/common/config.ts';
import { type Advice, checkOptions, type OptionNames } from '../options.ts';
import type { ProcessGroup } from '../platform/contract.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import { resolveArguments } from './argument-checks.ts';
import type { TrainingArguments } from './arguments.ts';
import { checkCallbacks, type TrainerCallback } from './callbacks.ts';
import { type EvalPrediction, type EvaluationHooks, evaluateModel } from './evaluate.ts';
import { type LossRule, lossRule } from './losses.ts';
import type { Evaluation } from './metrics.ts';
import type { TrainableModel } from './predict.ts';
import { Ranks } from './ranks.ts';
import { TrainingRun } from './run.ts';
import { freshState, type TrainerState } from './state.ts';
import type { MakeOptimizer, ReduceGradients } from './step.ts';

/** A method, because its parameters are bivariant: a collator may name the type of its examples. */
interface Collate {
  collate(examples: readonly unknown[], indices: readonly number[], stream: number): Batch;
}

export interface TrainerOptions extends EvaluationHooks {
  model: TrainableModel;
  args: Partial<TrainingArguments> & { outputDir: string };
  /** Examples by index; or a stream of rows that are read anew each epoch. */
  trainDataset?: TrainDataset;
  evalDataset?: Dataset<unknown>;
  /** The tokenizer: saved with the model, and tells the default collator how to pad. */
  processingClass?: PreTrainedTokenizer;
  /** Makes batches of the datasets' examples. Default: `dataCollatorWithPadding`. */
  dataCollator?: Collate['collate'];
  callbacks?: TrainerCallback[];
  /**
   * Called between backward and clipping with the model's parameters, to change the values of their gradients
   * (`parameter.grad`, or all of them: `flatGradients`) in place. With `fp16`, gradients are multiplied by
   * the loss scale.
   */
  reduceGradients?: ReduceGradients;
  /** Makes the optimizer; its rates follow the schedule of the arguments. Default: AdamW. */
  optimizer?: MakeOptimizer;
  /** Gets each warning, a line of text. Default: `console.warn`. */
  onWarning?: (text: string) => void;
  /**
   * The processes that train together (`initProcessGroup`): each takes `perDeviceTrainBatchSize` texts of a
   * batch and its part of an evaluation; the first one writes files and warnings.
   */
  processGroup?: ProcessGroup | null;
  /** Aborting it, an `AbortSignal` say, saves a checkpoint after the current step and ends the training. */
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
  preprocessLogitsForMetrics: true,
  computeLoss: true,
  reduceGradients: true,
  optimizer: true,
  onWarning: true,
  processGroup: true,
  signal: true,
};

/** Remedies for options that transformers' Trainer has, or had. */
const advice: Advice = {
  tokenizer: 'pass it as processingClass',
  optimizers: 'pass optimizer, a function that makes it; lrSchedulerType names the schedule',
  computeLossFunc: 'pass computeLoss, which calls the model itself',
  modelInit: 'pass a model',
};

export interface TrainOutput {
  globalStep: number;
  /** Mean over all steps of this run. */
  trainingLoss: number;
  /** Path of the checkpoint written on abort; null if the training ran to its end. */
  interruptedAt: string | null;
  /** Whether a callback ended it before its last step. */
  stoppedEarly: boolean;
  /** The step whose weights were restored at the end as the best; null if the last weights stayed. */
  restoredStep: number | null;
  /** The evaluation of the saved weights; null if this run made none. */
  evaluation: Evaluation | null;
  /** Of this run. */
  seconds: number;
}

/** transformers' PredictionOutput: the outputs and the labels by name, and metrics if there are labels. */
export interface PredictionOutput extends Evaluation, Pick<EvalPrediction, 'predictions' | 'labelIds'> {
  /** All of it as `computeMetrics` gets it. */
  prediction: EvalPrediction;
}

/** Models and outputs of trainings under way: two trainings would overwrite each other. */
const modelsInUse = new WeakSet<TrainableModel>();
const outputsInUse = new Set<string>();

export class Trainer {
  readonly args: TrainingArguments;
  readonly model: TrainableModel;
  state: TrainerState;
  /** Made when it is first needed. */
  private loss: [LossRule | null] | undefined;

  /** Throws `ConfigError` for options and arguments that cannot be used. */
  constructor(private readonly options: TrainerOptions) {
    checkOptions('Trainer', options, trainerOptionNames, advice);
    if (options.model === undefined)
      throw new ConfigError('Trainer: there is no model', { remedy: 'pass model' });
    if (!isStream(options.trainDataset)) checkDataset('trainDataset', options.trainDataset);
    checkDataset('evalDataset', options.evalDataset);
    checkCallbacks(options.callbacks);
    this.args = resolveArguments(options.args);
    this.model = options.model;
    const { labelSmoothingFactor, classWeights } = this.args;
    if (options.computeLoss !== undefined && (labelSmoothingFactor !== 0 || classWeights !== null))
      throw new ConfigError(
        'computeLoss replaces the loss that labelSmoothingFactor and classWeights change',
        {
          remedy: 'leave one out; crossEntropy takes labelSmoothing and weight',
        },
      );
    this.state = freshState(this.args);
  }

  /**
   * Trains, then saves model, tokenizer and state into `outputDir`. With `resumeFromCheckpoint` it continues
   * from there with the numbers of an unbroken run, and refuses or reports arguments that differ from the
   * checkpoint's. Throws `ConfigError` if another training uses this model or folder, `FileError` if the
   * folder cannot be written, `CheckpointError` for a damaged checkpoint, `UserCodeError` for errors of the
   * user's code, and `NonFiniteError` as soon as a loss or gradient is not finite; earlier checkpoints stay.
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

  /** @internal Reports a line to the user. */
  warn(text: string): void {
    if ((this.options.processGroup?.rank ?? 0) > 0) return;
    (this.options.onWarning ?? console.warn)(text);
  }

  /**
   * Computes loss and metrics of a dataset, under names that begin with `eval_`. Throws `ConfigError` while
   * the model is in training.
   */
  async evaluate(dataset: Dataset<unknown> | undefined = this.options.evalDataset): Promise<Evaluation> {
    this.checkIdle('evaluate');
    return this.score(dataset);
  }

  /**
   * The model's outputs for a dataset, in its order, with its labels; metrics as `evaluate` has them, under
   * names that begin with `metricKeyPrefix` (`test`). Throws `ConfigError` while the model is in training.
   */
  async predict(
    dataset: Dataset<unknown>,
    options: { metricKeyPrefix?: string } = {},
  ): Promise<PredictionOutput> {
    checkOptions('predict', options, { metricKeyPrefix: true });
    this.checkIdle('predict');
    checkDataset('dataset', dataset);
    const { metricKeyPrefix = 'test' } = options;
    const { evaluation, prediction } = await this.run(dataset, metricKeyPrefix, true);
    return { ...evaluation, prediction, predictions: prediction.predictions, labelIds: prediction.labelIds };
  }

  private checkIdle(what: string): void {
    if (modelsInUse.has(this.model))
      throw new ConfigError(`${what}: the model is in training`, {
        remedy: 'set evalStrategy, or await train() first',
      });
  }

  /** @internal Evaluates, during a training too. */
  async score(dataset: Dataset<unknown> | undefined = this.options.evalDataset): Promise<Evaluation> {
    if (dataset === undefined)
      throw new ConfigError('evaluate: there is no dataset', { remedy: 'pass evalDataset' });
    return (await this.run(dataset, 'eval', false)).evaluation;
  }

  private async run(dataset: Dataset<unknown>, prefix: string, readsAll: boolean) {
    const { args, model } = this;
    const started = performance.now();
    const hooks = { ...this.options, ...this.lossHooks() };
    const loader = new DataLoader(dataset, {
      batchSize: args.perDeviceEvalBatchSize,
      collate: this.collate(),
      shuffle: false,
    });
    const { evaluation, prediction } = await evaluateModel(model, loader, args, hooks, {
      readsAll,
      ranks: new Ranks(this.options.processGroup),
    }).finally(() => modelsInUse.has(model) || this.disposeLoss());
    const seconds = (performance.now() - started) / 1000;
    const named = Object.entries(evaluation.metrics).map(([name, value]) => [`${prefix}_${name}`, value]);
    const metrics = {
      ...Object.fromEntries(named),
      [`${prefix}_runtime`]: Number(seconds.toFixed(4)),
      [`${prefix}_samples_per_second`]: Number((dataset.length / seconds).toFixed(3)),
    };
    return { evaluation: { ...evaluation, metrics }, prediction };
  }

  /** @internal The user's loss, or that of the arguments. */
  lossHooks(): Partial<LossRule> {
    const { computeLoss, trainDataset } = this.options;
    if (computeLoss !== undefined) return { computeLoss };
    this.loss ??= [lossRule(this.args, this.model.config, trainDataset)];
    return this.loss[0] ?? {};
  }

  /** @internal Frees what the loss of the arguments keeps on the device. */
  disposeLoss(): void {
    this.loss?.[0]?.dispose();
  }

  /** @internal The collator, the default one included. */
  collate(): Collate['collate'] {
    const { dataCollator, processingClass } = this.options;
    if (dataCollator !== undefined) return dataCollator;
    const { config } = this.model;
    return dataCollatorWithPadding({
      padTokenId: processingClass?.padTokenId ?? config.padTokenId ?? 0,
      paddingSide: processingClass?.paddingSide ?? 'right',
      floatLabels: problemTypeOf(config, false) !== 'single_label_classification',
    }) as Collate['collate'];
  }
}
