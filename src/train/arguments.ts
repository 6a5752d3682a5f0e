/**
 * `TrainingArguments`: transformers' names in camelCase and its defaults, and the table that checks, the
 * command's options, resuming and docs/training.md read.
 */
import type { SchedulerType } from '../optim/schedule.ts';
import type { ArgumentKind } from './argument-kinds.ts';

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
  adamBeta1: number;
  adamBeta2: number;
  adamEpsilon: number;
  /** Mixed precision: float16 activations over float32 weights, with dynamic loss scaling. */
  fp16: boolean;
  /** Gradients are clipped to this joint norm; 0 switches clipping off. */
  maxGradNorm: number;
  lrSchedulerType: SchedulerType;
  /** Steps, or below 1 a share of all steps. */
  warmupSteps: number;
  gradientAccumulationSteps: number;
  loggingSteps: number;
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
  /** Epochs in which only the head (and pooler) learns. */
  freezeEncoderEpochs: number;
  /** Layers thawed each epoch after `freezeEncoderEpochs`, from the top; 0 thaws all at once. */
  unfreezeLayersPerEpoch: number;
}

/**
 * What happens if an argument differs from that of the checkpoint a training resumes from. `place`: the place
 * in the data would move, so it is refused; `course`: the new value applies from here on, which is reported;
 * `best`: the search for the best model starts anew, which is reported; `free`: nothing.
 */
export type ResumeEffect = 'place' | 'course' | 'best' | 'free';

