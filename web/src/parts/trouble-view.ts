/** Shows an error: what went wrong, and what to change. */
import { h } from './dom.ts';
import { type Trouble, troubleOf, type WorkerError } from './troubles.ts';

export function troubleView(error: unknown, more: Partial<Trouble> = {}): HTMLElement {
  const { name = 'Error', message = String(error) } = (error ?? {}) as Partial<WorkerError>;
  const { title, text, remedies } = { ...troubleOf({ name, message }), ...more };
  return h(
    'div',
    { class: 'trouble', role: 'alert' },
    h('strong', {}, title),
    h('p', {}, text),
    remedies.length === 0 ? null : h('ul', {}, ...remedies.map((remedy) => h('li', {}, remedy))),
  );
}
