/** Parts of the page that wait for the worker. */
import { showCompiling } from '../parts/compiling.ts';
import { h } from '../parts/dom.ts';
import { troubleView } from '../parts/trouble-view.ts';

/** A place for what `body` gives, with a hint until then; an error is shown in its place. */
export function loaded(hint: string, body: () => Promise<readonly HTMLElement[]>): HTMLElement {
  const words = h('p', { class: 'hint' }, hint);
  const place = h('div', { class: 'loaded', 'aria-busy': 'true' }, words);
  void showCompiling(words, body())
    .then((parts) => place.replaceChildren(...parts))
    .catch((error: unknown) => place.replaceChildren(troubleView(error)))
    .finally(() => place.removeAttribute('aria-busy'));
  return place;
}

/** Tells whether an answer is still that to the last question. */
export class Latest {
  private asked = 0;

  /** Begins a question: gives whether it is the last one. */
  next(): () => boolean {
    this.asked += 1;
    const own = this.asked;
    return () => own === this.asked;
  }
}

/** A part that scrolls sideways if it must, by keyboard too. */
export function scrolling(label: string, content: HTMLElement): HTMLElement {
  return h('div', { class: 'scroll', role: 'region', 'aria-label': label, tabindex: '0' }, content);
}

/** A table's head: the first column names rows, the others hold numbers. */
export function headRow(names: readonly string[]): HTMLElement {
  return h('tr', {}, ...names.map((name) => h('th', { scope: 'col' }, name)));
}

/** A table's row: its name, then cells. */
export function namedRow(name: string, cells: readonly string[]): HTMLElement {
  return h('tr', {}, h('th', { scope: 'row' }, name), ...cells.map((cell) => h('td', {}, cell)));
}
