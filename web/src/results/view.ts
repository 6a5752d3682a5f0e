/** What the page shows after a training. */
import type { PageWorker, Run } from '../contract.ts';
import { h } from '../parts/dom.ts';
import { loaded } from './loading.ts';
import { mistakesView } from './mistakes.ts';
import { scoresView } from './score-table.ts';
import { sentenceView } from './sentence.ts';

/** The views of a finished training: its scores, a box to try a sentence, its mistakes. */
export function resultsView(worker: PageWorker, run: Run): HTMLElement {
  const sentence = sentenceView(worker, run);
  if (run.evaluationRows === 0) return h('div', { class: 'findings' }, sentence.element);
  const scores = loaded('Evaluating…', async () => {
    const found = await worker.inspect.scores();
    return found === null ? [] : scoresView(found);
  });
  return h(
    'div',
    { class: 'findings' },
    h(
      'section',
      { class: 'finding', 'aria-labelledby': 'scores-title' },
      h('h3', { id: 'scores-title' }, 'Scores on the rows held out'),
      scores,
    ),
    sentence.element,
    mistakesView(worker, run, sentence.ask),
  );
}
