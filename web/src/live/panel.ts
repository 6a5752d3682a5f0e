/** What is seen of a training while it runs: numbers, curves, evaluations, and the buttons that steer it. */
import type { TrainEvent } from '../contract.ts';
import { h, onNextFrame } from '../parts/dom.ts';
import {
  formatBytes,
  formatCount,
  formatNumber,
  formatSeconds,
  formatShare,
  metricName,
} from '../parts/format.ts';
import { chart } from './chart.ts';
import { curvesOf, type EvaluationEntry, evaluationsOf, scoreOf } from './history.ts';
import { TrainingProgress } from './progress.ts';

export type PanelState = 'idle' | 'running' | 'pausing' | 'paused' | 'stopping' | 'finished' | 'failed';

export interface PanelActions {
  onPause(): void;
  onResume(): void;
  onStop(): void;
}

export interface LivePanel {
  element: HTMLElement;
  heading: HTMLElement;
  take(event: TrainEvent): void;
  show(state: PanelState): void;
  /** Forgets the last training. */
  reset(): void;
  readonly progress: TrainingProgress;
}

const statNames = ['step', 'epoch', 'loss', 'score', 'speed', 'left', 'memory', 'kernels'] as const;
type StatName = (typeof statNames)[number];

const statLabels: Record<StatName, string> = {
  step: 'Step',
  epoch: 'Epoch',
  loss: 'Loss',
  score: 'Score',
  speed: 'Tokens/s',
  memory: 'GPU memory',
  left: 'Time left',
  kernels: 'Kernels',
};

export function livePanel({ onPause, onResume, onStop }: PanelActions): LivePanel {
  let progress = new TrainingProgress();
  let state: PanelState = 'idle';
  let evaluations = 0;
  const heading = h('h2', { id: 'live-title', tabindex: '-1' }, 'Training');
  const stage = h('p', { class: 'stage' });
  const announcer = h('p', { class: 'hidden', role: 'status', 'data-announcer': true });
  const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Steps done' });
  const stats = new Map(statNames.map((name) => [name, h('dd', { 'data-stat': name }, '–')]));
  const loss = chart({
    title: 'Loss',
    series: [
      { name: 'each step', color: '--series-1', weight: 'faint' },
      { name: 'smoothed', color: '--series-1' },
      { name: 'evaluation', color: '--series-2', weight: 'sparse' },
    ],
  });
  const score = chart({
    title: 'Score on held-out data',
    series: [{ name: 'evaluation', color: '--series-2', weight: 'sparse' }],
    range: [0, 1],
  });
  const table = h('tbody');
  const scoreHead = h('th', { scope: 'col' }, 'Score');
  const warnings = h('ul', { class: 'warnings' });
  const pause = h('button', { type: 'button', class: 'secondary', on: { click: onPause } }, 'Pause');
  const resume = h('button', { type: 'button', class: 'primary', on: { click: onResume } }, 'Resume');
  const stop = h(
    'button',
    {
      type: 'button',
      class: 'secondary',
      on: { click: onStop },
      title: 'Ends now, with the best model so far',
    },
    'Stop',
  );

  const draw = (): void => {
    const { step, steps, log } = progress;
    stage.textContent = stageText(state, progress);
    bar.max = Math.max(steps, 1);
    bar.value = step;
    for (const [name, text] of Object.entries(statTexts(progress)))
      stats.get(name as StatName)!.textContent = text;
    const curves = curvesOf(log);
    if (steps > 0) {
      loss.draw([curves.steps, curves.loss, curves.smooth, curves.evalLoss], steps);
      score.draw([curves.steps, curves.score], steps);
    }
    const rows = evaluationsOf(log);
    if (rows.length === evaluations) return;
    evaluations = rows.length;
    const key = scoreOf(log);
    scoreHead.textContent = key === null ? 'Score' : capitalized(metricName(key));
    table.replaceChildren(...rows.map((row) => tableRow(row)));
    if (rows.length > 0) announcer.textContent = announced(rows.at(-1)!, scoreHead.textContent);
  };
  const drawSoon = onNextFrame(draw);

  const figures = h(
    'div',
    { class: 'figures', hidden: true },
    h(
      'dl',
      { class: 'stats' },
      ...statNames.map((name) => h('div', {}, h('dt', {}, statLabels[name]), stats.get(name)!)),
    ),
    h('div', { class: 'charts' }, loss.element, score.element),
    h(
      'table',
      { class: 'evaluations' },
      h('caption', {}, 'Evaluations'),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          ...['Epoch', 'Step', 'Train loss', 'Eval. loss'].map((name) => h('th', { scope: 'col' }, name)),
          scoreHead,
        ),
      ),
      table,
    ),
    warnings,
  );
  const intro = introduction();
  const buttons = h('div', { class: 'buttons' }, pause, resume, stop);

  const show = (next: PanelState): void => {
    state = next;
    figures.hidden = next === 'idle';
    intro.hidden = next !== 'idle';
    bar.hidden = next === 'idle';
    pause.hidden = !['running', 'pausing'].includes(next);
    pause.disabled = next === 'pausing';
    resume.hidden = !(next === 'paused' || (next === 'failed' && progress.savedStep !== null));
    stop.hidden = !['running', 'stopping'].includes(next);
    stop.disabled = next === 'stopping';
    announcer.textContent = next === 'idle' ? '' : stageText(next, progress);
    draw();
  };

  const element = h(
    'section',
    { class: 'card live', 'aria-labelledby': 'live-title' },
    h('div', { class: 'card-head' }, heading, buttons),
    stage,
    announcer,
    bar,
    intro,
    figures,
  );
  show('idle');
  return {
    element,
    heading,
    show,
    take(event) {
      progress.take(event);
      if (event.kind === 'warning')
        warnings.replaceChildren(...progress.warnings.map((text) => h('li', { class: 'hint' }, text)));
      drawSoon();
    },
    reset() {
      progress = new TrainingProgress();
      evaluations = 0;
      table.replaceChildren();
      warnings.replaceChildren();
    },
    get progress() {
      return progress;
    },
  };
}

