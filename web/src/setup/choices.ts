/** Decides about what was chosen: defaults, counts, and what is still missing. */
import type { ClassCount, DataReport, ModelReport, Settings, TypedRow } from '../contract.ts';

/** A model this narrow is trained in seconds, and takes a high rate. */
const TINY = 200;
const SMALL = 400;
/** Longer texts cost more, and few need them. */
const USUAL_LENGTH = 128;

export function defaultSettings(model: Pick<ModelReport, 'hiddenSize' | 'maxLength'> | null): Settings {
  const width = model?.hiddenSize ?? 0;
  return {
    epochs: 3,
    batchSize: 16,
    accumulation: 1,
    learningRate: width <= TINY ? 5e-4 : width <= SMALL ? 1e-4 : 3e-5,
    maxLength: Math.min(model?.maxLength ?? USUAL_LENGTH, USUAL_LENGTH),
    heldOut: 0.2,
    warmup: 0.1,
    fp16: false,
    seed: 42,
  };
}

/** The rows that have a text and a label. */
export const wholeRows = (rows: readonly TypedRow[]): TypedRow[] =>
  rows
    .map(({ text, label }) => ({ text: text.trim(), label: label.trim() }))
    .filter(({ text, label }) => text !== '' && label !== '');

/** By class, in the order of the first row of each. */
export function countLabels(rows: readonly TypedRow[]): ClassCount[] {
  const counts = new Map<string, number>();
  for (const { label } of wholeRows(rows)) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].map(([name, count]) => ({ name, count }));
}

/** What typed rows lack before they can be learned from; null if nothing. */
export function lackOf(rows: readonly TypedRow[]): string | null {
  const classes = countLabels(rows);
  if (classes.length === 0) return 'Write a few texts, each with its label.';
  if (classes.length === 1) return `Every row is “${classes[0]!.name}”: add rows with another label.`;
  const scarce = classes.find(({ count }) => count < 2);
  if (scarce !== undefined) return `“${scarce.name}” has one row: each label needs two or more.`;
  return null;
}

/** Why the training cannot begin yet; null if it can. */
export function missing(model: ModelReport | null, data: DataReport | null): string | null {
  if (model === null && data === null) return 'Choose a model and data first.';
  if (model === null) return 'Choose a model first.';
  if (data === null) return 'Choose data first.';
  return null;
}

/** A warning if some class has far fewer rows than another; null if not. */
export function imbalance(classes: readonly ClassCount[]): string | null {
  const counts = classes.map(({ count }) => count);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const rare = classes.find(({ count }) => count === least);
  return rare !== undefined && most >= 10 * Math.max(least, 1)
    ? `“${rare.name}” is rare: it may never be predicted.`
    : null;
}
