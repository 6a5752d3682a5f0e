/**
 * Whether a training can go on from a checkpoint with the arguments and data it has now, and what is to be
 * said of it.
 */
import * as v from 'valibot';
import type { Dataset, Example } from '../data/dataset.ts';
import { callUser } from '../data/example-checks.ts';
import { CheckpointError, ConfigError } from '../errors.ts';
import { checkJson, parseJsonObject } from '../models/files/json.ts';
import { defaultTrainingArguments, type TrainingArguments } from './arguments.ts';
import type { Progress } from './progress.ts';
import type { TrainerState } from './state.ts';

/**
 * What another value than the checkpoint's means. `place`: the checkpoint's place in the data would be
 * another, so it is refused; `course`: it holds from here on, which is said; `best`: the best model is looked
 * for anew, which is said; `free`: nothing.
 */
type Effect = 'place' | 'course' | 'best' | 'free';

const effects: Record<keyof TrainingArguments, Effect> = {
  outputDir: 'free',
  numTrainEpochs: 'course',
  maxSteps: 'course',
  perDeviceTrainBatchSize: 'place',
  perDeviceEvalBatchSize: 'free',
  learningRate: 'course',
  weightDecay: 'course',
  adamBeta1: 'course',
  adamBeta2: 'course',
  adamEpsilon: 'course',
  fp16: 'course',
  maxGradNorm: 'course',
  lrSchedulerType: 'course',
  warmupSteps: 'course',
  gradientAccumulationSteps: 'place',
  loggingSteps: 'course',
  loggingFirstStep: 'free',
  evalStrategy: 'course',
  evalSteps: 'course',
  saveStrategy: 'course',
  saveSteps: 'course',
  saveTotalLimit: 'free',
  loadBestModelAtEnd: 'best',
  metricForBestModel: 'best',
  greaterIsBetter: 'best',
  seed: 'place',
  groupByLength: 'place',
  dataloaderDropLast: 'place',
  freezeEncoderEpochs: 'course',
  unfreezeLayersPerEpoch: 'course',
};

/** A value of the type that the default has; a default of null stands for a string, a number or a boolean. */
function like(value: unknown): v.GenericSchema {
  if (value === null) return v.nullable(v.union([v.string(), v.number(), v.boolean()]));
  return typeof value === 'number' ? v.number() : typeof value === 'boolean' ? v.boolean() : v.string();
}

/** An argument that is not there is one that the version that saved it did not have: its default holds. */
const savedSchema = v.looseObject(
  Object.fromEntries(
    Object.entries(defaultTrainingArguments).map(([name, value]) => [name, v.optional(like(value), value)]),
  ),
);

type Saved = Record<string, unknown>;

/**
 * Reads training_args.json. Throws `CheckpointError` naming the file and the argument that cannot be used.
 */
export function savedArguments(text: string, source: string): Saved {
  const file = { source, error: CheckpointError, remedy: 'resume from another checkpoint' };
  return checkJson(savedSchema, parseJsonObject(text, file), file);
}

export interface Comparison {
  /** Lines for people. */
  notes: string[];
  /** Batches now for one of the checkpoint's. */
  batchRatio: number;
  /** Whether what the checkpoint says of the best model no longer holds. */
  bestIsVoid: boolean;
}

/** Whether a step has the same texts, though in more or fewer batches. */
function sameSteps(before: Saved, now: TrainingArguments): boolean {
  const texts = (args: Saved): number =>
    Number(args.perDeviceTrainBatchSize) * Number(args.gradientAccumulationSteps);
  const ordered = (args: Saved): boolean => args.groupByLength === false && args.dataloaderDropLast === false;
  return texts(before) === texts({ ...now }) && ordered(before) && ordered({ ...now });
}

const show = (value: unknown): string => (typeof value === 'string' ? `'${value}'` : String(value));

/**
 * Holds the arguments against those of a checkpoint. Throws `ConfigError` naming the first argument with
 * which the checkpoint's place in the data would be lost.
 */
