/** Rows written and labelled in the page. */
import type { TypedRow } from '../contract.ts';
import { classBars } from '../parts/class-bars.ts';
import { h, uniqueId } from '../parts/dom.ts';
import { countLabels, lackOf, wholeRows } from './choices.ts';

/** `onChange` gets the rows, once they can be learned from; else null. */
export function rowsEditor(onChange: (rows: readonly TypedRow[] | null) => void): HTMLElement {
  const labels = h('datalist', { id: uniqueId('labels') });
  const body = h('tbody');
  const counts = h('div', { class: 'card-status', role: 'status' });

  const rows = (): TypedRow[] =>
    [...body.rows].map((row) => {
      const [text, label] = row.querySelectorAll('input');
      return { text: text!.value, label: label!.value };
    });

  const update = (): void => {
    const now = rows();
    const classes = countLabels(now);
    const lack = lackOf(now);
    labels.replaceChildren(...classes.map(({ name }) => h('option', { value: name })));
    counts.replaceChildren(
      ...(classes.length > 0 ? [classBars(classes)] : []),
      ...(lack === null ? [] : [h('p', { class: 'hint' }, lack)]),
    );
    onChange(lack === null ? wholeRows(now) : null);
  };

  const number = (): void => {
    for (const [at, row] of [...body.rows].entries()) {
      const [text, label] = row.querySelectorAll('input');
      text!.setAttribute('aria-label', `Text of row ${at + 1}`);
      label!.setAttribute('aria-label', `Label of row ${at + 1}`);
      row.querySelector('button')!.setAttribute('aria-label', `Remove row ${at + 1}`);
    }
  };

  const add = (focus = true): void => {
    const text = h('input', { type: 'text', on: { input: update } });
    const label = h('input', { type: 'text', list: labels.id, on: { input: update, keydown: onKey } });
    const remove = (): void => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      number();
      update();
      (next?.querySelector('input') ?? adder).focus();
    };
    const button = h('button', { type: 'button', class: 'icon', on: { click: remove } }, '×');
    const row = h('tr', {}, h('td', {}, text), h('td', {}, label), h('td', {}, button));
    body.append(row);
    number();
    if (focus) text.focus();
  };

  /** Enter in the last label begins another row. */
  function onKey(event: KeyboardEvent): void {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    const row = (event.target as HTMLElement).closest('tr');
    if (row === body.rows[body.rows.length - 1]) add();
    else (row?.nextElementSibling as HTMLElement | null)?.querySelector('input')?.focus();
  }

  const adder = h('button', { type: 'button', class: 'secondary', on: { click: () => add() } }, 'Add a row');
  for (let at = 0; at < 4; at += 1) add(false);
  update();
  return h(
    'div',
    { class: 'rows-editor' },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('th', { scope: 'col' }, 'Text'),
          h('th', { scope: 'col' }, 'Label'),
          h('th', { scope: 'col' }, h('span', { class: 'hidden' }, 'Remove')),
        ),
      ),
      body,
    ),
    labels,
    adder,
    counts,
  );
}
