/** Decides which columns of a table hold the text, its pair and the label. */

import { DataError } from '../errors.ts';
import { shownNames } from '../models/common/class-names.ts';
import type { OptionNames } from '../options.ts';

/** Columns by name, or by number from 0; missing ones are guessed. */
export interface ColumnOptions {
  textColumn?: string | number;
  textPairColumn?: string | number;
  /** Several columns: each is a class and holds 0 or 1. In a string, names are separated by commas. */
  labelColumn?: string | number | readonly (string | number)[];
  /** Throw if there is no label column. Default false. */
  requireLabels?: boolean;
  /** Whether to read labels; false ignores their column, whatever it holds. Default true. */
  readLabels?: boolean;
}

export const columnOptionNames: OptionNames<ColumnOptions> = {
  textColumn: true,
  textPairColumn: true,
  labelColumn: true,
  requireLabels: true,
  readLabels: true,
};

/** Column numbers from 0. */
export interface Columns {
  text: number;
  pair: number | null;
  /** A list if each class has its own column. */
  label: number | readonly number[] | null;
}

/** Why a column was chosen. */
export type ColumnReason = 'as asked for' | 'a usual name' | 'by its place';

/** Columns under the names that people know: by name, or as `column 2`. */
export interface ColumnNames {
  text: string;
  pair: string | null;
  label: string | readonly string[] | null;
  reasons: { text: ColumnReason; pair: ColumnReason | null; label: ColumnReason | null };
}

/**
 * Usual names of the text column, each with the name of its pair. Pairs come first: QNLI's `sentence` is the
 * second text of a pair.
 */
const TEXT_NAMES: readonly (readonly [string, string?])[] = [
  ['sentence1', 'sentence2'],
  ['#1 string', '#2 string'],
  ['question1', 'question2'],
  ['premise', 'hypothesis'],
  ['question', 'sentence'],
  ['text_a', 'text_b'],
  ['sentence'],
  ['text'],
  ['review'],
  ['content'],
];
const LABEL_NAMES = [
  'label',
  'labels',
  'score',
  'quality',
  'gold_label',
  'is_duplicate',
  'class',
  'sentiment',
];

/** The only column of labels, where a task takes one. Throws `DataError` for several. */
export function oneLabelColumn(
  path: string,
  chosen: ColumnOptions['labelColumn'],
): string | number | undefined {
  const columns = [chosen].flat();
  if (columns.length > 1)
    throw new DataError(`${path}: there are ${columns.length} columns of labels: ${columns.join(', ')}`, {
      remedy: 'name one with --label-column; several are for text-classification',
    });
  return columns[0];
}

/** Whether the first row is a header: a column is chosen by name, or a cell is a usual column name. */
export function looksLikeHeader(cells: readonly string[], options: ColumnOptions): boolean {
  return chosenNames(options).length > 0 || hasUsualName(cells);
}

/** Whether a row holds a usual column name or a chosen one. */
export function hasColumnName(cells: readonly string[], options: ColumnOptions): boolean {
  const chosen = chosenNames(options);
  return hasUsualName(cells) || cells.some((cell) => chosen.includes(cell.trim()));
}

function hasUsualName(cells: readonly string[]): boolean {
  const usual = new Set([...TEXT_NAMES.flat(), ...LABEL_NAMES]);
  return cells.some((cell) => usual.has(cell.trim().toLowerCase()));
}

function chosenNames({ textColumn, textPairColumn, labelColumn }: ColumnOptions): string[] {
  const chosen = [textColumn, textPairColumn, labelColumn].flat();
  return chosen.filter(
    (column): column is string => typeof column === 'string' && !/^[\d\s]+(,[\d\s]+)+$/.test(column),
  );
}

/**
 * Resolves the chosen columns and guesses the rest by their usual names. Without a header it guesses for at
 * most two columns: the text first and the label last, or whichever column is not chosen. `cells` is the
 * first row. Throws `DataError` listing the columns.
 */
