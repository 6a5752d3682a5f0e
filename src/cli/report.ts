/** Formats evaluations as tables, and the outcome of a training. */
import Table from 'cli-table3';
import type { Evaluation } from '../train/metrics.ts';
import type { TrainOutput } from '../train/trainer.ts';
import { duration } from './progress.ts';

const borders =
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left-mid mid mid-mid right right-mid';

/** Columns with spaces between, without borders: every terminal and log can show them. */
const plain = {
  chars: { ...Object.fromEntries(borders.split(' ').map((name) => [name, ''])), left: '  ', middle: '  ' },
  style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
};

const titles: Record<string, string> = {
  loss: 'loss',
  accuracy: 'accuracy',
  precision: 'precision',
  recall: 'recall',
  f1: 'F1',
  f1_macro: 'F1 (macro)',
  roc_auc: 'ROC-AUC',
  matthews_correlation: 'Matthews',
  mse: 'MSE',
  pearson: 'Pearson',
  spearman: 'Spearman',
};

/** A table of the metrics, and the confusion matrix with the true classes as rows. */
export function formatEvaluation({ metrics, confusion }: Evaluation, names: readonly string[]): string {
  const table = new Table(plain);
  for (const [key, title] of Object.entries(titles)) {
    const value = metrics[`eval_${key}`];
    if (value !== undefined) table.push([title, value === null ? 'not defined' : value.toFixed(4)]);
  }
  if (confusion === undefined) return table.toString();
  const matrix = new Table({
    ...plain,
    head: ['true \\ predicted', ...names],
    colAligns: ['left', ...names.map(() => 'right' as const)],
  });
  for (const [index, row] of confusion.entries())
    matrix.push([names[index] ?? String(index), ...row.map(String)]);
  return `${table.toString()}\n\n${matrix.toString()}`;
}

/** Why a training ended, which step was restored, and how long it took. */
export function formatOutcome(
  { globalStep, stoppedEarly, restoredStep, seconds }: TrainOutput,
  metric: string,
): string {
  const lines = [
    `${stoppedEarly ? 'stopped early' : 'done'} after step ${globalStep}, in ${duration(seconds)}`,
  ];
  if (stoppedEarly) lines[0] += `: ${metric} did not improve any more`;
  if (restoredStep !== null) lines.push(`went back to the best weights, those of step ${restoredStep}`);
  return lines.join('\n');
}
