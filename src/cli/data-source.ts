/** Where a command's data come from: files, or a split of a data set on the hub. */
import { type DatasetSplit, type HubDataset, hubDataset } from '../data/hub-dataset.ts';
import type { TableOptions } from '../data/table.ts';
import { UsageError } from '../errors.ts';
import { dataFiles, readAll } from '../tasks/read.ts';
import type { Reading } from '../tasks/registry.ts';
import type { Task, TaskFile } from '../tasks/task.ts';
import { downloadProgress } from './progress.ts';

export interface DatasetOptions {
  dataset?: string;
  datasetConfig?: string;
  split?: string;
}

/** Options of a data set, in commander's syntax. */
export const datasetOption = [
  '--dataset <id>',
  'data set of the hub: owner/name, or glue/sst2 with its configuration',
] as const;
export const configOption = ['--dataset-config <name>', 'configuration (subset) of the data set'] as const;

/** What is read as one: files, and the split that they are of. */
export interface DataSource {
  paths: string | readonly string[];
  split?: DatasetSplit;
}

/** The data set asked for, or null. Throws `UsageError` for options of one that is not named. */
export async function openDataset(
  options: DatasetOptions,
  splits: Record<string, unknown>,
): Promise<HubDataset | null> {
  const { dataset, datasetConfig } = options;
  if (dataset !== undefined)
    return hubDataset(dataset, {
      onProgress: downloadProgress(),
      ...(datasetConfig !== undefined && { config: datasetConfig }),
    });
  for (const [name, value] of Object.entries({ '--dataset-config': datasetConfig, ...splits }))
    if (value !== undefined)
      throw new UsageError(`${name}: there is no data set`, { remedy: 'pass --dataset' });
  return null;
}

/**
 * Files if there are some, else a split of the data set; null without either. Throws `UsageError` for both.
 */
export async function sourceOf(
  dataset: HubDataset | null,
  given: {
    files: [name: string, value: string | string[] | undefined];
    split: [name: string, value: string | undefined];
  },
): Promise<DataSource | null> {
  const [[filesName, files], [splitName, split]] = [given.files, given.split];
  if (files !== undefined && split !== undefined)
    throw new UsageError(`there are ${filesName} and ${splitName}`, { remedy: 'give one of them' });
  if (files !== undefined) return { paths: files };
  if (split === undefined || dataset === null) return null;
  const found = await dataset.split(split);
  return { paths: found.files, split: found };
}

/** The data of a command that reads one source. Throws `UsageError` unless there is exactly one. */
export async function onlySource(
  options: DatasetOptions & { data?: string | string[] },
): Promise<DataSource> {
  const dataset = await openDataset(options, { '--split': options.split });
  if (dataset !== null && options.split === undefined && options.data === undefined)
    throw new UsageError('--split is missing', { remedy: `name one of ${dataset.splits.join(', ')}` });
  if (dataset !== null && options.data !== undefined)
    throw new UsageError('there are --data and --dataset', { remedy: 'give one of them' });
  const source = await sourceOf(dataset, {
    files: ['--data', options.data],
    split: ['--split', options.split],
  });
  if (source === null)
    throw new UsageError('there are no data', { remedy: 'pass --data, or --dataset and --split' });
  return source;
}

/** A table's options, and what the data set says about its files. */
export const optionsOf = ({ split }: DataSource, options: TableOptions): TableOptions =>
  split === undefined ? options : { ...options, classNames: split.classNames };

/** Reads a source for a task. Throws as `readAll` does. */
export async function readSource(
  task: Task,
  source: DataSource,
  options: TableOptions,
  reading: Reading = {},
): Promise<TaskFile<unknown>> {
  const file = await readAll(task, source.paths, optionsOf(source, options), reading);
  return source.split === undefined ? file : { ...file, path: source.split.name };
}

/** The first file, by which a task is told. */
export async function firstFile({ paths }: DataSource): Promise<string> {
  return (await dataFiles(paths))[0]!;
}
