/** The box to try a sentence: what the model gives to it, which tokens count, what its layers look at. */
import type { PageWorker, Run } from '../contract.ts';
import type { Explanation } from '../inspect/inspector.ts';
import { showCompiling } from '../parts/compiling.ts';
import { field, h } from '../parts/dom.ts';
import { formatNumber, formatShare } from '../parts/format.ts';
import { troubleView } from '../parts/trouble-view.ts';
import { attentionView } from './attention-view.ts';
import { Latest } from './loading.ts';
import { ranked } from './ranking.ts';
import { signWords } from './shares.ts';
import { tokenText } from './token-text.ts';

/** Classes with bars. */
const MOST_BARS = 8;

export interface SentenceView {
  element: HTMLElement;
  /** Puts a text into the box, and asks about it. */
  ask(text: string, pair?: string): void;
}

interface Question {
  text: string;
  pair: string | undefined;
}

export function sentenceView(worker: PageWorker, run: Run): SentenceView {
  const box = () => h('textarea', { rows: '2', required: true, spellcheck: 'false' });
  const [first, second] = [box(), box()];
  const answer = h('div', { class: 'answer' });
  const announcer = h('p', { class: 'hidden', role: 'status' });
  const latest = new Latest();

  const tell = async (question: Question, output?: number): Promise<void> => {
    const isLast = latest.next();
    const hint = h('p', { class: 'hint' }, 'Reading the text…');
    if (output === undefined) answer.replaceChildren(hint);
    try {
      const { text, pair } = question;
      const found = await showCompiling(hint, worker.inspect.explain(text, pair, output));
      if (!isLast()) return;
      const again = (chosen: number) => tell(question, chosen);
      answer.replaceChildren(...answerParts(worker, run, question, found, again));
      announcer.textContent = summaryOf(run, found);
      if (output !== undefined) answer.querySelector('select')!.focus();
    } catch (error) {
      if (isLast()) answer.replaceChildren(troubleView(error));
    }
  };

  const submit = (event: Event): void => {
    event.preventDefault();
    void tell({ text: first.value, pair: run.pairs ? second.value : undefined });
  };
  const form = h(
    'form',
    { class: 'try', on: { submit } },
    field('Try a sentence', first),
    run.pairs ? field('The second text', second) : null,
    h('button', { class: 'primary' }, 'Predict'),
  );
  // As in a chat: Enter sends, with Shift it begins a line.
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    if (!(event.target instanceof HTMLTextAreaElement)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  const title = h('h3', { id: 'try-title' }, 'Try it');
  return {
    element: h(
      'section',
      { class: 'finding', 'aria-labelledby': 'try-title' },
      title,
      form,
      announcer,
      answer,
    ),
    ask(text, pair) {
      [first.value, second.value] = [text, pair ?? ''];
      first.focus();
      form.scrollIntoView({ block: 'start' });
      form.requestSubmit();
    },
  };
}

/** What the model gives, in a few words. */
function summaryOf({ problemType, labels }: Run, { outputs }: Explanation): string {
  if (problemType === 'regression') return `The value is ${formatNumber(outputs[0]!)}.`;
  if (problemType === 'multi_label_classification') {
    const found = ranked(labels, outputs, labels.length).filter(({ value }) => value > 0.5);
    const named = found.map(({ name, value }) => `${name} (${formatShare(value)})`);
    return named.length === 0 ? 'No class is above 50 %.' : `Found ${named.join(', ')}.`;
  }
  const [best] = ranked(labels, outputs, 1);
  return `The model says ${best!.name}, at ${formatShare(best!.value)}.`;
}

function answerParts(
  worker: PageWorker,
  run: Run,
  { text, pair }: Question,
  found: Explanation,
  again: (output: number) => Promise<void>,
): HTMLElement[] {
  const isValue = run.problemType === 'regression';
  const texts = [text, ...(pair === undefined ? [] : [pair])];
  const classes = h(
    'select',
    {},
    ...run.labels.map((name, id) => h('option', { value: id, selected: id === found.output }, name)),
  );
  classes.addEventListener('change', () => void again(Number(classes.value)));
  return [
    h('p', { class: 'summary' }, summaryOf(run, found)),
    ...(isValue ? [] : [outputBars(run.labels, found.outputs)]),
    h(
      'div',
      { class: 'why' },
      h('h4', {}, isValue ? 'What moves the value' : 'What speaks for a class'),
      isValue ? null : field('Explain the class', classes),
    ),
    ...tokenText(found, texts, signWords(isValue)),
    attentionView((layer) => worker.inspect.attention(text, pair, layer)),
  ];
}

/** Probabilities as bars with numbers. */
function outputBars(labels: readonly string[], outputs: readonly number[]): HTMLElement {
  const rest = labels.length - MOST_BARS;
  return h(
    'ul',
    { class: 'bars', 'aria-label': 'Probabilities' },
    ...ranked(labels, outputs, MOST_BARS).map(({ name, value }) =>
      h(
        'li',
        {},
        h('span', { class: 'bar-name' }, name),
        h(
          'span',
          { class: 'bar', 'aria-hidden': 'true' },
          h('span', { class: 'fill', style: `width: ${(100 * value).toFixed(1)}%` }),
        ),
        h('span', { class: 'bar-count' }, formatShare(value)),
      ),
    ),
    rest > 0 ? h('li', { class: 'hint' }, `and ${rest} less probable`) : null,
  );
}
