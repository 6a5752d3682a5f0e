/** Labels as text to class numbers, class sets or values. */
import { DataError } from '../errors.ts';
import { type PretrainedConfig, type ProblemType, problemTypeOf } from '../models/config.ts';
import type { TextTable } from './table.ts';

/** A class number, an indicator for each class, or a value. */
export type Label = number | number[];

export interface LabelSet {
  problemType: ProblemType;
  /** Class names by number; one entry for regression. */
  names: string[];
}

const number = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;

/** The labels of a text that may have several, or none: names with a comma, a semicolon or a bar between them. */
function several(label: string): string[] {
  return label
    .split(/[,;|]/)
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** Where a text has one label, one that is blank was forgotten. */
function checkPresent(path: string, line: number, label: string): void {
  if (label.trim() === '')
    throw new DataError(`${path}: line ${line} has no label`, { remedy: 'label or remove the row' });
}

function labelled(table: TextTable): { label: string; line: number }[] {
  return table.rows.map(({ label, line }) => {
    if (label === undefined)
      throw new DataError(`${table.path}: there is no label column`, {
        remedy: 'name it with --label-column',
      });
    return { label, line };
  });
}

/**
 * The labels of training data. Where the type is not given, numbers of which one has a decimal point are values, anything else is a class.
 * Classes are sorted, numbers by value. Throws `DataError` for a row without a label and where there are too few classes.
 */
export function inferLabels(table: TextTable, problemType?: ProblemType): LabelSet {
  const rows = labelled(table);
  if (problemType === 'multi_label_classification') {
    const names = sorted(rows.flatMap(({ label }) => several(label)));
    if (names.length === 0)
      throw new DataError(`${table.path}: no row has a label`, { remedy: 'check the label column' });
    return { problemType, names };
  }
  for (const { label, line } of rows) checkPresent(table.path, line, label);
  const labels = rows.map(({ label }) => label);
  const values = labels.every((label) => number.test(label)) && labels.some((label) => /[.e]/i.test(label));
  const type = problemType ?? (values ? 'regression' : 'single_label_classification');
  if (type === 'regression') return { problemType: type, names: ['LABEL_0'] };
  const names = sorted(labels);
  if (names.length < 2) {
    throw new DataError(`${table.path}: every row has the label '${names[0]}'`, {
      remedy: 'classification needs two classes or more',
    });
  }
  return { problemType: type, names };
}

/** Each once; numbers by value, anything else by its UTF-16 units, so that no locale has a say. */
function sorted(labels: readonly string[]): string[] {
  const names = [...new Set(labels)];
  const numeric = names.every((name) => number.test(name));
  return names.sort((a, b) => (numeric ? Number(a) - Number(b) : a < b ? -1 : 1));
}

/** The labels a model was trained with. */
export function labelsOfModel(config: PretrainedConfig): LabelSet {
  const names = Array.from({ length: config.numLabels }, (_, id) => config.id2label[id]!);
  return { problemType: problemTypeOf(config, false), names };
}

/** Labels of a table as numbers. Throws `DataError` naming file, line and label for one that is not in the set. */
export function encodeLabels(table: TextTable, { problemType, names }: LabelSet): Label[] {
  const ids = new Map(names.map((name, id) => [name, id]));
  // Models without class names take the numbers themselves.
  if (names.every((name, id) => name === `LABEL_${id}`))
    for (const id of names.keys()) ids.set(String(id), id);
  const idOf = (label: string, line: number): number => {
    const id = ids.get(label);
    if (id !== undefined) return id;
    const shown = names.slice(0, 20).join(', ') + (names.length > 20 ? ', …' : '');
    throw new DataError(`${table.path}: line ${line} has the label '${label}', which training has not seen`, {
      remedy: `known labels: ${shown}`,
    });
  };
  return labelled(table).map(({ label, line }) => {
    if (problemType === 'multi_label_classification') {
      const present = new Set(several(label).map((name) => idOf(name, line)));
      return names.map((_, id) => (present.has(id) ? 1 : 0));
    }
    checkPresent(table.path, line, label);
    if (problemType === 'single_label_classification') return idOf(label, line);
    const value = number.test(label) ? Number(label) : Number.NaN;
    if (!Number.isFinite(value)) {
      throw new DataError(`${table.path}: line ${line} has the label '${label}', which is no number`, {
        remedy: 'regression needs a number on every row',
      });
    }
    return value;
  });
}