export function compareArguments(before: Saved, now: TrainingArguments, checkpoint: string): Comparison {
  const same = sameSteps(before, now);
  const split = ['perDeviceTrainBatchSize', 'gradientAccumulationSteps'];
  const texts = Number(before.perDeviceTrainBatchSize) * Number(before.gradientAccumulationSteps);
  const notes: string[] = [];
  let bestIsVoid = false;
  for (const name of Object.keys(effects) as (keyof TrainingArguments)[]) {
    const [old, value] = [before[name], now[name]];
    if (old === value || effects[name] === 'free') continue;
    const what = `${name} is ${show(value)}, in '${checkpoint}' it was ${show(old)}`;
    if (effects[name] === 'place' && !(same && split.includes(name))) {
      const product = `, or keep perDeviceTrainBatchSize times gradientAccumulationSteps at ${texts}`;
      throw new ConfigError(what, {
        remedy: `resume with ${name} ${String(old)}${split.includes(name) ? product : ''}: texts would be trained twice or not at all`,
      });
    }
    if (effects[name] === 'best') bestIsVoid = true;
    const how = effects[name] === 'best' ? 'the best model is looked for anew' : 'it holds from here on';
    notes.push(effects[name] === 'place' ? `${what}: a step has the same texts` : `${what}: ${how}`);
  }
  return {
    notes,
    batchRatio: Number(before.perDeviceTrainBatchSize) / now.perDeviceTrainBatchSize,
    bestIsVoid,
  };
}

/** Examples a digest looks at. */
const SAMPLED = 256;

/**
 * The number of examples, and a digest (FNV-1a) of some of them: others' data is found out by it, not every
 * changed word.
 */
export function dataMark(dataset: Dataset): { examples: number; digest: string } {
  let hash = 0x811c9dc5;
  const take = (value: number): void => {
    for (const byte of new Uint8Array(Float64Array.of(value).buffer))
      hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  };
  const every = Math.max(1, Math.floor(dataset.length / SAMPLED));
  for (let index = 0; index < dataset.length; index += every) {
    const example = callUser(`the dataset's get(${index})`, () => dataset.get(index));
    // Examples for a collator of the user's own may look otherwise.
    const { inputIds, label } = (example ?? {}) as Partial<Example>;
    // What cannot be trained on is told of by the collator.
    const ids = Array.from(inputIds ?? [], Number);
    take(ids.length);
    for (const id of ids) take(id);
    for (const value of [label ?? -1].flat()) take(Number(value));
  }
  return { examples: dataset.length, digest: hash.toString(16).padStart(8, '0') };
}

/**
 * A note where the data is other than the checkpoint's. Throws `ConfigError` where it has another number of
 * examples.
 */
export function compareData(
  before: Progress['data'],
  now: NonNullable<Progress['data']>,
  checkpoint: string,
): string[] {
  if (before === undefined) return [];
  if (before.examples !== now.examples) {
    throw new ConfigError(
      `there are ${now.examples} training examples, in '${checkpoint}' there were ${before.examples}`,
      { remedy: 'resume with the data the training began with, or start a new one from the checkpoint' },
    );
  }
  if (before.digest === now.digest) return [];
  return [
    `the training data is not what it was in '${checkpoint}': examples may be trained twice or not at all`,
  ];
}

/**
 * Throws `CheckpointError` where the files of a checkpoint do not say the same of where the training stood.
 */
export function checkPlace(
  { state, progress, saved }: { state: TrainerState; progress: Progress; saved: Saved },
  examples: number,
  checkpoint: string,
): void {
  const wrong = (what: string): CheckpointError =>
    new CheckpointError(`${checkpoint}: ${what}`, { remedy: 'resume from another checkpoint' });
  const [size, accumulation] = [saved.perDeviceTrainBatchSize, saved.gradientAccumulationSteps] as [
    number,
    number,
  ];
  if (!(size >= 1 && accumulation >= 1))
    throw wrong(`training_args.json has batches of ${size}, ${accumulation} a step`);
  if (state.trainBatchSize !== size)
    throw wrong(
      `trainer_state.json has train_batch_size ${state.trainBatchSize}, training_args.json perDeviceTrainBatchSize ${size}`,
    );
  const batches =
    saved.dataloaderDropLast === true ? Math.floor(examples / size) : Math.ceil(examples / size);
  const step = progress.epoch * Math.ceil(batches / accumulation) + progress.batch / accumulation;
  if (progress.batch >= batches || step !== state.globalStep)
    throw wrong(
      `progress.json has epoch ${progress.epoch}, batch ${progress.batch}, which is not trainer_state.json's global_step ${state.globalStep}`,
    );
  if (progress.schedulerStep !== state.globalStep)
    throw wrong(
      `progress.json has schedulerStep ${progress.schedulerStep}, trainer_state.json global_step ${state.globalStep}`,
    );
  const ahead = Object.entries(progress.optimizerSteps).find(([, taken]) => taken > state.globalStep);
  if (ahead !== undefined || progress.lossSteps > state.globalStep)
    throw wrong(`progress.json counts more steps than trainer_state.json's ${state.globalStep}`);
}
