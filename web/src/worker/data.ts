/** Reads the data of a training, and says what they are. */
import {
  decideTask,
  encodeLabels,
  holdOut,
  type LabelSet,
  type TaskFile,
  type TextExample,
  type TextTable,
  textClassification as task,
} from 'dawngrad';
import type { ClassCount, DataReport, Settings } from '../contract.ts';

/** Where the files of a training are. */
export interface DataPaths {
  train: string;
  evaluation: string | null;
}

export interface Data {
  train: TaskFile<TextExample>;
  evaluation: TaskFile<TextExample>;
}

const SAMPLE = 3;

/** Throws `FileError` and `DataError` as `readTable` does. */
const read = (path: string): Promise<TaskFile<TextExample>> => task.read(path, {});

const tableOf = ({ path, examples }: TaskFile<TextExample>): TextTable => ({
  ...examples[0]!.table,
  path,
  rows: examples.map(({ row }) => row),
});

/** Reads both parts; without a file for evaluation, holds out a share of the training data. */
export async function readParts(
  paths: DataPaths,
  { heldOut, seed }: Pick<Settings, 'heldOut' | 'seed'>,
): Promise<Data> {
  const train = await read(paths.train);
  if (paths.evaluation === null) {
    const [rest, held] = holdOut(task, train, heldOut, seed);
    return { train: rest, evaluation: held };
  }
  const evaluation = await read(paths.evaluation);
  task.check?.([train, evaluation]);
  return { train, evaluation };
}

/** How many rows have each class; none for values. */
export function countClasses(table: TextTable, labels: LabelSet): ClassCount[] {
  if (labels.problemType === 'regression') return [];
  const counts = labels.names.map(() => 0);
  for (const label of encodeLabels(table, labels))
    for (const [id, one] of Array.isArray(label) ? label.entries() : [[label, 1] as const])
      counts[id]! += one;
  return labels.names.map((name, id) => ({ name, count: counts[id]! }));
}

/** Throws `FileError` and `DataError` for files that cannot be learned from. */
export async function describeData(paths: DataPaths): Promise<DataReport> {
  const file = await read(paths.train);
  const evaluation = paths.evaluation === null ? null : await read(paths.evaluation);
  if (evaluation !== null) task.check?.([file, evaluation]);
  const table = tableOf(file);
  const { labels, why, notes } = decideTask(table);
  // Throws for a label that the training data lack.
  if (evaluation !== null) encodeLabels(tableOf(evaluation), labels);
  return {
    train: table.rows.length,
    evaluation: evaluation?.examples.length ?? null,
    problemType: labels.problemType,
    why,
    pairs: task.pairs(file.examples),
    classes: countClasses(table, labels),
    notes: [...file.about, ...notes],
    sample: table.rows.slice(0, SAMPLE).map(({ text, pair, label }) => ({
      text,
      ...(pair !== undefined && { pair }),
      label: String(label ?? ''),
    })),
  };
}
