/** How well a model did on the rows held out: tables of scores. */
import {
  argmaxRows,
  confusionMatrix,
  evaluateLogits,
  type PrecisionRecallF1,
  precisionRecallF1,
} from 'dawngrad';
import type { EvaluationRow } from '../contract.ts';
import { type Kind, rowOf } from './predictions.ts';

export interface ClassScores extends PrecisionRecallF1 {
  name: string;
  /** Rows that have the class. */
  rows: number;
}

/** Scores of classes, and their means. */
interface ClassTable {
  rows: number;
  /** Share of rows that are right; of rows with several classes, in all of them. */
  accuracy: number;
  rocAuc: number | null;
  classes: readonly ClassScores[];
  /** The mean of the classes that occur. */
  macro: PrecisionRecallF1;
}

export type Scores =
  | ({
      kind: 'classes';
      matthews: number | null;
      /** Rows by true class, columns by predicted. */
      confusion: readonly (readonly number[])[];
    } & ClassTable)
  | ({
      kind: 'sets';
      /** Of all decisions together. */
      micro: PrecisionRecallF1;
    } & ClassTable)
  | {
      kind: 'values';
      rows: number;
      mse: number;
      mae: number;
      /** Null if all values are the same. */
      pearson: number | null;
      spearman: number | null;
      /** Label and prediction of each row. */
      points: readonly (readonly [number, number])[];
    };

const only = (values: readonly number[], wanted: number): number[] =>
  values.map((value) => (value === wanted ? 1 : 0));

/** The scores of one class against the rest. */
function classScores(name: string, predicted: readonly number[], actual: readonly number[]): ClassScores {
  return {
    name,
    rows: actual.reduce((sum, one) => sum + one, 0),
    ...precisionRecallF1(predicted, actual, 2, 'binary'),
  };
}

/**
 * Scores of logits [rows, outputs] by labels; null without rows. Throws `NonFiniteError` for logits that are
 * not finite.
 */
export function scoresOf(
  { problemType, width }: Kind,
  names: readonly string[],
  rows: readonly Pick<EvaluationRow, 'label'>[],
  logits: Float32Array,
): Scores | null {
  if (rows.length === 0) return null;
  const labels = rows.flatMap(({ label }) => label);
  const { metrics } = evaluateLogits(problemType, logits, labels, width);
  const count = { rows: rows.length };
  if (problemType === 'regression')
    return {
      kind: 'values',
      ...count,
      mse: metrics.mse!,
      mae: metrics.mae!,
      pearson: metrics.pearson!,
      spearman: metrics.spearman!,
      points: labels.map((label, row) => [label, logits[row]!] as const),
    };
  const common = { ...count, accuracy: metrics.accuracy!, rocAuc: metrics.roc_auc! };
  if (problemType === 'single_label_classification') {
    const predicted = argmaxRows(logits, width);
    return {
      kind: 'classes',
      ...common,
      matthews: metrics.matthews_correlation!,
      classes: names.map((name, id) => classScores(name, only(predicted, id), only(labels, id))),
      macro: precisionRecallF1(predicted, labels, width, 'macro'),
      confusion: confusionMatrix(predicted, labels, width),
    };
  }
  const predicted = Array.from(logits, (value) => (value > 0 ? 1 : 0));
  const column = (values: readonly number[], id: number) => rows.map((_, row) => values[row * width + id]!);
  const classes = names.map((name, id) => classScores(name, column(predicted, id), column(labels, id)));
  const mean = (key: keyof PrecisionRecallF1) =>
    classes.reduce((sum, scores) => sum + scores[key], 0) / classes.length;
  return {
    kind: 'sets',
    ...common,
    classes,
    micro: { precision: metrics.precision!, recall: metrics.recall!, f1: metrics.f1! },
    macro: { precision: mean('precision'), recall: mean('recall'), f1: mean('f1') },
  };
}

/** A row that the model got wrong. */
export interface Mistake {
  text: string;
  pair?: string;
  /** Names of classes, for people: several, one or none; or a value. */
  label: string;
  predicted: string;
  /** What the model gave to its worst error: the probability of a wrong decision, or the distance of a value. */
  error: number;
}

export interface Mistakes {
  /** Of all rows; of values, all rows. */
  count: number;
  /** The worst, the surest first. */
  worst: readonly Mistake[];
}

/** The `most` worst mistakes in outputs [rows, outputs] (probabilities or values) by labels. */
export function mistakesOf(
  { problemType, width }: Kind,
  names: readonly string[],
  rows: readonly EvaluationRow[],
  outputs: readonly number[],
  most: number,
): Mistakes {
  const judge = judges[problemType];
  const wrong = rows.flatMap(({ text, pair, label }, at) => {
    const found = judge([label].flat(), rowOf(outputs, width, at), names);
    return found === null ? [] : [{ text, ...(pair !== undefined && { pair }), ...found }];
  });
  return { count: wrong.length, worst: wrong.sort((a, b) => b.error - a.error).slice(0, most) };
}

type Judge = (
  label: readonly number[],
  outputs: readonly number[],
  names: readonly string[],
) => Omit<Mistake, 'text' | 'pair'> | null;

const judges: Record<Kind['problemType'], Judge> = {
  single_label_classification: ([label], outputs, names) => {
    const best = argmaxRows(outputs, outputs.length)[0]!;
    return best === label ? null : { label: names[label!]!, predicted: names[best]!, error: outputs[best]! };
  },
  multi_label_classification: (label, outputs, names) => {
    const predicted = outputs.map((probability) => (probability > 0.5 ? 1 : 0));
    const wrong = outputs.filter((_, id) => predicted[id] !== label[id]);
    const listed = (which: readonly number[]) =>
      names.filter((_, id) => which[id] === 1).join(', ') || 'none';
    if (wrong.length === 0) return null;
    const error = Math.max(...wrong.map((probability) => Math.max(probability, 1 - probability)));
    return { label: listed(label), predicted: listed(predicted), error };
  },
  regression: ([label], [value]) => ({
    label: shown(label!),
    predicted: shown(value!),
    error: Math.abs(value! - label!),
  }),
};

/** A value in at most four digits after the point. */
const shown = (value: number): string => `${Number(value.toFixed(4))}`;
