/** Decides whether a training can continue from a checkpoint with its present arguments and data. */
import * as v from 'valibot';
import type { Example, Settings } from '../data/dataset.ts';
import { callUser } from '../data/example-checks.ts';
import { isStream, type TrainDataset } from '../data/stream.ts';
import { CheckpointError, ConfigError } from '../errors.ts';
import {
  argumentNames,
  argumentTable,
  defaultTrainingArguments,
  type TrainingArguments,
} from './arguments.ts';
import type { Progress } from './progress.ts';
import { readSaved, type TrainerState } from './state.ts';

/** The schema of an argument: a value of its default's type; any, if the default is null. */
function like(value: unknown): v.GenericSchema {
  const plain = v.union([v.string(), v.number(), v.boolean()]);
  if (value === null) return v.nullable(v.union([plain, v.array(plain), v.record(v.string(), plain)]));
  if (value === 'none') return v.union([v.literal('none'), v.array(v.string())]);
  return typeof value === 'number' ? v.number() : typeof value === 'boolean' ? v.boolean() : v.string();
}

/** A missing argument is newer than the checkpoint, and has its default. */
const savedSchema = v.looseObject(
  Object.fromEntries(
    Object.entries(defaultTrainingArguments).map(([name, value]) => [name, v.optional(like(value), value)]),
  ),
);

/** Arguments as checkpoints have them. A value that may be null here is of any type there. */
export type SavedArguments = Omit<TrainingArguments, 'outputDir'>;

/**
 * Reads training_args.json. Throws `CheckpointError` naming the file and the argument that cannot be used.
 */
export function savedArguments(text: string, source: string): SavedArguments {
  return readSaved(savedSchema, text, source) as unknown as SavedArguments;
}

export interface Comparison {
  /** Lines for people. */
  notes: string[];
  /** How many batches of now make one of the checkpoint's. */
  batchRatio: number;
  /** Whether the checkpoint's best model no longer counts. */
  bestIsVoid: boolean;
}

/** Arguments of a training, and the number of its processes. */
type Split = SavedArguments & { processes: number };

/** Texts that all processes take together. */
const textsPerBatch = (args: Split): number => args.perDeviceTrainBatchSize * args.processes;
const textsPerStep = (args: Split): number => textsPerBatch(args) * args.gradientAccumulationSteps;

/** Whether each step has the same texts, even if in more or fewer batches. */
function sameSteps(before: Split, now: Split): boolean {
  const ordered = [before, now].every((args) => !args.groupByLength && !args.dataloaderDropLast);
  const sameBatches = textsPerBatch(before) === textsPerBatch(now);
  return (ordered || sameBatches) && textsPerStep(before) === textsPerStep(now);
}

const show = (value: unknown): string =>
  typeof value === 'string'
    ? `'${value}'`
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value);

const difference = (name: string, value: unknown, old: unknown, checkpoint: string): string =>
  `${name} is ${show(value)}, in '${checkpoint}' it was ${show(old)}`;

const courseNote = (...differing: Parameters<typeof difference>): string =>
  `${difference(...differing)}: it holds from here on`;

const same = (a: unknown, b: unknown): boolean => a === b || show(a) === show(b);

/**
 * Compares the arguments with those of a checkpoint. Throws `ConfigError` naming the first argument that
 * would move the checkpoint's place in the data.
 */
export function compareArguments(
  before: SavedArguments,
  now: SavedArguments,
  checkpoint: string,
  { processes, before: processesBefore }: { processes: number; before: number } = { processes: 1, before: 1 },
): Comparison {
  const [was, is] = [
    { ...before, processes: processesBefore },
    { ...now, processes },
  ];
  const sameTexts = sameSteps(was, is);
  const split = ['perDeviceTrainBatchSize', 'gradientAccumulationSteps', 'processes'];
  const notes: string[] = [];
  let bestIsVoid = false;
  for (const name of [...argumentNames, 'processes'] as const) {
    const [old, value] = [was[name], is[name]];
    const effect = name === 'processes' ? 'place' : argumentTable[name].resume;
    if (same(old, value) || effect === 'free') continue;
    const what = difference(name, value, old, checkpoint);
    if (effect === 'state')
      throw new ConfigError(what, {
        remedy: `resume with ${name} ${show(old)}: its state is of another kind`,
      });
    if (effect === 'place' && !(sameTexts && split.includes(name))) {
      const product = `, or keep perDeviceTrainBatchSize times gradientAccumulationSteps${processes * processesBefore > 1 ? ' times processes' : ''} at ${textsPerStep(was)}`;
      throw new ConfigError(what, {
        remedy: `resume with ${name} ${show(old)}${split.includes(name) ? product : ''}: texts would be trained twice or not at all`,
      });
    }
    if (effect === 'best') bestIsVoid = true;
    const how = effect === 'best' ? 'the best model is looked for anew' : 'it holds from here on';
    notes.push(effect === 'place' ? `${what}: a step has the same texts` : `${what}: ${how}`);
  }
  const batchRatio = textsPerBatch(was) / textsPerBatch(is);
  return { notes, batchRatio, bestIsVoid };
}

