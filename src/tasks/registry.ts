/** The tasks, and which of them a file or a model is for. */
import type { TableOptions } from '../data/table.ts';
import { ConfigError, DataError, UsageError } from '../errors.ts';
import type { PretrainedConfig } from '../models/common/config.ts';
import { knownFamily } from '../models/config.ts';
import { isFewShotFolder, isSentenceFolder } from '../sentence/folder.ts';
import { readFront } from './file-front.ts';
import { fillMask } from './fill-mask.ts';
import { multipleChoice } from './multiple-choice.ts';
import { questionAnswering } from './question-answering.ts';
import { sentenceSimilarity } from './sentence-similarity.ts';
import type { Task, TaskFile } from './task.ts';
import { textClassification } from './text-classification.ts';
import { tokenClassification } from './token-classification.ts';

/** Those that recognize a file by more come first: any file may be one of texts. */
export const tasks: readonly Task[] = [
  questionAnswering,
  multipleChoice,
  tokenClassification,
  sentenceSimilarity,
  textClassification,
  fillMask,
];

export const taskNames: readonly string[] = tasks.map(({ name }) => name);

/** Throws `UsageError` for an unknown name. */
export function taskNamed(name: string): Task {
  const task = tasks.find((one) => one.name === name);
  if (task !== undefined) return task;
  throw new UsageError(`there is no task '${name}'`, { remedy: `use ${taskNames.join(', ')}` });
}

/** The task that a file looks like, and why; a file that cannot be read is left to the reader of texts. */
export async function taskOfFile(path: string, options: TableOptions): Promise<{ task: Task; why: string }> {
  const front = await readFront(path, options).catch(() => null);
  for (const task of front === null ? [] : tasks) {
    const why = task.looks(front!);
    if (why !== null) return { task, why };
  }
  return { task: textClassification as Task, why: 'nothing says otherwise' };
}

/** The task that a model was trained for, by the `architectures` of its config. Throws `ConfigError`. */
export function taskOfModel(folder: string, config: PretrainedConfig): Task {
  const [architecture] = [config.raw.architectures].flat();
  const { tasks: classes, Model } = knownFamily(config.modelType);
  if (architecture === Model.name) return sentenceSimilarity as Task;
  const found = tasks.find(({ model }) => model !== null && classes[model]?.name === architecture);
  if (found !== undefined) return found;
  if (architecture === undefined) return textClassification as Task;
  throw new ConfigError(`'${folder}' is a ${String(architecture)}, which no task trains`, {
    remedy: `fine-tune it first, or pass --task: ${taskNames.join(', ')}`,
  });
}

/** As `taskOfModel`, for a folder that may be one of sentence-transformers. */
export async function taskOfFolder(folder: string, config: PretrainedConfig): Promise<Task> {
  if (!(await isSentenceFolder(folder))) return taskOfModel(folder, config);
  return ((await isFewShotFolder(folder)) ? textClassification : sentenceSimilarity) as Task;
}

/** Options of `readTable` by the command's names. */
const columnOptions = {
  textColumn: '--text-column',
  textPairColumn: '--pair-column',
  labelColumn: '--label-column',
  header: '--header',
  delimiter: '--delimiter',
} as const;

export interface Reading {
  /** The file that the task was told from, which is not looked at again. */
  told?: string | undefined;
  /** In place of the task's `read`. */
  read?: (path: string) => Promise<TaskFile<unknown>>;
}

/**
 * Reads a file for a task. Throws `UsageError` for an option that does not go with its files, and `DataError`
 * naming the task that the file looks like if it is another: a file of texts serves fill-mask too, one of
 * texts or pairs sentence-similarity, and chosen columns may make texts of any file.
 */
export async function readFor(
  task: Task,
  path: string,
  options: TableOptions,
  { told, read = (file) => task.read(file, options) }: Reading = {},
): Promise<TaskFile<unknown>> {
  for (const [name, option] of Object.entries(columnOptions))
    if (
      options[name as keyof TableOptions] !== undefined &&
      task.columns?.includes(name as keyof TableOptions) === false
    )
      throw new UsageError(`${option} says nothing about files of ${task.name}`, { remedy: 'leave it out' });
  if (path === told) return read(path);
  const { task: likely, why } = await taskOfFile(path, options);
  const chosen = options.textColumn !== undefined && ['text-classification', 'fill-mask'].includes(task.name);
  const texts = task === fillMask && likely === textClassification;
  const sets = task === sentenceSimilarity && [textClassification, fillMask].includes(likely as never);
  if (likely === task || chosen || texts || sets) return read(path);
  throw new DataError(`${path} looks like ${likely.name} (${why}), and ${task.name} takes ${task.files}`, {
    remedy: `pass --task ${likely.name}, or another file`,
  });
}
