/** Checkpoints: everything that a training needs to continue as if never interrupted. */
import { platform } from '#platform';
import { joined } from '../arrays.ts';
import { CheckpointError, ConfigError, FileError } from '../errors.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { CONFIG_NAME, openCheckpoint, WEIGHTS_NAME } from '../models/files/checkpoint-files.ts';
import { TOKENIZER_FILES } from '../models/files/hub.ts';
import { openSafetensors, type SafetensorsFile } from '../models/files/safetensors-reader.ts';
import { type TensorToWrite, writeSafetensors } from '../models/files/safetensors-writer.ts';
import { partToWrite, writeModel } from '../models/files/save.ts';
import { type FileWeight, storedWeights } from '../models/files/weight-names.ts';
import { hasConfig, openAdapter } from '../models/peft/files.ts';
import { ADAPTER_CONFIG_NAME, ADAPTER_WEIGHTS_NAME } from '../models/peft/names.ts';
import { type Optimizer, type SavedState, type StateKind, stateKinds } from '../optim/optimizer.ts';
import { snakeCase } from '../options.ts';
import type { FolderWriter } from '../platform/contract.ts';
import { formatShape, sameShape, sizeOf } from '../tensor/shape.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import type { TrainingArguments } from './arguments.ts';
import { type Progress, progressFromJson } from './progress.ts';
import { checkPlace, type Standing, savedArguments } from './resume.ts';
import { stateFromJson, stateToJson, type TrainerState } from './state.ts';

export const TRAINER_STATE_NAME = 'trainer_state.json';
const TRAINING_ARGS_NAME = 'training_args.json';
const OPTIMIZER_NAME = 'optimizer.safetensors';
const PROGRESS_NAME = 'progress.json';
const CHECKPOINT = /^checkpoint-(\d+)$/;

export interface CheckpointContent {
  model: PreTrainedModel;
  tokenizer: PreTrainedTokenizer | undefined;
  optimizer: Optimizer;
  args: TrainingArguments;
  state: TrainerState;
  progress: Omit<Progress, 'optimizerSteps'>;
}

export function checkpointPath(outputDir: string, step: number): string {
  return platform.joinPath(outputDir, `checkpoint-${step}`);
}

/** Writes `checkpoint-<step>` whole or not at all; returns its path. */
export async function saveCheckpoint(content: CheckpointContent): Promise<string> {
  const { model, optimizer, args, state, progress } = content;
  const path = checkpointPath(args.outputDir, state.globalStep);
  const optimizerSteps: Record<string, number> = {};
  const tensors: TensorToWrite[] = [];
  for (const { name, ...weight } of storedWeights(model.savedWeights())) {
    const kept = optimizer.state?.(weight.tensor);
    if (kept === undefined) continue;
    optimizerSteps[name] = kept.step;
    for (const kind of stateKinds) {
      const view = kept[kind];
      if (view !== undefined)
        tensors.push(partToWrite(keyOf(kind, name), view, shareOf(weight, sizeOf(view.shape))));
    }
  }
  await platform.writeFolder(path, 'replace', async (folder) => {
    await writeFinal(folder, content);
    await folder.writeFile(OPTIMIZER_NAME, (sink) => writeSafetensors(sink, tensors));
    await writeJson(folder, PROGRESS_NAME, { ...progress, optimizerSteps });
  });
  return path;
}

/** What checkpoints and the finished model's folder have in common. */
type FinalContent = Pick<CheckpointContent, 'model' | 'tokenizer' | 'args' | 'state'>;

async function writeFinal(
  folder: FolderWriter,
  { model, tokenizer, args, state }: FinalContent,
): Promise<void> {
  await writeModel(folder, model);
  await tokenizer?.write(folder);
  await writeJson(folder, TRAINER_STATE_NAME, stateToJson(state));
  await writeJson(folder, TRAINING_ARGS_NAME, args);
}

function writeJson(folder: FolderWriter, name: string, content: object): Promise<void> {
  return folder.writeText(name, `${JSON.stringify(content, null, 2)}\n`);
}

/** Numbers and paths of the checkpoints in a folder, oldest first. */
export async function listCheckpoints(outputDir: string): Promise<{ step: number; path: string }[]> {
  if (!(await platform.isFolder(outputDir))) return [];
  const found = (await platform.list(outputDir)).flatMap((name) => {
    const step = CHECKPOINT.exec(name)?.[1];
    return step === undefined ? [] : [{ step: Number(step), path: platform.joinPath(outputDir, name) }];
  });
  return found.sort((a, b) => a.step - b.step);
}

/** The newest checkpoint in a folder. Throws `FileError` if there is none. */
export async function lastCheckpoint(outputDir: string): Promise<string> {
  const last = (await listCheckpoints(outputDir)).at(-1);
  if (last === undefined) {
    throw new FileError(`there is no checkpoint in '${outputDir}'`, {
      remedy: 'start without --resume, or name the folder of the interrupted training',
    });
  }
  return last.path;
}

