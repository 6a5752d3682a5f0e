/** Checks for label columns that would be misread. Each error names the rows and the remedies. */
import { DataError } from '../errors.ts';
import { shownNames } from '../models/common/class-names.ts';
import { type LabelledRow, partsOf } from './label-cells.ts';

type TextRows = readonly LabelledRow<string>[];

const number = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;

export function isNumber(label: string): boolean {
  return number.test(label) && Number.isFinite(Number(label));
}

/** Throws `DataError` for blank labels: when each text has one label, a blank one was forgotten. */
export function checkPresent(path: string, rows: TextRows): void {
  const blank = rows.filter(({ label }) => label.trim() === '');
  if (blank.length > 0)
    throw new DataError(`${path}: ${linesOf(blank)} no label`, { remedy: 'label or remove the row' });
}

/** Throws `DataError` naming the rows whose label is not a number. */
export function checkNumbers(path: string, rows: TextRows): void {
  const odd = rows.filter(({ label }) => !isNumber(label));
  if (odd.length === 0) return;
  const shown = labelsShown(odd);
  const what =
    odd.length === 1 ? `the label ${shown}, which is no number` : `labels that are no numbers: ${shown}`;
  throw new DataError(`${path}: ${linesOf(odd)} ${what}`, {
    remedy: 'regression needs a number on every row',
  });
}

/** `line 7 has`, or `lines 7, 9 and 3 more have`. */
function linesOf(rows: readonly LabelledRow[]): string {
  const lines = rows.map(({ line }) => line);
  if (lines.length === 1) return `line ${lines[0]} has`;
  const more = lines.length > 5 ? ` and ${lines.length - 5} more` : '';
  return `lines ${lines.slice(0, 5).join(', ')}${more} have`;
}

/** The distinct labels of some rows, quoted. */
function labelsShown(rows: TextRows): string {
  return shownNames([...new Set(rows.map(({ label }) => `'${label}'`))], 5);
}

/** Throws `DataError` for so many distinct labels that they may be values or texts. */
export function checkClassCount(path: string, rows: TextRows): void {
  const names = [...new Set(rows.map(({ label }) => label))];
  const count = names.length;
  const often = count <= rows.length / 2;
  if (!names.every(isNumber)) {
    if (count <= 10 || often) return;
    throw new DataError(`${path}: the label column has ${count} different labels on ${rows.length} rows`, {
      remedy: 'name the right one with --label-column, or pass --problem-type single_label_classification',
    });
  }
  const values = names.map(Number).sort((a, b) => a - b);
  const [least, most] = [values[0]!, values.at(-1)!];
  const inRow = least >= 0 && least <= 1 && most - least === count - 1;
  if (count <= 3 || (count <= 10 && (often || inRow)) || (count <= 20 && often && inRow)) return;
  throw new DataError(
    `${path}: the labels are ${count} different whole numbers (${least} to ${most}) on ${rows.length} rows: classes or values?`,
    { remedy: 'pass --problem-type regression, or --problem-type single_label_classification' },
  );
}

const asClasses = 'or pass --problem-type single_label_classification to have it as a class';

/**
 * Throws `DataError` if a few labels are not numbers in a column that is otherwise numeric; they should not
 * turn it into classes.
 */
export function checkMostlyNumbers(path: string, numbers: TextRows, odd: TextRows, decimal: boolean): void {
  const values = new Set(numbers.map(({ label }) => Number(label))).size;
  const share = numbers.length / (numbers.length + odd.length);
  if (share < 0.5 || !(decimal || values > 10 || share >= 0.9)) return;
  throw new DataError(`${path}: the labels are numbers, but ${linesOf(odd)} ${labelsShown(odd)}`, {
    remedy: `mend or remove the row, ${asClasses}`,
  });
}

/** Texts that pandas and spreadsheets write for a missing value. */
const missing = /^(nan|n\/a|#n\/a|<na>|#na|null|\?|-)$/i;

export function checkMissing(path: string, rows: TextRows): void {
  const found = rows.filter(({ label }) => missing.test(label));
  if (found.length > 0)
    throw new DataError(`${path}: ${linesOf(found)} ${labelsShown(found)}, which stands for no label`, {
      remedy: `label or remove the row, ${asClasses}`,
    });
}

export function checkDecimalCommas(path: string, rows: TextRows, odd: TextRows): void {
  const comma = (label: string): boolean => /^[-+]?\d+,\d+$/.test(label);
  if (!odd.every(({ label }) => comma(label)) || rows.length < 2) return;
  throw new DataError(
    `${path}: line ${odd[0]!.line} has '${odd[0]!.label}': a number with a decimal comma?`,
    { remedy: 'write it with a point, or pass --problem-type multi_label_classification for two classes' },
  );
}

/** Throws `DataError` if a cell seems to hold several names: only the user can say that it is one class. */
export function checkCombinations(path: string, rows: TextRows): void {
  const homes = new Map<string, Set<string>>();
  for (const { label } of rows)
    for (const part of partsOf(label)) homes.set(part, (homes.get(part) ?? new Set()).add(label));
  for (const { label, line } of rows) {
    const parts = partsOf(label);
    const shared = parts.length > 1 ? parts.find((part) => homes.get(part)!.size > 1) : undefined;
    if (shared === undefined) continue;
    throw new DataError(
      `${path}: line ${line} has '${label}', and '${shared}' stands in other labels too: several labels, or one?`,
      {
        remedy:
          'pass --problem-type multi_label_classification, or --problem-type single_label_classification',
      },
    );
  }
}
