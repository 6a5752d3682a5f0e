/** Metrics, compared with scikit-learn and SciPy (test/reference/metrics_fixtures.py). */
import { describe, expect, it } from 'vitest';
import {
  type Average,
  accuracy,
  argmaxRows,
  confusionMatrix,
  evaluateLogits,
  isTiming,
  matthewsCorrelation,
  pearson,
  precisionRecallF1,
  rocAuc,
} from '../../src/train/metrics.ts';
import { fixtures, readJson } from '../support/fixtures.ts';

interface Fixture {
  cases: {
    classes: number;
    labels: number[];
    logits: number[];
    accuracy: number;
    confusion: number[][];
    matthews: number;
    averages: Record<Average, [number, number, number]>;
    auc: number;
  }[];
  edges: {
    classes: number;
    labels: number[];
    predictions: number[];
    matthews: number;
    averages: Record<Average, [number, number, number]>;
  }[];
  tied: { labels: number[]; scores: number[]; auc: number };
  correlation: Record<'a' | 'b', number[]> & Record<'pearson' | 'spearman' | 'mse' | 'mae', number>;
  multi: Record<'labels' | 'logits', number[]> &
    Record<'accuracy' | 'precision' | 'recall' | 'f1' | 'f1_macro' | 'roc_auc', number>;
}
const fixture = await readJson<Fixture>(`${fixtures}metrics.json`);

function expectAverages(
  predictions: number[],
  labels: number[],
  classes: number,
  averages: Record<Average, [number, number, number]>,
): void {
  for (const [average, [precision, recall, f1]] of Object.entries(averages)) {
    const ours = precisionRecallF1(predictions, labels, classes, average as Average);
    expect(ours.precision, average).toBeCloseTo(precision, 12);
    expect(ours.recall, average).toBeCloseTo(recall, 12);
    expect(ours.f1, average).toBeCloseTo(f1, 12);
  }
}

describe('against scikit-learn', () => {
  it.each(fixture.cases)('$classes classes', ({ classes, labels, logits, ...expected }) => {
    const predictions = argmaxRows(logits, classes);
    expect(accuracy(predictions, labels)).toBeCloseTo(expected.accuracy, 12);
    expect(confusionMatrix(predictions, labels, classes)).toEqual(expected.confusion);
    expect(matthewsCorrelation(predictions, labels, classes)).toBeCloseTo(expected.matthews, 12);
    expectAverages(predictions, labels, classes, expected.averages);
    const { metrics } = evaluateLogits(
      'single_label_classification',
      Float32Array.from(logits),
      labels,
      classes,
    );
    expect(metrics.roc_auc).toBeCloseTo(expected.auc, 9);
  });

  it.each(fixture.edges)(
    '$classes classes: labels $labels, predictions $predictions',
    ({ classes, labels, predictions, matthews, averages }) => {
      expectAverages(predictions, labels, classes, averages);
      expect(matthewsCorrelation(predictions, labels, classes)).toBeCloseTo(matthews, 12);
    },
  );

  it('ROC-AUC of tied scores', () => {
    const { scores, labels, auc } = fixture.tied;
    expect(rocAuc(scores, labels)).toBeCloseTo(auc, 12);
  });

  it('correlations', () => {
    const { a, b, ...expected } = fixture.correlation;
    const { metrics } = evaluateLogits('regression', Float32Array.from(a), b, 1);
    expect(metrics.pearson).toBeCloseTo(expected.pearson, 6);
    expect(metrics.spearman).toBeCloseTo(expected.spearman, 12);
    expect(metrics.mse).toBeCloseTo(expected.mse, 6);
    expect(metrics.mae).toBeCloseTo(expected.mae, 6);
  });

  it('leaves out what the loss leaves out: labels of −100', () => {
    const logits = Float32Array.from([2, 1, 9, 9, 0, 1, 0, 3]);
    const all = evaluateLogits('single_label_classification', logits, [0, -100, 0, 1], 2);
    const counted = Float32Array.from([2, 1, 0, 1, 0, 3]);
    expect(all).toEqual(evaluateLogits('single_label_classification', counted, [0, 0, 1], 2));
  });

  it('several labels a text', () => {
    const { labels, logits, ...expected } = fixture.multi;
    const { metrics } = evaluateLogits('multi_label_classification', Float32Array.from(logits), labels, 4);
    for (const [name, value] of Object.entries(expected)) expect(metrics[name], name).toBeCloseTo(value, 12);
  });
});

it('times are told from scores', () => {
  const times = [
    'runtime',
    'eval_samples_per_second',
    'train_steps_per_second',
    'epoch',
    'step',
    'total_flos',
  ];
  expect(times.every(isTiming)).toBe(true);
  expect(['loss', 'eval_accuracy', 'recall@5', 'f1', 'overruntime'].some(isTiming)).toBe(false);
});

describe('bad input', () => {
  it('is named', () => {
    expect(() => confusionMatrix([0, 1], [0, 5], 2)).toThrowErrorMatchingSnapshot();
    expect(() => confusionMatrix([0], [-100], 2)).toThrowErrorMatchingSnapshot();
    const logits = Float32Array.from([0, 1, Number.NaN, 2]);
    expect(() =>
      evaluateLogits('single_label_classification', logits, [0, 1], 2),
    ).toThrowErrorMatchingSnapshot();
  });
});

describe('where a metric is not defined', () => {
  it('gives null or 0 as documented', () => {
    expect(rocAuc([0.1, 0.9], [1, 1])).toBeNull();
    expect(pearson([1, 1], [0, 1])).toBeNull();
    expect(precisionRecallF1([0, 0], [0, 0], 2, 'binary')).toEqual({ precision: 0, recall: 0, f1: 0 });
    expect(() => accuracy([], [])).toThrowErrorMatchingSnapshot();
  });
});
