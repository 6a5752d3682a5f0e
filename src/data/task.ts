/** Decides what to learn from a table: the task, the classes, and whether a trained classifier is kept. */

import { ConfigError, DataError } from '../errors.ts';
import {
  areUnnamed,
  foldedName,
  namesOf,
  numberedName,
  orderOf,
  relationOf,
  shareNames,
  shownNames,
} from '../models/common/class-names.ts';
import { type PretrainedConfig, type ProblemType, problemTypeOf } from '../models/common/config.ts';
import { checkOptions } from '../options.ts';
import { type LabelColumn, type LabelledRow, labelColumn, partsOf } from './label-cells.ts';
import {
  checkClassCount,
  checkCombinations,
  checkDecimalCommas,
  checkMissing,
  checkMostlyNumbers,
  checkNumbers,
  checkPresent,
  isNumber,
} from './label-checks.ts';
import type { LabelSet } from './labels.ts';
import type { TextTable } from './table.ts';

export interface TaskOptions {
  /** Default: inferred from the labels. */
  problemType?: ProblemType;
  /** The config of a checkpoint with a trained classifier, whose classes keep their numbers. */
  model?: PretrainedConfig;
  /**
   * What to do with that classifier: `keep` uses the model's classes whatever the data contain, `new` uses
   * the data's classes. Default: keep it if the names are the same, replace it if none is.
   */
  head?: 'keep' | 'new';
}

export interface TaskDecision {
  labels: LabelSet;
  /** What the labels showed, for people. */
  why: string;
  /** Whether `model`'s classifier is kept, and why; null without `model`. */
  head: { keep: boolean; why: string } | null;
  /** Oddities that no rule forbids. */
  notes: string[];
}

/**
 * Decides the task from the whole label column. Lists, rows of 0 and 1, and columns of classes mean several
 * labels per text; numbers with a decimal point are values; anything else is a class. If the names are the
 * same as the model's, its classes and order are used; otherwise classes are sorted, numbers by value. Throws
 * `DataError` naming lines if the column is ambiguous or only some of the names are the model's, and
 * `ConfigError` if there is no classifier to keep.
 */
export function decideTask(table: TextTable, options: TaskOptions = {}): TaskDecision {
  checkOptions<TaskOptions>('decideTask', options, { problemType: true, model: true, head: true });
  const { problemType, model, head } = options;
  if (head === 'keep' && model === undefined)
    throw new ConfigError('there is no trained classifier to keep', {
      remedy: 'leave --head keep out (head)',
    });
  const { path } = table;
  const known = model === undefined || head === 'new' ? null : model;
  const several = problemType === undefined ? undefined : problemType === 'multi_label_classification';
  let column = labelColumn(table, several);
  let why = problemType === undefined ? '' : 'as asked for';
  let type = problemType ?? 'multi_label_classification';
  if (column.form === 'text') {
    checkPresent(path, column.rows);
    if (problemType === undefined) {
      ({ type, why } = typeOf(path, column.rows, known));
      if (type === 'multi_label_classification') column = labelColumn(table, true);
    }
  } else why ||= column.why;
  if (type === 'regression') {
    checkNumbers(path, textRows(path, column));
    return { ...regression(why, options), notes: oddRows(table) };
  }
  const names = namesIn(path, column, known);
  const least = type === 'single_label_classification' ? 2 : 1;
  if (names.length < least) throw tooFew(path, names);
  const notes = [...oddRows(table), ...lookAlikes(names)];
  if (model === undefined) return { labels: { problemType: type, names }, why, head: null, notes };
  const unnamed = column.form === 'vector' && column.classes === undefined;
  const kept = classesOfModel(path, names, model, { head, unnamed });
  return { labels: { problemType: type, names: kept.keep ? namesOf(model) : names }, why, head: kept, notes };
}

