/** Formats evaluations as tables, and the outcome of a training. */
import Table from 'cli-table3';
import { type Evaluation, isTiming } from '../train/metrics.ts';
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
  perplexity: 'perplexity',
  exact_match: 'exact match',
};

const scores = ['precision', 'recall', 'f1', 'number'] as const;

/**
 * A table of the metrics, one of the types of entities, and the confusion matrix with the true classes as
 * rows.
 */
export function formatEvaluation({ metrics, confusion }: Evaluation, names: readonly string[]): string {
  const table = new Table(plain);
  const value = (key: string): string | undefined => {
    const number = metrics[`eval_${key}`];
    if (number === undefined) return undefined;
    return number === null
      ? 'not defined'
      : Number.isInteger(number) && key.endsWith('number')
        ? `${number}`
        : number.toFixed(4);
  };
  const types = Object.keys(metrics).flatMap((name) => /^eval_(.+)_number$/.exec(name)?.[1] ?? []);
  const known = types.flatMap((type) => scores.map((key) => `${type}_${key}`));
  const others = Object.keys(metrics)
    .map((name) => name.replace(/^eval_/, ''))
    .filter((key) => titles[key] === undefined && !known.includes(key) && !isTiming(key));
  for (const key of [...Object.keys(titles), ...others]) {
    const shown = value(key);
    if (shown !== undefined) table.push([titles[key] ?? key, shown]);
  }
  const tables = [table];
  const numbers = (head: string[]): Table.Table => {
    const made = new Table({
      ...plain,
      head,
      colAligns: ['left', ...head.slice(1).map(() => 'right' as const)],
    });
    tables.push(made);
    return made;
  };
  if (types.length > 0) {
    const byType = numbers(['type', 'precision', 'recall', 'F1', 'number']);
    for (const type of types) byType.push([type, ...scores.map((key) => value(`${type}_${key}`) ?? '')]);
  }
  if (confusion !== undefined) {
    const matrix = numbers(['true \\ predicted', ...names]);
    for (const [index, row] of confusion.entries())
      matrix.push([names[index] ?? String(index), ...row.map(String)]);
  }
  return tables.map(String).join('\n\n');
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
