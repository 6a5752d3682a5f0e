/** Reads the data of `dawngrad finetune`. */
import { holdOut } from '../tasks/read.ts';
import { taskNamed, taskOfFile } from '../tasks/registry.ts';
import type { Task, TaskFile } from '../tasks/task.ts';
import { firstFile, openDataset, readSource, sourceOf } from './data-source.ts';
import type { FinetuneOptions } from './finetune.ts';
import { required, tableOptions } from './options.ts';
import { type Streamed, surveySource } from './streaming.ts';
import { checkTaskOptions } from './task-options.ts';
import { checkKept } from './write.ts';

/** The data of a training. */
export interface Files {
  train: TaskFile<unknown>;
  eval: TaskFile<unknown> | null;
  test: TaskFile<unknown> | null;
}

/** Reads the data for the task asked for, or for the one that the training data look like. */
export async function readFiles(options: FinetuneOptions): Promise<{
  task: Task;
  files: Files;
  dataset: string | null;
  streamed: Streamed | null;
}> {
  const { evalSplit, testSplit, split } = options;
  const dataset = await openDataset(options, {
    '--split': split,
    '--eval-split': evalSplit,
    '--test-split': testSplit,
  });
  const trainSplit = dataset === null ? undefined : (split ?? 'train');
  const source = await sourceOf(dataset, {
    files: ['--train', options.train],
    split: ['--split', trainSplit],
  });
  const training = required(source ?? undefined, '--train (or --dataset)');
  const table = tableOptions(options, true);
  const told = options.task === undefined ? await firstFile(training) : undefined;
  const task = told === undefined ? taskNamed(options.task!) : (await taskOfFile(told, table)).task;
  checkTaskOptions(options, task);
  checkKept(options.predictions, task);
  const read = async (files: string | string[] | undefined, name: string, part: string | undefined) => {
    const some = await sourceOf(dataset, { files: [name, files], split: [`${name}-split`, part] });
    return some === null ? null : readSource(task, some, table);
  };
  const streamed =
    options.streaming === true ? await surveySource(task, training, table, options, told) : null;
  const whole = streamed?.file ?? (await readSource(task, training, table, { told }));
  const test = await read(options.test, '--test', testSplit);
  const [train, held] =
    options.trainSplit === undefined
      ? [whole, await read(options.eval, '--eval', evalSplit)]
      : holdOut(task, whole, options.trainSplit, options.seed);
  const files = { train, eval: held, test };
  const all = [files.train, files.eval, files.test].filter((file) => file !== null);
  task.check?.(all);
  for (const file of all) for (const line of file.about) console.error(line);
  return { task, files, dataset: dataset?.id ?? null, streamed };
}