function textRows(path: string, column: LabelColumn): LabelledRow<string>[] {
  if (column.form === 'text') return column.rows;
  throw new DataError(`${path}: each class has a column, but the task is regression`, {
    remedy: 'name the column of the values with --label-column',
  });
}

function tooFew(path: string, names: readonly string[]): DataError {
  if (names.length === 0)
    return new DataError(`${path}: no row has a label`, { remedy: 'check the label column' });
  return new DataError(`${path}: every row has the label '${names[0]}'`, {
    remedy: 'classification needs two classes or more',
  });
}

function regression(why: string, { model, head }: TaskOptions): Omit<TaskDecision, 'notes'> {
  const fits = model !== undefined && model.numLabels === 1;
  if (model !== undefined && head === 'keep' && !fits)
    throw new ConfigError(`the model has ${model.numLabels} classes, and the labels are values`, {
      remedy: 'leave --head keep out (head)',
    });
  const keep = fits && head !== 'new';
  const labels: LabelSet = { problemType: 'regression', names: keep ? namesOf(model) : [numberedName(0)] };
  if (model === undefined) return { labels, why, head: null };
  const reason = fits ? 'it gives a value' : `it tells ${model.numLabels} classes apart`;
  return { labels, why, head: { keep, why: head === undefined ? reason : 'as asked for' } };
}

/** The distinct class names: numbers sorted by value, others by UTF-16 units, whatever the locale. */
function namesIn(path: string, column: LabelColumn, known: PretrainedConfig | null): string[] {
  if (column.form === 'vector') {
    if (column.classes !== undefined) return [...column.classes];
    const width = column.rows[0]?.label.length ?? 0;
    // Indicators have no class names of their own; a model with the same number of classes provides them.
    const same =
      known?.numLabels === width && problemTypeOf(known, true) === 'multi_label_classification'
        ? namesOf(known)
        : null;
    return same ?? Array.from({ length: width }, (_, id) => numberedName(id));
  }
  const names = [...new Set<string>(column.rows.flatMap(({ label }): string | string[] => label))];
  if (!names.every(isNumber)) return names.sort((a, b) => (a < b ? -1 : 1));
  names.sort((a, b) => Number(a) - Number(b));
  const twice = names.findIndex((name, at) => at > 0 && Number(name) === Number(names[at - 1]));
  if (twice > 0)
    throw new DataError(
      `${path}: '${names[twice - 1]}' and '${names[twice]}' are one number and would be two classes`,
      { remedy: 'write each class in one way' },
    );
  return names;
}

/** The task for a column with one text per row. */
function typeOf(
  path: string,
  rows: readonly LabelledRow<string>[],
  known: PretrainedConfig | null,
): { type: ProblemType; why: string } {
  const odd = rows.filter(({ label }) => !isNumber(label));
  const numbers = rows.filter(({ label }) => isNumber(label));
  const decimal = numbers.find(({ label }) => /[.e]/i.test(label));
  const distinct = new Set(rows.map(({ label }) => label)).size;
  if (odd.length === 0) {
    if (decimal !== undefined)
      return {
        type: 'regression',
        why: `numbers, with decimal points (line ${decimal.line}: ${decimal.label})`,
      };
    if (known !== null && problemTypeOf(known, false) === 'regression')
      return { type: 'regression', why: 'numbers, and the model gives a value' };
    if (known === null || !areNumbersOf(known, rows)) checkClassCount(path, rows);
    return { type: 'single_label_classification', why: `${distinct} different whole numbers` };
  }
  checkMostlyNumbers(path, numbers, odd, decimal !== undefined);
  checkMissing(path, odd);
  checkDecimalCommas(path, rows, odd);
  const model = known === null ? null : namesOf(known);
  if (model !== null && problemTypeOf(known!, false) === 'multi_label_classification') {
    const parts = [...new Set(rows.flatMap(({ label }) => partsOf(label)))];
    if (parts.every((part) => shareNames([part], model)))
      return { type: 'multi_label_classification', why: 'names that the model may give together' };
  }
  checkCombinations(path, rows);
  checkClassCount(path, rows);
  return { type: 'single_label_classification', why: `${distinct} different names` };
}

