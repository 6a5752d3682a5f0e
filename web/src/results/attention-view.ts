/** A map of the attention of a layer: who looks at whom, by head. */
import type { Attention } from '../inspect/inspector.ts';
import { showCompiling } from '../parts/compiling.ts';
import { field, h } from '../parts/dom.ts';
import { formatShare } from '../parts/format.ts';
import { troubleView } from '../parts/trouble-view.ts';
import { attentionMap } from './attention-map.ts';
import { headWeights, mostSeen } from './attention-rows.ts';
import { Latest } from './loading.ts';

/** Tokens that are named of those a token looks at. */
const NAMED = 5;

/** Asks for nothing before it is opened. */
export function attentionView(ask: (layer: number) => Promise<Attention>): HTMLElement {
  const content = h('div', { class: 'attention' });
  const details = h('details', {}, h('summary', {}, 'What the layers look at (attention)'), content);
  const latest = new Latest();
  let shown: ReturnType<typeof panel> | null = null;
  const show = async (layer: number): Promise<void> => {
    const isLast = latest.next();
    const hint = h('p', { class: 'hint' }, 'Reading the layer…');
    if (shown === null) content.replaceChildren(hint);
    try {
      const attention = await showCompiling(hint, ask(layer));
      if (!isLast()) return;
      if (shown === null) {
        shown = panel(attention, (chosen) => void show(chosen));
        content.replaceChildren(shown.element);
      }
      shown.take(attention);
    } catch (error) {
      shown = null;
      if (isLast()) content.replaceChildren(troubleView(error));
    }
  };
  details.addEventListener('toggle', () => {
    if (details.open && shown === null) void show(0);
  });
  return details;
}

const options = (names: readonly string[], values: readonly string[]) =>
  names.map((name, at) => h('option', { value: values[at]! }, name));
const numbered = (word: string, count: number) =>
  Array.from({ length: count }, (_, at) => `${word} ${at + 1}`);
const numbers = (count: number) => Array.from({ length: count }, (_, at) => `${at}`);

/** The pickers, the map and what a token looks at, for one text. */
function panel(
  first: Attention,
  onLayer: (layer: number) => void,
): { element: HTMLElement; take(attention: Attention): void } {
  const { tokens, layers, heads } = first;
  let attention = first;
  const layer = h('select', {}, ...options(numbered('Layer', layers), numbers(layers)));
  const head = h(
    'select',
    {},
    ...options(['Mean of all heads', ...numbered('Head', heads)], ['', ...numbers(heads)]),
  );
  const token = h(
    'select',
    {},
    ...options(
      tokens.map(({ name }, at) => `${at + 1}. ${name}`),
      numbers(tokens.length),
    ),
  );
  const readout = h('ol', { class: 'seen' });
  const said = h('p', { role: 'status' });
  const map = attentionMap(
    tokens.map(({ name }) => name),
    (row) => {
      token.value = `${row}`;
      draw();
    },
  );
  const draw = (): void => {
    const row = Number(token.value);
    const weights = headWeights(
      attention.weights,
      heads,
      tokens.length,
      head.value === '' ? null : Number(head.value),
    );
    const most = mostSeen(weights, tokens, row, NAMED);
    map.draw(weights, row);
    said.textContent = `${tokens[row]!.name} looks most at:`;
    readout.replaceChildren(
      ...most.map(({ token: name, weight }) =>
        h('li', {}, h('span', {}, name), h('span', {}, formatShare(weight))),
      ),
    );
  };
  layer.addEventListener('change', () => onLayer(Number(layer.value)));
  head.addEventListener('change', draw);
  token.addEventListener('change', draw);
  return {
    element: h(
      'div',
      { class: 'attention-panel' },
      h('div', { class: 'fields' }, field('Layer', layer), field('Head', head)),
      map.element,
      h('div', { class: 'looking' }, field('Token that looks', token), said, readout),
    ),
    take(given) {
      attention = given;
      draw();
    },
  };
}