export function chooseColumns(
  path: string,
  cells: readonly string[],
  header: boolean,
  options: ColumnOptions,
): Columns & { names: ColumnNames } {
  const names = header ? cells.map((cell) => cell.trim()) : null;
  const there = names === null ? `columns 0 to ${cells.length - 1}` : `columns: ${shownColumns(names)}`;
  const find = (column: string | number): number => {
    const at = typeof column === 'number' ? column : (names?.indexOf(column) ?? -1);
    if (!Number.isInteger(at) || at < 0 || at >= cells.length)
      throw new DataError(`${path}: there is no column '${column}'`, { remedy: there });
    return at;
  };
  const classes = labelColumns(options.labelColumn, names).map(find);
  const chosen: Guess = {
    text: options.textColumn === undefined ? null : find(options.textColumn),
    pair: options.textPairColumn === undefined ? null : find(options.textPairColumn),
    label: classes[0] ?? null,
  };
  const columns = names === null ? guessByNumber(cells.length, chosen) : guessByName(names, chosen);
  if (columns.text === null) {
    throw new DataError(`${path}: cannot tell which column holds the text`, {
      remedy: `name it with --text-column (${there})`,
    });
  }
  if (columns.label === null && options.requireLabels === true) {
    throw new DataError(`${path}: cannot tell which column holds the label`, {
      remedy: `name it with --label-column, or several with commas between them where each is a class (${there})`,
    });
  }
  const label = options.readLabels === false ? null : classes.length > 1 ? classes : columns.label;
  const { text, pair } = columns;
  const asked = [options.textColumn, options.textPairColumn, options.labelColumn].flat();
  checkDistinct(path, [text, pair, label], names, asked, there);
  const named = (at: number): string => names?.[at] ?? `column ${at}`;
  const reason = (column: number | null, asked: number | null): ColumnReason | null => {
    if (column === null) return null;
    if (asked !== null) return 'as asked for';
    return names === null ? 'by its place' : 'a usual name';
  };
  return {
    text,
    pair,
    label,
    names: {
      text: named(text),
      pair: pair === null ? null : named(pair),
      label: label === null ? null : typeof label === 'number' ? named(label) : label.map(named),
      reasons: {
        text: reason(text, chosen.text)!,
        pair: reason(pair, chosen.pair),
        label: label === null ? null : reason(columns.label, chosen.label),
      },
    },
  };
}

/** The chosen label columns. A name with commas means several names, unless it is itself a column. */
function labelColumns(
  chosen: ColumnOptions['labelColumn'],
  names: readonly string[] | null,
): readonly (string | number)[] {
  if (chosen === undefined) return [];
  if (typeof chosen === 'object') return chosen;
  if (typeof chosen === 'number' || names?.includes(chosen) || !chosen.includes(',')) return [chosen];
  return chosen.split(',').map((name) => (/^\d+$/.test(name.trim()) ? Number(name) : name.trim()));
}

interface Guess {
  text: number | null;
  pair: number | null;
  label: number | null;
}

function guessByNumber(width: number, { text, pair, label }: Guess): Guess {
  if (width > 2 || pair !== null) return { text, pair, label };
  if (width === 1) return { text: text ?? (label === null ? 0 : null), pair, label };
  if (text === null) return { text: label === 0 ? 1 : 0, pair, label: label ?? 1 };
  return { text, pair, label: label ?? 1 - text };
}

function guessByName(names: readonly string[], { text, pair, label }: Guess): Guess {
  const lower = names.map((name) => name.toLowerCase());
  // A column chosen for one purpose is not guessed for another.
  const taken = new Set([text, pair, label]);
  const at = (name: string): number | null => {
    const index = lower.indexOf(name);
    return index < 0 || taken.has(index) ? null : index;
  };
  const match = TEXT_NAMES.find((group) => group.every((name) => name === undefined || at(name) !== null));
  const guessed = match?.map((name) => (name === undefined ? null : at(name))) ?? [];
  return {
    text: text ?? guessed[0] ?? null,
    // Guesses a pair only together with its first text.
    pair: pair ?? (text === null ? (guessed[1] ?? null) : null),
    label: label ?? LABEL_NAMES.map(at).find((index) => index !== null) ?? null,
  };
}

/**
 * Rejects a column used twice, which would let the model read the answer in the text, and a guessed name that
 * occurs twice, because one column would be chosen silently.
 */
function checkDistinct(
  path: string,
  chosen: readonly (number | readonly number[] | null)[],
  names: readonly string[] | null,
  asked: readonly (string | number | undefined)[],
  there: string,
): void {
  const used = chosen.flat().filter((column) => column !== null);
  if (new Set(used).size < used.length)
    throw new DataError(`${path}: one column is chosen for two of text, pair and label`, { remedy: there });
  const twice = used.find(
    (at) =>
      !asked.includes(at) && names !== null && names.indexOf(names[at]!) !== names.lastIndexOf(names[at]!),
  );
  if (twice !== undefined)
    throw new DataError(`${path}: two columns are called '${names![twice]}'`, {
      remedy: 'choose by number, from 0, with --header, or rename one',
    });
}

/** Column names shortened for a message: with a wrong delimiter, a name may hold the file's whole text. */
function shownColumns(names: readonly string[]): string {
  const short = names.map((name) => (name.length > 40 ? `${name.slice(0, 40)}…` : name));
  return shownNames(short, 20);
}