const capitalized = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}`;

function introduction(): HTMLElement {
  return h(
    'div',
    { class: 'intro' },
    h('p', {}, 'Press Train: a model learns here, in this tab, from the data on the left.'),
    h(
      'ul',
      {},
      h('li', {}, 'Its loss and its score are drawn while it learns.'),
      h('li', {}, 'Then you see its mistakes, try sentences on it, and look at what it attends to.'),
      h('li', {}, 'You take the model with you: Python’s transformers loads it as it is.'),
    ),
  );
}

function stageText(
  state: PanelState,
  { stage, step, steps, compiling, savedStep }: TrainingProgress,
): string {
  if (state === 'idle') return '';
  if (state === 'pausing') return 'Saving a checkpoint…';
  if (state === 'paused') return `Paused at step ${step} of ${steps}. The browser keeps the checkpoint.`;
  if (state === 'stopping') return 'Stopping: evaluating and saving the model…';
  if (state === 'finished') return `Finished after ${step} steps.`;
  if (state === 'failed')
    return savedStep === null
      ? 'Ended by an error.'
      : `Ended by an error. The checkpoint of step ${savedStep} is kept.`;
  if (compiling !== null) return `Compiling kernels: ${compiling.done} of ${compiling.total}`;
  return `${stage}…`;
}

function statTexts({
  step,
  steps,
  epoch,
  epochs,
  log,
  memoryBytes,
  compiling,
  kernels,
  tokensPerSecond,
  secondsLeft,
}: TrainingProgress): Record<StatName, string> {
  const loss = log.findLast((entry) => typeof entry.loss === 'number')?.loss;
  const orDash = (value: number | null | undefined, format: (value: number) => string): string =>
    value === null || value === undefined ? '–' : format(value);
  return {
    step: steps === 0 ? '–' : `${formatCount(step)} / ${formatCount(steps)}`,
    epoch: epochs === 0 ? '–' : `${epoch.toFixed(2)} / ${epochs}`,
    loss: orDash(loss, formatNumber),
    score: orDash(evaluationsOf(log).at(-1)?.score, formatShare),
    speed: orDash(tokensPerSecond, (value) => formatCount(Math.round(value))),
    memory: memoryBytes === 0 ? '–' : formatBytes(memoryBytes),
    left: step === steps && steps > 0 ? '0 s' : orDash(secondsLeft, formatSeconds),
    kernels: compiling === null ? formatCount(kernels) : `${compiling.done} / ${compiling.total}`,
  };
}

function tableRow({ epoch, step, loss, evalLoss, score }: EvaluationEntry): HTMLTableRowElement {
  const number = (value: number | null): string => (value === null ? '–' : value.toFixed(4));
  const cells = [epoch.toFixed(1), String(step), number(loss), number(evalLoss)];
  return h(
    'tr',
    {},
    ...cells.map((cell) => h('td', {}, cell)),
    h('td', {}, score === null ? '–' : formatShare(score)),
  );
}

const announced = ({ epoch, evalLoss, score }: EvaluationEntry, name: string): string =>
  `Epoch ${epoch.toFixed(1)}: evaluation loss ${evalLoss === null ? 'unknown' : evalLoss.toFixed(3)}` +
  `${score === null ? '' : `, ${name.toLowerCase()} ${formatShare(score)}`}`;