/** Reads one of a checkpoint's files. Throws `CheckpointError` if it is missing, and as `parse` does. */
async function readPart<T>(
  folder: string,
  name: string,
  parse: (text: string, path: string) => T,
): Promise<T> {
  const path = platform.joinPath(folder, name);
  if (!(await platform.exists(path)))
    throw new CheckpointError(`'${path}' is missing`, {
      remedy: 'resume from a checkpoint this engine wrote',
    });
  return parse(await platform.readText(path), path);
}

/**
 * Reads the state of a training. Throws `CheckpointError` naming the file and the key that is missing, broken
 * or inconsistent with another.
 */
export async function readStanding(folder: string): Promise<Standing> {
  if (!(await platform.isFolder(folder)))
    throw new FileError(`checkpoint '${folder}' does not exist`, { remedy: 'check the path' });
  const standing = {
    state: await readPart(folder, TRAINER_STATE_NAME, stateFromJson),
    progress: await readPart(folder, PROGRESS_NAME, progressFromJson),
    saved: await readPart(folder, TRAINING_ARGS_NAME, savedArguments),
  };
  const { data } = standing.progress;
  if (data !== undefined) checkPlace(standing, data.examples, folder);
  return standing;
}

/**
 * Finds the best checkpoint of a resumed training: its folder may have moved, or the output be another one.
 */
export async function findBest(
  { bestModelCheckpoint, bestGlobalStep }: TrainerState,
  { outputDir, checkpoint }: { outputDir: string; checkpoint: string },
): Promise<string | null> {
  if (bestModelCheckpoint === null || bestGlobalStep === null) return null;
  const here = checkpointPath(outputDir, bestGlobalStep);
  const beside = checkpointPath(platform.joinPath(checkpoint, '..'), bestGlobalStep);
  for (const path of [here, beside, bestModelCheckpoint]) if (await platform.isFolder(path)) return path;
  return here;
}

/** Fills model and optimizer from a checkpoint. Throws `CheckpointError` if it does not fit the model. */
export async function loadCheckpoint(
  path: string,
  { optimizerSteps }: Progress,
  model: PreTrainedModel,
  optimizer: Optimizer,
): Promise<void> {
  await loadWeights(path, model);
  const file = await openSafetensors(await platform.openFile(platform.joinPath(path, OPTIMIZER_NAME)));
  try {
    const weights = new Map(storedWeights(model.savedWeights()).map((weight) => [weight.name, weight]));
    const stepped = Object.entries(optimizerSteps).map(([name, step]) => {
      const weight = weights.get(name);
      if (weight === undefined)
        throw new CheckpointError(`${path}: the model has no weight '${name}'`, {
          remedy: 'resume with the model the training began with',
        });
      return { step, ...weight };
    });
    const strays = new Set(file.tensors.keys());
    for (const { name } of stepped) for (const kind of stateKinds) strays.delete(keyOf(kind, name));
    for (const stray of strays)
      throw new CheckpointError(`${path}: ${PROGRESS_NAME} has no optimizerSteps for '${stray}'`, {
        remedy: 'resume from another checkpoint',
      });
    if (optimizer.loadState === undefined)
      throw new ConfigError(`'${path}' cannot be resumed: the optimizer has no loadState`, {
        remedy: 'give it state and loadState, or start a new training from the weights of the checkpoint',
      });
    optimizer.reserve?.(stepped.map(({ tensor }) => tensor));
    for (const tensor of new Set(stepped.map((weight) => weight.tensor))) {
      const parts = stepped.filter((weight) => weight.tensor === tensor).sort((a, b) => a.offset - b.offset);
      optimizer.loadState(tensor, await readState(path, file, parts));
    }
  } finally {
    await file.close();
  }
}

/** A weight's state in the optimizer's file: `exp_avg_sq.` and the weight's name. */
const keyOf = (kind: StateKind, name: string): string => `${snakeCase(kind)}.${name}`;

/** What a file's part of a weight has of a state of `count` numbers for the whole weight. */
function shareOf(
  { tensor, shape, offset }: Omit<FileWeight, 'path'>,
  count: number,
): Pick<FileWeight, 'shape' | 'offset'> {
  if (count === tensor.size) return { shape, offset };
  const share = (elements: number): number => (elements * count) / tensor.size;
  return { shape: [share(sizeOf(shape))], offset: share(offset) };
}

/** Joins the state of a weight's parts. Throws `CheckpointError` if they have not taken the same steps. */
async function readState(
  path: string,
  file: SafetensorsFile,
  parts: readonly (FileWeight & { name: string; step: number })[],
): Promise<SavedState> {
  const [{ name, tensor, step }] = parts as [(typeof parts)[number]];
  const whole = parts.reduce((total, { shape }) => total + sizeOf(shape), 0) === tensor.size;
  if (!whole || parts.some((part) => part.step !== step))
    throw new CheckpointError(`${path}: the parts of '${name}' have not taken the same optimizer steps`, {
      remedy: 'resume from another checkpoint',
    });
  const state: SavedState = { step };
  for (const kind of stateKinds) {
    if (!file.tensors.has(keyOf(kind, name))) continue;
    const values: Float32Array[] = [];
    for (const part of parts) values.push(await file.readFloat32(keyOf(kind, part.name)));
    const odd = values.findIndex(({ length }) => length !== values[0]!.length);
    if (odd > 0)
      throw new CheckpointError(
        `${path}: '${keyOf(kind, parts[odd]!.name)}' has ${values[odd]!.length} elements, '${keyOf(kind, name)}' has ${values[0]!.length}`,
      );
    state[kind] = values.length === 1 ? values[0]! : joined(Float32Array, values);
  }
  return state;
}

