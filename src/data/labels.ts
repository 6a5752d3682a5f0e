/** Converts labels to class numbers, class sets or values. */
import { ConfigError, DataError } from '../errors.ts';
import { areUnnamed, classFinder, namesOf, numberedName, shownNames } from '../models/common/class-names.ts';
import { type PretrainedConfig, type ProblemType, problemTypeOf } from '../models/common/config.ts';
import { type LabelColumn, labelColumn } from './label-cells.ts';
import { checkNumbers, checkPresent } from './label-checks.ts';
import type { TextTable } from './table.ts';
import { decideTask, type TaskOptions } from './task.ts';

/** A class number, one indicator per class, or a value. */
export type Label = number | number[];

export interface LabelSet {
  problemType: ProblemType;
  /** Class names by number; one entry for regression. */
  names: string[];
}

/**
 * Infers the labels of training data: `decideTask` without its reasons. Throws `DataError` for a row without
 * a label, for too few classes, and if the data do not determine the task.
 */
export function inferLabels(table: TextTable, options: ProblemType | TaskOptions = {}): LabelSet {
  return decideTask(table, typeof options === 'string' ? { problemType: options } : options).labels;
}

/**
 * The labels that a model was trained with. Throws `ConfigError` if two classes have the same name, because
 * no label could tell them apart.
 */
export function labelsOfModel(config: PretrainedConfig): LabelSet {
  const names = namesOf(config);
  const twin = names.find((name, id) => names.indexOf(name) < id);
  if (twin !== undefined)
    throw new ConfigError(`the model has two classes called '${twin}'`, {
      remedy: "give each class its own name in 'id2label' of config.json",
    });
  return { problemType: problemTypeOf(config, false), names };
}

/**
 * Converts a table's labels to numbers. A name matches exactly, or else ignoring case if that is unambiguous.
 * Throws `DataError` naming file, line and label for a label that is not in the set.
 */
export function encodeLabels(table: TextTable, { problemType, names }: LabelSet): Label[] {
  const { path } = table;
  if (problemType === 'multi_label_classification') return indicators(path, labelColumn(table, true), names);
  const column = labelColumn(table, false);
  if (column.form !== 'text')
    throw new DataError(`${path}: each class has a column, but the task is ${problemType}`, {
      remedy: 'name one label column, or train with --problem-type multi_label_classification',
    });
  checkPresent(path, column.rows);
  if (problemType === 'single_label_classification') {
    const idOf = lookup(path, names);
    return column.rows.map(({ label, line }) => idOf(label, line));
  }
  checkNumbers(path, column.rows);
  return column.rows.map(({ label }) => Number(label));
}

function indicators(path: string, column: LabelColumn, names: readonly string[]): number[][] {
  const idOf = lookup(path, names);
  // If all rows are blank, nothing shows how labels would be written.
  if (column.form === 'text') return column.rows.map(() => names.map(() => 0));
  if (column.form === 'names') {
    return column.rows.map(({ label, line }) => {
      const present = new Set(label.map((name) => idOf(name, line)));
      return names.map((_, id) => (present.has(id) ? 1 : 0));
    });
  }
  const { rows, classes } = column;
  const wrong = rows.find(({ label }) => label.length !== names.length);
  if (wrong !== undefined)
    throw new DataError(
      `${path}: line ${wrong.line} has ${wrong.label.length} indicators for ${names.length} classes`,
      { remedy: `give a 0 or a 1 for each of ${shownNames(names, 20)}` },
    );
  if (classes === undefined) return rows.map(({ label }) => label);
  const ids = classes.map((name) => idOf(name, 1));
  return rows.map(({ label }) => {
    const out = names.map(() => 0);
    for (const [at, id] of ids.entries()) out[id] = label[at]!;
    return out;
  });
}

function lookup(path: string, names: readonly string[]): (label: string, line: number) => number {
  const find = classFinder(names);
  // Models without class names accept the numbers themselves.
  const numbered = areUnnamed(names);
  return (label, line) => {
    const id =
      find(label) ?? (numbered && /^\d+$/.test(label) ? find(numberedName(Number(label))) : undefined);
    if (id !== undefined) return id;
    throw new DataError(`${path}: line ${line} has the label '${label}', which training has not seen`, {
      remedy: `known labels: ${shownNames(names, 20)}`,
    });
  };
}
