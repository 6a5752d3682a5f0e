/** The mistakes of which the model is surest. */
import type { PageWorker, Run } from '../contract.ts';
import type { Mistake } from '../inspect/scores.ts';
import { h } from '../parts/dom.ts';
import { counted, formatNumber, formatShare } from '../parts/format.ts';
import { loaded } from './loading.ts';

const MOST = 30;
/** Shown before the rest is asked for. */
const FIRST = 5;

/** `explain` takes a mistake's text to the box to try a sentence. */
export function mistakesView(
  worker: PageWorker,
  run: Run,
  explain: (text: string, pair?: string) => void,
): HTMLElement {
  const isValue = run.problemType === 'regression';
  const content = loaded('Looking for mistakes…', async () => {
    const { count, worst } = await worker.inspect.mistakes(MOST);
    if (count === 0) return [h('p', {}, `All ${counted(run.evaluationRows, 'held-out row')} are right.`)];
    const items = worst.map((mistake) => itemOf(mistake, isValue, explain));
    const more = moreButton(items.slice(FIRST));
    return [
      h(
        'p',
        { class: 'hint' },
        isValue
          ? 'The rows whose values are farthest from their labels.'
          : `${counted(count, 'mistake')} in ${counted(run.evaluationRows, 'held-out row')}, the surest first.`,
      ),
      h('ol', { class: 'mistakes' }, ...items),
      ...(more === null ? [] : [more]),
    ];
  });
  return h(
    'section',
    { class: 'finding', 'aria-labelledby': 'mistakes-title' },
    h('h3', { id: 'mistakes-title' }, isValue ? 'Largest errors' : 'Most confident mistakes'),
    content,
  );
}

function moreButton(hidden: readonly HTMLElement[]): HTMLElement | null {
  if (hidden.length === 0) return null;
  for (const item of hidden) item.hidden = true;
  const button = h('button', { type: 'button', class: 'secondary' }, `Show ${hidden.length} more`);
  button.addEventListener('click', () => {
    for (const item of hidden) item.hidden = false;
    button.remove();
    hidden[0]!.querySelector('button')!.focus();
  });
  return button;
}

function itemOf(
  { text, pair, label, predicted, error }: Mistake,
  isValue: boolean,
  explain: (text: string, pair?: string) => void,
): HTMLElement {
  const sure = isValue ? `off by ${formatNumber(error)}` : formatShare(error);
  return h(
    'li',
    {},
    h('p', { class: 'quote' }, text),
    pair === undefined ? null : h('p', { class: 'quote' }, pair),
    h(
      'p',
      { class: 'verdict' },
      h('span', { class: 'tag' }, `labeled ${label}`),
      h('span', { class: 'tag wrong' }, `predicted ${predicted}`),
      h('span', {}, sure),
      h(
        'button',
        {
          type: 'button',
          class: 'link',
          'aria-label': `Explain: ${text.slice(0, 80)}`,
          on: { click: () => explain(text, pair) },
        },
        'Explain',
      ),
    ),
  );
}