/** Reads a checkpoint's weights, or an adapter's, into a model of the same shape. */
export async function loadWeights(path: string, model: PreTrainedModel): Promise<void> {
  const { adapters } = model;
  if (adapters !== null && adapters.active !== null) {
    const file = await openAdapter(path);
    return adapters.load(adapters.active, file, path).finally(() => file.close());
  }
  const checkpoint = await openCheckpoint(path);
  try {
    for (const { name, tensor, shape, offset } of storedWeights(model.fileWeights())) {
      const saved = checkpoint.entry(name).shape;
      if (!sameShape(saved, shape))
        throw new CheckpointError(
          `${path}: '${name}' is ${formatShape(saved)}, the model's is ${formatShape(shape)}`,
        );
      for await (const { elementOffset, values } of checkpoint.float32Chunks(name))
        tensor.write(values, offset + elementOffset);
    }
  } finally {
    await checkpoint.close();
  }
}

/** Names of weight files, and of the config beside them, in transformers, PEFT and here. */
const WEIGHT_FILE =
  /^(config\.json|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?|adapter_(config\.json|model\.safetensors))$/;

/**
 * Writes the finished model, tokenizer and state into the output folder. Removes files of an older model, and
 * keeps anything else.
 */
export async function saveFinal(content: FinalContent): Promise<void> {
  const { model, tokenizer, args, state } = content;
  const { adapters } = model;
  const weights = adapters === null ? [WEIGHTS_NAME] : [ADAPTER_WEIGHTS_NAME, ADAPTER_CONFIG_NAME];
  const config = adapters === null || hasConfig(adapters) ? [CONFIG_NAME] : [];
  const written = new Set([...config, ...weights, ...(tokenizer?.fileNames ?? [])]);
  await platform.writeFolder(args.outputDir, 'merge', async (folder) => {
    await writeFinal(folder, content);
    const log = state.logHistory.map((entry) => `${JSON.stringify(entry)}\n`);
    await folder.writeText('loss_log.jsonl', log.join(''));
  });
  // An older model's shards or tokenizer would be read together with the new files.
  const old = (name: string): boolean =>
    WEIGHT_FILE.test(name) || (tokenizer !== undefined && TOKENIZER_FILES.includes(name));
  for (const name of await platform.list(args.outputDir))
    if (old(name) && !written.has(name)) await platform.remove(platform.joinPath(args.outputDir, name));
}

/**
 * Deletes the oldest checkpoints beyond the limit, but never the best nor the one just written. Checkpoints
 * past the current step are left over from before a resume and go first.
 */
export async function rotateCheckpoints(args: TrainingArguments, state: TrainerState): Promise<void> {
  const { outputDir, saveTotalLimit } = args;
  if (saveTotalLimit === null || saveTotalLimit <= 0) return;
  const all = await listCheckpoints(outputDir);
  const kept = new Set([state.globalStep, ...(args.loadBestModelAtEnd ? [state.bestGlobalStep] : [])]);
  const others = all.filter(({ step }) => !kept.has(step));
  const stale = others.filter(({ step }) => step > state.globalStep);
  const queue = [...stale, ...others.filter(({ step }) => step < state.globalStep)];
  const surplus = Math.max(all.length - saveTotalLimit, 0);
  for (const { path } of queue.slice(0, surplus)) await platform.remove(path);
}

/** Removes unfinished files that killed trainings left in an output folder and its checkpoints. */
export async function sweepOutput(outputDir: string): Promise<void> {
  await platform.sweep(outputDir);
  for (const { path } of await listCheckpoints(outputDir)) await platform.sweep(path);
}

export async function removeCheckpoints(outputDir: string): Promise<void> {
  for (const { path } of await listCheckpoints(outputDir)) await platform.remove(path);
}

/** Whether a folder is empty, but for the `lost+found` of a volume that was just mounted. */
export async function isEmpty(path: string): Promise<boolean> {
  return (await platform.list(path)).every((name) => name === 'lost+found');
}

/** Whether a folder holds an output of this engine, which may be overwritten. */
export async function isTrainingOutput(path: string): Promise<boolean> {
  const ours = [CONFIG_NAME, WEIGHTS_NAME, ADAPTER_CONFIG_NAME, TRAINER_STATE_NAME];
  return (await platform.list(path)).some((name) => ours.includes(name) || CHECKPOINT.test(name));
}
