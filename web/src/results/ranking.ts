/** Which of many things are shown. */

export interface RankedOutput {
  name: string;
  value: number;
}

/** The `most` largest outputs by name, the largest first. */
export function ranked(names: readonly string[], values: readonly number[], most: number): RankedOutput[] {
  return names
    .map((name, at) => ({ name, value: values[at]! }))
    .sort((a, b) => b.value - a.value)
    .slice(0, most);
}

/** A larger matrix is shown as a list of its largest mistakes. */
export const MOST_CLASSES = 24;

export interface Confused {
  label: string;
  predicted: string;
  rows: number;
  /** Of the rows with that label. */
  share: number;
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** The `most` cells off the diagonal of a confusion matrix with the most rows. */
export function mostConfused(
  confusion: readonly (readonly number[])[],
  names: readonly string[],
  most: number,
): Confused[] {
  return confusion
    .flatMap((row, label) => {
      const total = sumOf(row);
      return row.map((rows, predicted) => ({ label, predicted, rows, share: rows / (total || 1) }));
    })
    .filter(({ label, predicted, rows }) => label !== predicted && rows > 0)
    .sort((a, b) => b.rows - a.rows)
    .slice(0, most)
    .map(({ label, predicted, ...cell }) => ({
      label: names[label]!,
      predicted: names[predicted]!,
      ...cell,
    }));
}

/** A cell of a confusion matrix. */
export interface MatrixCell {
  rows: number;
  right: boolean;
  /** Of the row's total. */
  share: number;
  /** The share of colour in its background, in percent. */
  percent: number;
}

export function matrixCells(confusion: readonly (readonly number[])[]): MatrixCell[][] {
  return confusion.map((row, label) => {
    const total = sumOf(row) || 1;
    return row.map((rows, predicted) => ({
      rows,
      right: label === predicted,
      share: rows / total,
      percent: Math.round((45 * rows) / total),
    }));
  });
}
