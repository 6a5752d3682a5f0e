/**
 * `TrainingArguments`: transformers' names in camelCase and its defaults, and the table that checks, the
 * command's options, resuming and docs/training.md read.
 */
import type { SchedulerKwargs, SchedulerType } from '../optim/schedule.ts';
import type { FloatDtype } from '../tensor/ops/elementwise.ts';
import * as k from './argument-kinds.ts';
import type { OptimizerName } from './optimizers.ts';
import type { Tracker } from './tracker-names.ts';

export type IntervalStrategy = 'no' | 'steps' | 'epoch';

export interface TrainingArguments {
  /** Where checkpoints and the final model go. */
  outputDir: string;
  numTrainEpochs: number;
  /** Optimizer steps in all; overrides the epochs if positive. */
  maxSteps: number;
  perDeviceTrainBatchSize: number;
  perDeviceEvalBatchSize: number;
  learningRate: number;
  weightDecay: number;
  /** transformers' names; weights are float32 here, whatever the name says. */
  optim: OptimizerName;
  /**
   * A layer's rate is that of the layer above times this: the head has the highest, the embeddings the
   * lowest.
   */
  layerwiseLrDecay: number;
  adamBeta1: number;
  adamBeta2: number;
  adamEpsilon: number;
  /** Mixed precision: float16 activations over float32 weights, with dynamic loss scaling. */
  fp16: boolean;
  /** How an adapter's frozen base is stored; float16 halves the memory of its matrices. Null: as it is. */
  baseDtype: FloatDtype | null;
  /** Layers keep no activations, and compute them again for their gradients: less memory, more time. */
  gradientCheckpointing: boolean;
  /** Gradients are clipped to this joint norm; 0 switches clipping off. */
  maxGradNorm: number;
  lrSchedulerType: SchedulerType;
  /** What the schedule takes besides. */
  lrSchedulerKwargs: SchedulerKwargs | null;
  /** Steps, or below 1 a share of all steps. */
  warmupSteps: number;
  /** Share of all steps; counts if `warmupSteps` is 0. */
  warmupRatio: number;
  /** Part of each target that is spread over all classes, as transformers' `LabelSmoother` does. */
  labelSmoothingFactor: number;
  /**
   * Weights of classes in the loss, as PyTorch's `weight`: in the order of the classes or by name; `balanced`
   * makes them of the training data, as scikit-learn does: examples / (classes · examples of the class).
   */
  classWeights: 'balanced' | readonly number[] | Readonly<Record<string, number>> | null;
  gradientAccumulationSteps: number;
  loggingSteps: number;
  /** Trackers that get the log: `tensorboard` writes events, `html` a page of curves. */
  reportTo: 'none' | readonly Tracker[];
  /** Also logs the first step. */
  loggingFirstStep: boolean;
  evalStrategy: IntervalStrategy;
  /** Null: `loggingSteps`. */
  evalSteps: number | null;
  saveStrategy: IntervalStrategy;
  saveSteps: number;
  /** Checkpoints kept, always including the best and the newest. Null, or not above 0: all. */
  saveTotalLimit: number | null;
  /** Restores the best checkpoint at the end; saves one whenever an evaluation is the best so far. */
  loadBestModelAtEnd: boolean;
  /** With or without `eval_` in front. Null: `loss`. */
  metricForBestModel: string | null;
  /** Whether larger is better. Null: unless its name is that of a loss or error. */
  greaterIsBetter: boolean | null;
  /**
   * Names of the arrays of a batch that `computeMetrics` gets as labels. Null: names that contain `label`,
   * and `startPositions` and `endPositions`.
   */
  labelNames: readonly string[] | null;
  /** Of the order of examples, dropout and new weights. */
  seed: number;
  groupByLength: boolean;
  dataloaderDropLast: boolean;
  /** Sends gradients between processes as float16, times a power of two; for slow networks. */
  mpiFp16: boolean;
  /** Epochs in which only the head (and pooler) learns. */
  freezeEncoderEpochs: number;
  /** Layers thawed each epoch after `freezeEncoderEpochs`, from the top; 0 thaws all at once. */
  unfreezeLayersPerEpoch: number;
}

/**
 * What happens if an argument differs from that of the checkpoint a training resumes from. `place`: the place
 * in the data would move, so it is refused; `state`: the checkpoint's state would not fit, so it is refused;
 * `course`: the new value applies from here on, which is reported; `best`: the search for the best model
 * starts anew, which is reported; `free`: nothing.
 */
