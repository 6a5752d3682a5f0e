/** Labels as text to class numbers, class sets or values. */
import { DataError } from '../errors.ts';
import type { PretrainedConfig, ProblemType } from '../models/config.ts';
import type { TextTable } from './table.ts';

/** A class number, an indicator for each class, or a value. */
export type Label = number | number[];

export interface LabelSet {
  problemType: ProblemType;
  /** Class names by number; one entry for regression. */
  names: string[];
}

const separator = /\s*[,;|]\s*/;

function labelled(table: TextTable): { label: string; line: number }[] {
  return table.rows.map(({ label, line }) => {
    if (label === undefined) throw new DataError(`${table.path}: there is no label column`, { remedy: 'name it with --label-column' });
    return { label, line };
  });
}

/** The labels of training data: numbers with a decimal point are values, anything else is a class. Classes are sorted, numbers by value. */
export function inferLabels(table: TextTable, problemType?: ProblemType): LabelSet {
  const labels = labelled(table).map(({ label }) => label);
  const numeric = labels.every((label) => /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(label));
  const type = problemType ?? (numeric && labels.some((label) => /[.e]/i.test(label)) ? 'regression' : 'single_label_classification');
  if (type === 'regression') return { problemType: type, names: ['LABEL_0'] };
  const each = type === 'multi_label_classification' ? labels.flatMap((label) => label.split(separator)) : labels;
  const names = [...new Set(each)].sort((a, b) => (numeric ? Number(a) - Number(b) : a < b ? -1 : 1));
  if (type === 'single_label_classification' && names.length < 2) {
    throw new DataError(`${table.path}: every row has the label '${names[0]}'`, { remedy: 'classification needs two classes or more' });
  }
  return { problemType: type, names };
}

/** The labels a model was trained with. */
export function labelsOfModel(config: PretrainedConfig): LabelSet {
  const names = Array.from({ length: config.numLabels }, (_, id) => config.id2label[id]!);
  const usual = config.numLabels === 1 ? 'regression' : 'single_label_classification';
  return { problemType: config.problemType ?? usual, names };
}

/** Labels of a table as numbers. Throws `DataError` naming file, line and label for one that is not in the set. */
export function encodeLabels(table: TextTable, { problemType, names }: LabelSet): Label[] {
  const ids = new Map(names.map((name, id) => [name, id]));
  // Models without class names take the numbers themselves.
  if (names.every((name, id) => name === `LABEL_${id}`)) for (const id of names.keys()) ids.set(String(id), id);
  const idOf = (label: string, line: number): number => {
    const id = ids.get(label);
    if (id !== undefined) return id;
    const shown = names.slice(0, 20).join(', ') + (names.length > 20 ? ', …' : '');
    throw new DataError(`${table.path}: line ${line} has the label '${label}', which training has not seen`, { remedy: `known labels: ${shown}` });
  };
  return labelled(table).map(({ label, line }) => {
    if (problemType === 'single_label_classification') return idOf(label, line);
    if (problemType === 'multi_label_classification') {
      const present = new Set(label.split(separator).map((name) => idOf(name, line)));
      return names.map((_, id) => (present.has(id) ? 1 : 0));
    }
    const value = Number(label);
    if (!Number.isFinite(value)) throw new DataError(`${table.path}: line ${line} has the label '${label}', which is no number`);
    return value;
  });
}
