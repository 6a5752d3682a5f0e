/** The confusion matrix: a table, shaded; of very many classes, its largest mistakes. */
import type { Scores } from '../inspect/scores.ts';
import { h } from '../parts/dom.ts';
import { counted, formatCount, formatShare } from '../parts/format.ts';
import { headRow, namedRow, scrolling } from './loading.ts';
import { type MatrixCell, MOST_CLASSES, matrixCells, mostConfused } from './ranking.ts';

/** Rows of the list that stands for a matrix of very many classes. */
const MOST_LISTED = 20;

export function confusionView({ confusion, classes }: Extract<Scores, { kind: 'classes' }>): HTMLElement {
  const names = classes.map(({ name }) => name);
  return names.length > MOST_CLASSES ? list(confusion, names) : matrix(matrixCells(confusion), names);
}

function matrix(cells: readonly (readonly MatrixCell[])[], names: readonly string[]): HTMLElement {
  const table = h(
    'table',
    { class: 'confusion' },
    h(
      'caption',
      {},
      'Confusion matrix',
      h('small', { class: 'hint' }, 'Each row is a class as labeled, each column as predicted.'),
    ),
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        h('td', { class: 'corner' }, 'labeled ↓ predicted →'),
        ...names.map((name) => h('th', { scope: 'col' }, name)),
      ),
    ),
    h(
      'tbody',
      {},
      ...cells.map((row, label) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, names[label]!),
          ...row.map((cell, predicted) => matrixCell(cell, names[label]!, names[predicted]!)),
        ),
      ),
    ),
  );
  return scrolling('Confusion matrix', table);
}

function matrixCell({ rows, right, share, percent }: MatrixCell, label: string, predicted: string) {
  return h(
    'td',
    {
      class: right ? 'right' : 'wrong',
      style: `--shade: ${percent}%`,
      title: `${counted(rows, 'row')} of ${label} predicted as ${predicted}: ${formatShare(share)}`,
    },
    formatCount(rows),
  );
}

function list(confusion: readonly (readonly number[])[], names: readonly string[]): HTMLElement {
  const cells = mostConfused(confusion, names, MOST_LISTED);
  if (cells.length === 0) return h('p', {}, 'No class is taken for another.');
  const table = h(
    'table',
    { class: 'numbers' },
    h('caption', {}, `Most confused of ${names.length} classes`),
    h('thead', {}, headRow(['Labeled', 'Predicted', 'Rows', 'Of the class'])),
    h(
      'tbody',
      {},
      ...cells.map(({ label, predicted, rows, share }) =>
        namedRow(label, [predicted, formatCount(rows), formatShare(share)]),
      ),
    ),
  );
  return scrolling('Most confused classes', table);
}