/** A row of the table. */
export interface Argument<T> {
  /** transformers' default. */
  default: T;
  kind: ArgumentKind;
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

type Arguments = Omit<TrainingArguments, 'outputDir'>;

/** Every argument but `outputDir`, in the order of the command's help. */
export const argumentTable: { readonly [K in keyof Arguments]: Argument<Arguments[K]> } = {
  numTrainEpochs: {
    default: 3,
    kind: 'amount',
    resume: 'course',
    help: 'times through the training data',
    option: '--epochs <n>',
    pretrain: { default: 1, help: 'times through the corpus' },
  },
  maxSteps: {
    default: -1,
    kind: 'steps',
    resume: 'course',
    help: 'optimizer steps in all; overrides --epochs',
    note: '-1: as many as the epochs have',
    option: '--max-steps <n>',
    pretrain: {},
  },
  perDeviceTrainBatchSize: {
    default: 8,
    kind: 'count',
    resume: 'place',
    help: 'texts in a batch',
    option: '--batch-size <n>',
    pretrain: { default: 32, help: 'lines in a batch' },
  },
  perDeviceEvalBatchSize: {
    default: 8,
    kind: 'count',
    resume: 'free',
    help: 'texts in a batch of evaluation',
    option: '--eval-batch-size <n>',
    finetune: 32,
  },
  learningRate: {
    default: 5e-5,
    kind: 'amount',
    resume: 'course',
    help: 'highest learning rate',
    option: '--lr <rate>',
    pretrain: { default: 5e-4 },
  },
  weightDecay: {
    default: 0,
    kind: 'amount',
    resume: 'course',
    help: 'decay of weights other than biases and LayerNorm',
    option: '--weight-decay <w>',
    pretrain: { default: 0.01 },
  },
  adamBeta1: { default: 0.9, kind: 'beta', resume: 'course', help: "decay of AdamW's mean of gradients" },
  adamBeta2: {
    default: 0.999,
    kind: 'beta',
    resume: 'course',
    help: "decay of AdamW's mean of their squares",
  },
  adamEpsilon: {
    default: 1e-8,
    kind: 'amount',
    resume: 'course',
    help: 'added to the root of those squares',
  },
  warmupSteps: {
    default: 0,
    kind: 'amount',
    resume: 'course',
    help: 'steps of warm-up, or below 1 a share of all steps',
    option: '--warmup-steps <n>',
    pretrain: { default: 0.05 },
  },
  lrSchedulerType: {
    default: 'linear',
    kind: 'schedule',
    resume: 'course',
    help: 'course of the learning rate',
    note: '`linear`, `cosine`, `constant` or `constant_with_warmup`',
    option: '--scheduler <name>',
  },
  maxGradNorm: {
    default: 1,
    kind: 'amount',
    resume: 'course',
    help: 'clip gradients to this norm; 0 switches clipping off',
    option: '--max-grad-norm <norm>',
  },
  gradientAccumulationSteps: {
    default: 1,
    kind: 'count',
    resume: 'place',
    help: 'batches an optimizer step adds up',
    note: 'each weighs what its loss is a mean over',
    option: '--gradient-accumulation <n>',
  },
  freezeEncoderEpochs: {
    default: 0,
    kind: 'whole',
    resume: 'course',
    help: 'epochs in which only the head learns: classifier, and pooler if there is one',
    option: '--freeze-epochs <n>',
  },
  unfreezeLayersPerEpoch: {
    default: 0,
    kind: 'whole',
    resume: 'course',
    help: 'layers thawed each epoch after those, from the top; 0 thaws all',
    option: '--unfreeze-layers <n>',
  },
  groupByLength: {
    default: false,
    kind: 'flag',
    resume: 'place',
    help: 'put texts of like length in a batch',
    option: '--group-by-length',
  },
  dataloaderDropLast: {
    default: false,
    kind: 'flag',
    resume: 'place',
    help: 'leave out a last batch that is not full',
  },
  evalStrategy: {
    default: 'no',
    kind: 'strategy',
    resume: 'course',
    help: 'when to evaluate: `no`, `steps` or `epoch`',
    otherwise: '`epoch` with `--eval`, `steps` with `--eval-steps`',
  },
  evalSteps: {
    default: null,
    kind: 'count or null',
    resume: 'course',
    help: 'evaluate every n steps instead of every epoch',
    note: 'null: `loggingSteps`',
    option: '--eval-steps <n>',
  },
  saveStrategy: {
    default: 'steps',
    kind: 'strategy',
    resume: 'course',
    help: 'when to save a checkpoint: `no`, `steps` or `epoch`',
    otherwise: '`epoch`, `steps` with `--save-steps`',
  },
  saveSteps: {
    default: 500,
    kind: 'count',
    resume: 'course',
    help: 'save a checkpoint every n steps instead of every epoch',
    option: '--save-steps <n>',
    finetune: null,
  },
  saveTotalLimit: {
    default: null,
    kind: 'integer or null',
    resume: 'free',
    help: 'checkpoints kept, the best among them',
    note: 'null: all',
    option: '--save-total-limit <n>',
    finetune: 2,
  },
  loadBestModelAtEnd: {
    default: false,
    kind: 'flag',
    resume: 'best',
    help: 'go back to the best checkpoint at the end',
    otherwise: 'true with `--eval`',
  },
  metricForBestModel: {
    default: null,
    kind: 'text or null',
    resume: 'best',
    help: 'metric that decides which checkpoint is best (default: loss)',
    note: 'null: `loss`',
    option: '--metric <name>',
  },
  greaterIsBetter: {
    default: null,
    kind: 'flag or null',
    resume: 'best',
    help: "whether more of that metric is better; null: told from the metric's name",
  },
  labelNames: {
    default: null,
    kind: 'names or null',
    resume: 'free',
    help: 'arrays of a batch that are labels; null: told from their names',
  },
  loggingSteps: {
    default: 500,
    kind: 'count',
    resume: 'course',
    help: 'steps between entries of the loss log',
    option: '--logging-steps <n>',
    finetune: 10,
  },
  loggingFirstStep: {
    default: false,
    kind: 'flag',
    resume: 'free',
    help: 'log the first step too',
    finetune: true,
  },
  seed: {
    default: 42,
    kind: 'seed',
    resume: 'place',
    help: 'of order, dropout and new weights',
    note: 'an integer of up to 32 bits',
    option: '--seed <n>',
    pretrain: { help: 'of order, masks, dropout and new weights' },
  },
  fp16: {
    default: false,
    kind: 'flag',
    resume: 'course',
    help: 'mixed precision: float16 activations over float32 weights (default: float32)',
    option: '--fp16',
    pretrain: {},
  },
};

export const argumentNames = Object.keys(argumentTable) as (keyof Arguments)[];

export const defaultTrainingArguments = Object.fromEntries(
  argumentNames.map((name) => [name, argumentTable[name].default]),
) as unknown as Arguments;
