/** `TrainingArguments`: transformers' names in camelCase, and its defaults. */
import { checkSeed } from '../data/random.ts';
import { ConfigError } from '../errors.ts';
import { type SchedulerType, schedulerTypes } from '../optim/schedule.ts';

export type IntervalStrategy = 'no' | 'steps' | 'epoch';

export interface TrainingArguments {
  /** Where checkpoints and the final model go. */
  outputDir: string;
  numTrainEpochs: number;
  /** Optimizer steps in all; overrides the epochs where positive. */
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
  /** `loggingSteps` where null. */
  evalSteps: number | null;
  saveStrategy: IntervalStrategy;
  saveSteps: number;
  /** Checkpoints kept, the best and the newest always; all where null, or not above 0. */
  saveTotalLimit: number | null;
  /** Goes back to the best checkpoint at the end; saves one whenever an evaluation is the best so far. */
  loadBestModelAtEnd: boolean;
  /** `loss` where null; with or without `eval_` in front. */
  metricForBestModel: string | null;
  /** Whether larger is better; not so for losses and errors where null. */
  greaterIsBetter: boolean | null;
  /** Of dropout, initial weights and orders. */
  seed: number;
  groupByLength: boolean;
  dataloaderDropLast: boolean;
  /** Epochs in which only the head (and pooler) learns. */
  freezeEncoderEpochs: number;
  /** After those, layers thawed each epoch, from the top; 0 thaws all at once. */
  unfreezeLayersPerEpoch: number;
}

export const defaultTrainingArguments: Omit<TrainingArguments, 'outputDir'> = {
  numTrainEpochs: 3,
  maxSteps: -1,
  perDeviceTrainBatchSize: 8,
  perDeviceEvalBatchSize: 8,
  learningRate: 5e-5,
  weightDecay: 0,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  fp16: false,
  maxGradNorm: 1,
  lrSchedulerType: 'linear',
  warmupSteps: 0,
  gradientAccumulationSteps: 1,
  loggingSteps: 500,
  loggingFirstStep: false,
  evalStrategy: 'no',
  evalSteps: null,
  saveStrategy: 'steps',
  saveSteps: 500,
  saveTotalLimit: null,
  loadBestModelAtEnd: false,
  metricForBestModel: null,
  greaterIsBetter: null,
  seed: 42,
  groupByLength: false,
  dataloaderDropLast: false,
  freezeEncoderEpochs: 0,
  unfreezeLayersPerEpoch: 0,
};

const positiveIntegers = [
  'perDeviceTrainBatchSize',
  'perDeviceEvalBatchSize',
  'gradientAccumulationSteps',
  'loggingSteps',
  'saveSteps',
] as const;
const notNegative = [
  'learningRate',
  'weightDecay',
  'adamEpsilon',
  'maxGradNorm',
  'warmupSteps',
  'freezeEncoderEpochs',
  'unfreezeLayersPerEpoch',
  'numTrainEpochs',
] as const;

/** Fills in defaults. Throws `ConfigError` naming the argument that cannot be used. */
export function resolveArguments(
  given: Partial<TrainingArguments> & { outputDir: string },
): TrainingArguments {
  const args: TrainingArguments = { ...defaultTrainingArguments, ...given };
  for (const name of positiveIntegers) {
    if (!Number.isInteger(args[name]) || args[name] < 1)
      throw new ConfigError(`${name} is ${args[name]}`, { remedy: 'use an integer of 1 or more' });
  }
  if (!Number.isSafeInteger(args.maxSteps))
    throw new ConfigError(`maxSteps is ${args.maxSteps}`, {
      remedy: 'use an integer; with -1 the epochs decide',
    });
  for (const name of notNegative) {
    if (!(args[name] >= 0) || !Number.isFinite(args[name]))
      throw new ConfigError(`${name} is ${args[name]}`, { remedy: 'use a number of 0 or more' });
  }
  if (args.evalSteps !== null && (!Number.isInteger(args.evalSteps) || args.evalSteps < 1))
    throw new ConfigError(`evalSteps is ${args.evalSteps}`, { remedy: 'use an integer of 1 or more' });
  if (!schedulerTypes.includes(args.lrSchedulerType)) {
    throw new ConfigError(`lrSchedulerType is '${args.lrSchedulerType}'`, {
      remedy: `use one of ${schedulerTypes.join(', ')}`,
    });
  }
  checkSeed(args.seed);
  if (args.maxSteps <= 0 && args.numTrainEpochs === 0)
    throw new ConfigError('numTrainEpochs is 0', { remedy: 'train for some epochs or steps' });
  if (args.loadBestModelAtEnd && args.evalStrategy === 'no') {
    throw new ConfigError('loadBestModelAtEnd needs evaluations', {
      remedy: "set evalStrategy to 'epoch' or 'steps'",
    });
  }
  return args;
}

/** Whether a larger value of the metric is better, by its name where the arguments do not say. */
export function isGreaterBetter(args: TrainingArguments): boolean {
  return args.greaterIsBetter ?? !/loss|error|mse|mae|perplexity/i.test(args.metricForBestModel ?? 'loss');
}
