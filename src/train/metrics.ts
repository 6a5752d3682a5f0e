/** Metrics as in scikit-learn and SciPy; 0/0 is 0 unless stated otherwise. */
import { DataError, NonFiniteError } from '../errors.ts';
import type { ProblemType } from '../models/common/config.ts';
import { IGNORED } from '../tensor/ops/loss.ts';

export type Average = 'binary' | 'macro' | 'micro' | 'weighted';

type Values = ArrayLike<number>;

function ratio(a: number, b: number): number {
  return b === 0 ? 0 : a / b;
}

function sumOf(n: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < n; i += 1) total += term(i);
  return total;
}

/** Column `c` of row-major values [n, columns]. */
function columnOf(values: Values, columns: number, c: number): Float64Array {
  return Float64Array.from({ length: values.length / columns }, (_, row) => values[row * columns + c]!);
}

function checkLengths(a: Values, b: Values): void {
  if (a.length !== b.length || a.length === 0)
    throw new DataError(`metrics: ${a.length} predictions for ${b.length} labels`);
}

/** Rows: true class, columns: predicted. Throws `DataError` for a number outside the `classes`. */
export function confusionMatrix(predictions: Values, labels: Values, classes: number): number[][] {
  checkLengths(predictions, labels);
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < labels.length; i += 1) {
    const row = matrix[labels[i]!];
    if (row?.[predictions[i]!] === undefined) {
      throw new DataError(`metrics: example ${i} has label ${labels[i]} and prediction ${predictions[i]}`, {
        remedy: `with ${classes} classes both are whole numbers from 0 to ${classes - 1}`,
      });
    }
    row[predictions[i]!]! += 1;
  }
  return matrix;
}

export function accuracy(predictions: Values, labels: Values): number {
  checkLengths(predictions, labels);
  return sumOf(labels.length, (i) => (predictions[i] === labels[i] ? 1 : 0)) / labels.length;
}

export interface PrecisionRecallF1 {
  precision: number;
  recall: number;
  f1: number;
}

/** Counts of one class: right predictions, predictions, occurrences. */
interface Counts {
  hits: number;
  predicted: number;
  actual: number;
}

function scores({ hits, predicted, actual }: Counts): PrecisionRecallF1 {
  return {
    precision: ratio(hits, predicted),
    recall: ratio(hits, actual),
    f1: ratio(2 * hits, predicted + actual),
  };
}

/** Averages over classes. `binary` uses class 1 alone. */
function averaged(counts: readonly Counts[], average: Average): PrecisionRecallF1 {
  if (average === 'binary') return scores(counts[1] ?? { hits: 0, predicted: 0, actual: 0 });
  const total = (key: keyof Counts): number => counts.reduce((sum, count) => sum + count[key], 0);
  if (average === 'micro')
    return scores({ hits: total('hits'), predicted: total('predicted'), actual: total('actual') });
  const weights = counts.map(({ actual }) =>
    average === 'macro' ? 1 / counts.length : ratio(actual, total('actual')),
  );
  const mean = (key: keyof PrecisionRecallF1): number =>
    sumOf(counts.length, (i) => weights[i]! * scores(counts[i]!)[key]);
  return { precision: mean('precision'), recall: mean('recall'), f1: mean('f1') };
}

function classCounts(matrix: readonly (readonly number[])[]): Counts[] {
  return matrix.map((row, c) => ({
    hits: row[c]!,
    predicted: matrix.reduce((sum, other) => sum + other[c]!, 0),
    actual: row.reduce((sum, count) => sum + count, 0),
  }));
}

/**
 * `macro` is the mean over the classes that occur among labels or predictions, as in scikit-learn; `binary`
 * uses class 1 alone.
 */
export function precisionRecallF1(
  predictions: Values,
  labels: Values,
  classes: number,
  average: Average,
): PrecisionRecallF1 {
  const counts = classCounts(confusionMatrix(predictions, labels, classes));
  const occurring = counts.filter(({ predicted, actual }) => predicted + actual > 0);
  return averaged(average === 'binary' ? counts : occurring, average);
}

/** Ranks from 1; ties share their mean rank. */
function ranks(values: Values): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const out = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end += 1;
    for (let i = start; i < end; i += 1) out[order[i]!] = (start + end + 1) / 2;
    start = end;
  }
  return out;
}

