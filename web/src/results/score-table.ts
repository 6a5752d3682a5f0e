/** The scores on the rows held out. */
import type { Scores } from '../inspect/scores.ts';
import { h } from '../parts/dom.ts';
import { formatCount, formatNumber, formatShare } from '../parts/format.ts';
import { confusionView } from './confusion.ts';
import { headRow, namedRow, scrolling } from './loading.ts';
import { scatterView } from './scatter.ts';

const orNone = (value: number | null, format: (value: number) => string): string =>
  value === null ? '–' : format(value);

function figures(entries: readonly (readonly [name: string, value: string])[]): HTMLElement {
  return h(
    'dl',
    { class: 'stats' },
    ...entries.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
  );
}

/** The scores, and what the model took for what. */
export function scoresView(scores: Scores): HTMLElement[] {
  if (scores.kind === 'values') {
    const { pearson, spearman, mse, mae, rows, points } = scores;
    return [
      figures([
        ['Pearson', orNone(pearson, formatNumber)],
        ['Spearman', orNone(spearman, formatNumber)],
        ['Mean squared error', formatNumber(mse)],
        ['Mean distance', formatNumber(mae)],
        ['Rows', formatCount(rows)],
      ]),
      scatterView(points),
    ];
  }
  const { accuracy, rocAuc, macro, rows } = scores;
  const sets = scores.kind === 'sets';
  const top = figures([
    [sets ? 'All classes right' : 'Accuracy', formatShare(accuracy)],
    ...(sets ? ([['F1, micro', formatShare(scores.micro.f1)]] as const) : []),
    ['F1, macro', formatShare(macro.f1)],
    ['ROC-AUC', orNone(rocAuc, formatNumber)],
    ...(sets ? [] : ([['Matthews', orNone(scores.matthews, formatNumber)]] as const)),
    ['Rows', formatCount(rows)],
  ]);
  return [top, classTable(scores), ...(sets ? [] : [confusionView(scores)])];
}

function classTable(scores: Exclude<Scores, { kind: 'values' }>): HTMLElement {
  const cells = ({ precision, recall, f1 }: (typeof scores)['macro']) =>
    [precision, recall, f1].map(formatShare);
  const table = h(
    'table',
    { class: 'numbers' },
    h('caption', {}, 'Scores by class'),
    h('thead', {}, headRow(['Class', 'Precision', 'Recall', 'F1', 'Rows'])),
    h(
      'tbody',
      {},
      ...scores.classes.map((one) => namedRow(one.name, [...cells(one), formatCount(one.rows)])),
    ),
    h(
      'tfoot',
      {},
      namedRow('Mean of classes (macro)', [...cells(scores.macro), formatCount(scores.rows)]),
      scores.kind === 'sets'
        ? namedRow('All decisions (micro)', [...cells(scores.micro), formatCount(scores.rows)])
        : null,
    ),
  );
  return scrolling('Scores by class', table);
}