/** Whether whole numbers are a model's classes. */
function areNumbersOf(model: PretrainedConfig, rows: readonly LabelledRow<string>[]): boolean {
  const names = namesOf(model);
  const values = [...new Set(rows.map(({ label }) => Number(label)))];
  if (areUnnamed(names)) return values.every((value) => value >= 0 && value < names.length);
  return orderOf(values.map(String), names) !== null;
}

/**
 * Notes about blank texts, from which nothing can be learned, and about U+FFFD, which another program wrote
 * for characters that it could not read.
 */
function oddRows({ rows }: TextTable): string[] {
  const note = (what: string, odd: typeof rows): string[] =>
    odd.length === 0 ? [] : [`rows with ${what}: ${odd.length} (first on line ${odd[0]!.line})`];
  const blank = rows.filter(({ text, pair }) => text.trim() === '' || pair?.trim() === '');
  const lost = rows.filter((row) => [row.text, row.pair, row.label].flat().join().includes('\uFFFD'));
  return [
    ...note('a blank text', blank),
    ...note('the character U+FFFD, lost before the file was saved', lost),
  ];
}

/** Escapes invisible characters, such as a zero-width space. */
function visible(name: string): string {
  return name.replace(/\p{Cf}/gu, (mark) => `\\u{${mark.codePointAt(0)!.toString(16)}}`);
}

/** Notes about class names that may differ only by mistake. */
function lookAlikes(names: readonly string[]): string[] {
  const first = new Map<string, string>();
  const notes: string[] = [];
  for (const name of names) {
    const key = foldedName(name.replace(/\p{Cf}/gu, ''));
    const twin = first.get(key);
    if (twin === undefined) first.set(key, name);
    else
      notes.push(
        `the classes '${visible(twin)}' and '${visible(name)}' differ only in case, in how an accent is written, or in what is not seen`,
      );
  }
  return notes;
}

/**
 * Whether a trained classifier is kept. `unnamed`: the data number their classes. Throws `DataError` if only
 * some of the names are its own.
 */
export function classesOfModel(
  path: string,
  names: readonly string[],
  model: PretrainedConfig,
  { head, unnamed = false }: { head?: TaskOptions['head']; unnamed?: boolean } = {},
): { keep: boolean; why: string } {
  if (head !== undefined) return { keep: head === 'keep', why: 'as asked for' };
  const theirs = namesOf(model);
  const ours = areUnnamed(theirs)
    ? names.map((name) => (/^\d+$/.test(name) ? numberedName(Number(name)) : name))
    : names;
  const kind = relationOf(ours, theirs);
  if (kind === 'same') return { keep: true, why: "its classes are the data's, in its order" };
  const shown = `${theirs.length} (${shownNames(theirs)})`;
  if (unnamed) return { keep: false, why: `its classes are ${shown}, and the data's have no names` };
  if (kind !== 'partly') {
    const numbers = kind === 'other' && names.length === theirs.length && names.every(isNumber);
    const hint = numbers ? '; write these names as labels to keep it' : '';
    return { keep: false, why: `its classes are others: ${shown}${hint}` };
  }
  const added = ours.filter((name) => !shareNames([name], theirs));
  const lacking = theirs.filter((name) => !shareNames([name], ours));
  const differs = [
    ...(added.length > 0 ? [`the model lacks ${shownNames(added)}`] : []),
    ...(lacking.length > 0 ? [`the data lack ${shownNames(lacking)}`] : []),
  ].join(', ');
  throw new DataError(
    `${path}: the data's classes are only in part the model's: ${differs || 'some names differ only in case, or stand twice'}`,
    {
      remedy: `pass --head new (head: 'new') to train a new classifier for the data's${added.length === 0 ? ", or --head keep to keep the model's classes" : ', or mend the labels'}`,
    },
  );
}
