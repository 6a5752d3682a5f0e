/** How many rows have each class, as bars with numbers. */
import type { ClassCount } from '../contract.ts';
import { h } from './dom.ts';
import { formatCount } from './format.ts';

/** More classes are summed up in a line. */
const MOST = 12;

export function classBars(classes: readonly ClassCount[]): HTMLElement {
  const most = Math.max(1, ...classes.map(({ count }) => count));
  const sorted = classes.length > MOST ? [...classes].sort((a, b) => b.count - a.count) : classes;
  const rest = sorted.slice(MOST);
  return h(
    'ul',
    { class: 'bars', 'aria-label': 'Rows by class' },
    ...sorted
      .slice(0, MOST)
      .map(({ name, count }) =>
        h(
          'li',
          {},
          h('span', { class: 'bar-name' }, name),
          h(
            'span',
            { class: 'bar', 'aria-hidden': 'true' },
            h('span', { class: 'fill', style: `width: ${((100 * count) / most).toFixed(1)}%` }),
          ),
          h('span', { class: 'bar-count' }, formatCount(count)),
        ),
      ),
    rest.length === 0
      ? null
      : h('li', { class: 'hint' }, `and ${rest.length} more classes with ${formatCount(sumOf(rest))} rows`),
  );
}

const sumOf = (classes: readonly ClassCount[]): number => classes.reduce((sum, { count }) => sum + count, 0);