/** A digest covers about this many examples, up to twice as many. */
const SAMPLED = 256;

/**
 * The number of examples, and a digest (FNV-1a) of some of them, which tells other data but not every changed
 * word.
 */
export function dataMark(dataset: TrainDataset): NonNullable<Progress['data']> {
  const { settings } = dataset;
  if (isStream(dataset))
    return { examples: dataset.length, digest: dataset.digest, buffer: dataset.bufferSize, settings };
  let hash = 0x811c9dc5;
  const take = (value: number): void => {
    for (const byte of new Uint8Array(Float64Array.of(value).buffer))
      hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  };
  const every = Math.max(1, Math.floor(dataset.length / SAMPLED));
  for (let index = 0; index < dataset.length; index += every) {
    const example = callUser(`the dataset's get(${index})`, () => dataset.get(index));
    // Examples for a custom collator may have other keys.
    const { inputIds, label, startPositions, endPositions } = (example ?? {}) as Partial<Example>;
    // The collator reports what cannot be trained on.
    const ids = Array.from(inputIds ?? [], Number);
    take(ids.length);
    for (const id of ids) take(id);
    for (const value of [label ?? -1, startPositions ?? [], endPositions ?? []].flat()) take(Number(value));
  }
  return { examples: dataset.length, digest: hash.toString(16).padStart(8, '0'), settings };
}

/**
 * Returns a note for each setting of the data that differs from the checkpoint's, and one if the data itself
 * does. Throws `ConfigError` for another number of examples.
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
  if (before.buffer !== now.buffer) {
    const shown = ({ buffer }: NonNullable<Progress['data']>): string =>
      buffer === undefined ? 'all data in memory' : `a buffer of ${buffer}`;
    throw new ConfigError(`rows are drawn from ${shown(now)}, in '${checkpoint}' from ${shown(before)}`, {
      remedy: 'resume with the same, or start a new training from the checkpoint',
    });
  }
  const notes = compareSettings(before.settings, now.settings, checkpoint);
  if (before.digest !== now.digest)
    notes.push(
      `the training data is not what it was in '${checkpoint}': examples may be trained twice or not at all`,
    );
  return notes;
}

/** A note for each setting that both have, and that differs: a checkpoint may be older than a setting. */
function compareSettings(before: Settings = {}, now: Settings = {}, checkpoint: string): string[] {
  return Object.entries(now).flatMap(([name, value]) => {
    const old = before[name];
    return old === undefined || same(old, value) ? [] : [courseNote(name, value, old, checkpoint)];
  });
}

/** The state of a training at a checkpoint, and its arguments. */
export interface Standing {
  state: TrainerState;
  progress: Progress;
  /** The content of training_args.json. */
  saved: SavedArguments;
}

/** Throws `CheckpointError` if the files of a checkpoint disagree on the training's place. */
export function checkPlace({ state, progress, saved }: Standing, examples: number, checkpoint: string): void {
  const wrong = (what: string): CheckpointError =>
    new CheckpointError(`${checkpoint}: ${what}`, { remedy: 'resume from another checkpoint' });
  const { perDeviceTrainBatchSize: each, gradientAccumulationSteps: accumulation } = saved;
  if (!(each >= 1 && accumulation >= 1))
    throw wrong(`training_args.json has batches of ${each}, ${accumulation} a step`);
  if (state.trainBatchSize !== each)
    throw wrong(
      `trainer_state.json has train_batch_size ${state.trainBatchSize}, training_args.json perDeviceTrainBatchSize ${each}`,
    );
  const size = each * (progress.processes ?? 1);
  const batches = saved.dataloaderDropLast ? Math.floor(examples / size) : Math.ceil(examples / size);
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