/** Area under the ROC curve of scores for label 1 against 0; null if only one class occurs. */
export function rocAuc(scores_: Values, labels: Values): number | null {
  checkLengths(scores_, labels);
  const positives = sumOf(labels.length, (i) => labels[i]!);
  const negatives = labels.length - positives;
  if (positives === 0 || negatives === 0) return null;
  const rank = ranks(scores_);
  const rankSum = sumOf(labels.length, (i) => (labels[i] === 1 ? rank[i]! : 0));
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/**
 * Unweighted mean of each class's AUC against the rest; `probabilities` row-major [n, classes]. Null if a
 * class does not occur.
 */
export function rocAucOneVsRest(probabilities: Values, labels: Values, classes: number): number | null {
  let total = 0;
  for (let c = 0; c < classes; c += 1) {
    const isClass = Array.from(labels, (label) => (label === c ? 1 : 0));
    const area = rocAuc(columnOf(probabilities, classes, c), isClass);
    if (area === null) return null;
    total += area;
  }
  return total / classes;
}

/** Matthews correlation coefficient, for any number of classes (Gorodkin, 2004). */
export function matthewsCorrelation(predictions: Values, labels: Values, classes: number): number {
  const counts = classCounts(confusionMatrix(predictions, labels, classes));
  const n = labels.length;
  const hits = counts.reduce((sum, count) => sum + count.hits, 0);
  const cross = counts.reduce((sum, { predicted, actual }) => sum + predicted * actual, 0);
  const predicted = n * n - counts.reduce((sum, count) => sum + count.predicted ** 2, 0);
  const actual = n * n - counts.reduce((sum, count) => sum + count.actual ** 2, 0);
  return ratio(hits * n - cross, Math.sqrt(predicted) * Math.sqrt(actual));
}

/** Pearson's correlation; null if either side is constant. */
export function pearson(a: Values, b: Values): number | null {
  checkLengths(a, b);
  const n = a.length;
  const [meanA, meanB] = [sumOf(n, (i) => a[i]!) / n, sumOf(n, (i) => b[i]!) / n];
  const covariance = sumOf(n, (i) => (a[i]! - meanA) * (b[i]! - meanB));
  const spread =
    Math.sqrt(sumOf(n, (i) => (a[i]! - meanA) ** 2)) * Math.sqrt(sumOf(n, (i) => (b[i]! - meanB) ** 2));
  return spread === 0 ? null : covariance / spread;
}

/** Pearson's correlation of the ranks. */
export function spearman(a: Values, b: Values): number | null {
  checkLengths(a, b);
  return pearson(ranks(a), ranks(b));
}

export function meanSquaredError(predictions: Values, labels: Values): number {
  checkLengths(predictions, labels);
  return sumOf(labels.length, (i) => (predictions[i]! - labels[i]!) ** 2) / labels.length;
}

export function meanAbsoluteError(predictions: Values, labels: Values): number {
  checkLengths(predictions, labels);
  return sumOf(labels.length, (i) => Math.abs(predictions[i]! - labels[i]!)) / labels.length;
}

/** Index of the largest of each row. */
export function argmaxRows(logits: Values, classes: number): number[] {
  return Array.from({ length: logits.length / classes }, (_, row) => {
    let best = 0;
    for (let c = 1; c < classes; c += 1)
      if (logits[row * classes + c]! > logits[row * classes + best]!) best = c;
    return best;
  });
}

/** Softmax of each row. */
export function softmaxRows(logits: Values, classes: number): Float64Array {
  const out = new Float64Array(logits.length);
  for (let start = 0; start < logits.length; start += classes) {
    let highest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c += 1) highest = Math.max(highest, logits[start + c]!);
    const total = sumOf(classes, (c) => Math.exp(logits[start + c]! - highest));
    for (let c = 0; c < classes; c += 1) out[start + c] = Math.exp(logits[start + c]! - highest) / total;
  }
  return out;
}

/** Numbers by name; null if undefined for the data. */
export type Metrics = Record<string, number | null>;

/** Whether a name is that of a time, of a log entry's place or of work done, rather than of a score. */
export const isTiming = (name: string): boolean =>
  /^(step|epoch|total_flos)$|(^|_)(runtime|(samples|steps)_per_second)$/.test(name);