export type ResumeEffect = 'place' | 'state' | 'course' | 'best' | 'free';

/** A row of the table. */
export interface Argument<T> {
  /** transformers' default. */
  default: T;
  kind: k.ArgumentKind;
  resume: ResumeEffect;
  /** For the command's help and docs/training.md. */
  help: string;
  /** The command's option in commander's syntax: `--epochs <n>`. */
  option?: string;
  /** `finetune`'s own default; null: it has none, and leaves the argument out. */
  finetune?: T | null;
  /** Added to `help` in docs/training.md. */
  note?: string;
  /** For docs/training.md: how `finetune` derives the value from other options. */
  otherwise?: string;
  /** Present if `pretrain` has the option too: its own default and help. */
  pretrain?: { default?: T; help?: string };
}

/** Makes a row; the effect on a resume is `course` unless given. */
function argument<T>(
  kind: k.ArgumentKind,
  usual: T,
  help: string,
  more: Partial<Argument<T>> = {},
): Argument<T> {
  return { default: usual, kind, help, resume: 'course', ...more };
}

type Arguments = Omit<TrainingArguments, 'outputDir'>;

/** Every argument but `outputDir`, in the order of the command's help. */
export const argumentTable: { readonly [K in keyof Arguments]: Argument<Arguments[K]> } = {
  numTrainEpochs: argument(k.amount, 3, 'times through the training data', {
    option: '--epochs <n>',
    pretrain: { default: 1, help: 'times through the corpus' },
  }),
  maxSteps: argument(k.steps, -1, 'optimizer steps in all; overrides --epochs', {
    option: '--max-steps <n>',
    note: '-1: as many as the epochs have',
    pretrain: {},
  }),
  perDeviceTrainBatchSize: argument(k.count, 8, 'texts in a batch', {
    resume: 'place',
    option: '--batch-size <n>',
    pretrain: { default: 32, help: 'lines in a batch' },
  }),
  perDeviceEvalBatchSize: argument(k.count, 8, 'texts in a batch of evaluation', {
    resume: 'free',
    option: '--eval-batch-size <n>',
    finetune: 32,
  }),
  learningRate: argument(k.amount, 5e-5, 'highest learning rate', {
    option: '--lr <rate>',
    pretrain: { default: 5e-4 },
  }),
  weightDecay: argument(k.amount, 0, 'decay of weights other than biases and LayerNorm', {
    option: '--weight-decay <w>',
    pretrain: { default: 0.01 },
  }),
  optim: argument(k.optimizer, 'adamw_torch', 'optimizer', {
    option: '--optim <name>',
    note: '`adamw_torch` (AdamW), `lion_32bit` or `adafactor`',
    resume: 'state',
  }),
  layerwiseLrDecay: argument(k.share, 1, "a layer's learning rate, as a share of that of the layer above", {
    option: '--layerwise-lr-decay <share>',
    note: 'the head has `learningRate`',
  }),
  adamBeta1: argument(k.beta, 0.9, "decay of AdamW's mean of gradients"),
  adamBeta2: argument(k.beta, 0.999, "decay of AdamW's mean of their squares"),
  adamEpsilon: argument(k.amount, 1e-8, 'added to the root of those squares'),
  warmupSteps: argument(k.amount, 0, 'steps of warm-up, or below 1 a share of all steps', {
    option: '--warmup-steps <n>',
    pretrain: { default: 0.05 },
  }),
  warmupRatio: argument(k.part, 0, 'warm-up as a share of all steps, without --warmup-steps', {
    option: '--warmup-ratio <share>',
  }),
  lrSchedulerType: argument(k.schedule, 'linear', 'course of the learning rate', {
    option: '--scheduler <name>',
    note: 'see [below](#the-learning-rate)',
  }),
  lrSchedulerKwargs: argument(k.orNull(k.settings), null, 'what the schedule takes besides, `numCycles=2`', {
    option: '--scheduler-args <name=value,...>',
  }),
  labelSmoothingFactor: argument(k.part, 0, 'part of each target that is spread over all classes', {
    option: '--label-smoothing <part>',
  }),
  classWeights: argument(
    k.orNull(k.weights),
    null,
    'weights of classes: `balanced`, or `a=2,b=1`, or `2,1`, or a file `weights.json`',
    {
      option: '--class-weights <weights>',
      note: 'null: all the same',
    },
  ),
  maxGradNorm: argument(k.amount, 1, 'clip gradients to this norm; 0 switches clipping off', {
    option: '--max-grad-norm <norm>',
  }),
  gradientAccumulationSteps: argument(k.count, 1, 'batches an optimizer step adds up', {
    resume: 'place',
    option: '--gradient-accumulation <n>',
    note: 'each weighs what its loss is a mean over',
  }),
  gradientCheckpointing: argument(
    k.flag,
    false,
    "compute layers' activations again instead of keeping them: less memory, more time, the same numbers",
    { resume: 'free', option: '--gradient-checkpointing', pretrain: {} },
  ),
  freezeEncoderEpochs: argument(
    k.whole,
    0,
    'epochs in which only the head learns: classifier, and pooler if there is one',
    { option: '--freeze-epochs <n>' },
  ),
  unfreezeLayersPerEpoch: argument(
    k.whole,
    0,
    'layers thawed each epoch after those, from the top; 0 thaws all',
    { option: '--unfreeze-layers <n>' },
  ),
  groupByLength: argument(k.flag, false, 'put texts of like length in a batch', {
    resume: 'place',
    option: '--group-by-length',
  }),
  dataloaderDropLast: argument(k.flag, false, 'leave out a last batch that is not full', { resume: 'place' }),
  evalStrategy: argument(k.strategy, 'no', 'when to evaluate: `no`, `steps` or `epoch`', {
    otherwise: '`epoch` with `--eval`, `steps` with `--eval-steps`',
  }),
  evalSteps: argument(
    k.orNull(k.count, k.count.remedy),
    null,
    'evaluate every n steps instead of every epoch',
    { option: '--eval-steps <n>', note: 'null: `loggingSteps`' },
  ),
  saveStrategy: argument(k.strategy, 'steps', 'when to save a checkpoint: `no`, `steps` or `epoch`', {
    otherwise: '`epoch`, `steps` with `--save-steps`',
  }),
  saveSteps: argument(k.count, 500, 'save a checkpoint every n steps instead of every epoch', {
    option: '--save-steps <n>',
    finetune: null,
  }),
  saveTotalLimit: argument(k.orNull(k.integer), null, 'checkpoints kept, the best among them', {
    resume: 'free',
    option: '--save-total-limit <n>',
    note: 'null: all',
    finetune: 2,
  }),
  loadBestModelAtEnd: argument(k.flag, false, 'go back to the best checkpoint at the end', {
    resume: 'best',
    otherwise: 'true with `--eval`',
  }),
  metricForBestModel: argument(
    k.orNull(k.text),
    null,
    'metric that decides which checkpoint is best (default: loss)',
    { resume: 'best', option: '--metric <name>', note: 'null: `loss`' },
  ),
  greaterIsBetter: argument(
    k.orNull(k.flag),
    null,
    "whether more of that metric is better; null: told from the metric's name",
    { resume: 'best' },
  ),
  labelNames: argument(
    k.orNull(k.names),
    null,
    'arrays of a batch that are labels; null: told from their names',
    { resume: 'free' },
  ),
  loggingSteps: argument(k.count, 500, 'steps between entries of the loss log', {
    option: '--logging-steps <n>',
    finetune: 10,
  }),
  reportTo: argument(k.trackers, 'none', 'trackers: `tensorboard`, `html`, with commas between them', {
    resume: 'free',
    option: '--report-to <trackers>',
  }),
  loggingFirstStep: argument(k.flag, false, 'log the first step too', { resume: 'free', finetune: true }),
  seed: argument(k.seed, 42, 'of order, dropout and new weights', {
    resume: 'place',
    option: '--seed <n>',
    note: 'an integer of up to 32 bits',
    pretrain: { help: 'of order, masks, dropout and new weights' },
  }),
  fp16: argument(
    k.flag,
    false,
    'mixed precision: float16 activations over float32 weights (default: float32)',
    { option: '--fp16', pretrain: {} },
  ),
  baseDtype: argument(k.orNull(k.floats), null, 'how the frozen base of an adapter (--lora) is stored', {
    option: '--base-dtype <dtype>',
    note: '`float32` or `float16`; null: as it is',
  }),
  mpiFp16: argument(k.flag, false, 'gradients travel between processes as float16', {
    resume: 'free',
    option: '--mpi-fp16',
    note: 'for slow networks; see [scaling.md](scaling.md)',
    pretrain: {},
  }),
};

export const argumentNames = Object.keys(argumentTable) as (keyof Arguments)[];

export const defaultTrainingArguments = Object.fromEntries(
  argumentNames.map((name) => [name, argumentTable[name].default]),
) as unknown as Arguments;