export interface Evaluation {
  metrics: Metrics;
  /** For single-label tasks: rows true, columns predicted. */
  confusion?: number[][];
}

/** Throws `NonFiniteError` naming the first row with a logit that is not finite. */
export function checkFinite(logits: Float32Array, classes: number): void {
  const broken = logits.findIndex((value) => !Number.isFinite(value));
  if (broken >= 0)
    throw new NonFiniteError(`the logits of example ${Math.floor(broken / classes)} are not finite`, {
      remedy: 'the weights are broken: train again with a lower learning rate',
    });
}

/** The names of the metrics that `evaluateLogits` reports, without `eval_`. */
export const metricNames: Record<ProblemType, readonly string[]> = {
  single_label_classification: ['accuracy', 'precision', 'recall', 'f1', 'roc_auc', 'matthews_correlation'],
  multi_label_classification: ['accuracy', 'precision', 'recall', 'f1', 'f1_macro', 'roc_auc'],
  regression: ['mse', 'mae', 'pearson', 'spearman'],
};

/**
 * Metrics of logits [n, classes] and labels: classes [n] (−100 does not count), indicators [n, classes] or
 * values [n]. With several labels a text, `accuracy` needs all of them right, and precision, recall, F1 and
 * ROC-AUC are micro-averaged. Throws `NonFiniteError` for a logit that is not finite, which would otherwise
 * count as class 0.
 */
export function evaluateLogits(
  problemType: ProblemType,
  logits: Float32Array,
  labels: Values,
  classes: number,
): Evaluation {
  checkFinite(logits, classes);
  if (problemType === 'regression') {
    return {
      metrics: {
        mse: meanSquaredError(logits, labels),
        mae: meanAbsoluteError(logits, labels),
        pearson: pearson(logits, labels),
        spearman: spearman(logits, labels),
      },
    };
  }
  return problemType === 'multi_label_classification'
    ? multiLabel(logits, labels, classes)
    : singleLabel(logits, labels, classes);
}

/** Classes of texts or tokens; as in the loss, a label of −100 does not count. */
function singleLabel(allLogits: Float32Array, allLabels: Values, classes: number): Evaluation {
  const counted = Array.from({ length: allLabels.length }, (_, i) => i).filter(
    (i) => allLabels[i] !== IGNORED,
  );
  const labels = counted.map((i) => allLabels[i]!);
  const logits = new Float32Array(counted.length * classes);
  for (const [row, i] of counted.entries())
    logits.set(allLogits.subarray(i * classes, (i + 1) * classes), row * classes);
  const predictions = argmaxRows(logits, classes);
  const probabilities = softmaxRows(logits, classes);
  const average = classes === 2 ? 'binary' : 'macro';
  const metrics: Metrics = {
    accuracy: accuracy(predictions, labels),
    ...precisionRecallF1(predictions, labels, classes, average),
    roc_auc:
      classes === 2
        ? rocAuc(columnOf(probabilities, 2, 1), labels)
        : rocAucOneVsRest(probabilities, labels, classes),
    matthews_correlation: matthewsCorrelation(predictions, labels, classes),
  };
  return { metrics, confusion: confusionMatrix(predictions, labels, classes) };
}

/** Predicts each class whose sigmoid is above one half, that is, whose logit is above zero. */
function multiLabel(logits: Float32Array, labels: Values, classes: number): Evaluation {
  const predicted = Array.from(logits, (value) => (value > 0 ? 1 : 0));
  const rows = labels.length / classes;
  const counts = Array.from({ length: classes }, (_, c): Counts => {
    const [own, right] = [columnOf(predicted, classes, c), columnOf(labels, classes, c)];
    return {
      hits: sumOf(rows, (row) => own[row]! * right[row]!),
      predicted: sumOf(rows, (row) => own[row]!),
      actual: sumOf(rows, (row) => right[row]!),
    };
  });
  const exact = sumOf(rows, (row) => {
    const same = sumOf(classes, (c) => (predicted[row * classes + c] === labels[row * classes + c] ? 1 : 0));
    return same === classes ? 1 : 0;
  });
  const { precision, recall, f1 } = averaged(counts, 'micro');
  return {
    metrics: {
      accuracy: exact / rows,
      precision,
      recall,
      f1,
      f1_macro: averaged(counts, 'macro').f1,
      roc_auc: rocAuc(logits, labels),
    },
  };
}
