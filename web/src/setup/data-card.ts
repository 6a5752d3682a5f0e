/** Picks the data: the embedded set, files, or rows written in the page. */
import type { DataReport, DataSource, PageWorker, TypedRow } from '../contract.ts';
import { classBars } from '../parts/class-bars.ts';
import { choice, field, h } from '../parts/dom.ts';
import { acceptDrops } from '../parts/files.ts';
import { counted } from '../parts/format.ts';
import { troubleView } from '../parts/trouble-view.ts';
import { imbalance } from './choices.ts';
import { rowsEditor } from './rows-editor.ts';

export interface PickedData {
  source: DataSource;
  report: DataReport;
}

type Way = 'example' | 'files' | 'rows';

/** Rows are read once the typing rests. */
const TYPING_MS = 200;
const ACCEPTED = '.csv,.tsv,.txt,.jsonl,.ndjson,.json,.parquet,.gz';

/** `onPick` gets the data once they are known, and null while they are not. */
export function dataCard(worker: PageWorker, onPick: (data: PickedData | null) => void): HTMLElement {
  const status = h('div', { class: 'card-status', role: 'status' });
  let latest = 0;

  const forget = (): number => {
    latest += 1;
    onPick(null);
    return latest;
  };

  const take = async (source: DataSource, show = true): Promise<void> => {
    const asked = forget();
    if (show) status.replaceChildren(h('p', { class: 'hint' }, 'Reading the data…'));
    try {
      const report = await worker.readData(source);
      if (asked !== latest) return;
      status.replaceChildren(...(show ? [summary(report)] : []));
      onPick({ source, report });
    } catch (error) {
      if (asked === latest) status.replaceChildren(troubleView(error));
    }
  };

  let waiting: ReturnType<typeof setTimeout> | undefined;
  let typed: readonly TypedRow[] | null = null;
  const takeRows = (rows: readonly TypedRow[] | null): void => {
    typed = rows;
    status.replaceChildren();
    forget();
    clearTimeout(waiting);
    if (rows !== null) waiting = setTimeout(() => void take({ kind: 'rows', rows }, false), TYPING_MS);
  };

  const panels: Record<Way, HTMLElement> = {
    example: h('p', { class: 'hint' }, 'Short reviews, positive or negative, written for this example.'),
    files: filesPanel((train, evaluation) => void take({ kind: 'files', train, evaluation })),
    rows: rowsEditor((rows) => takeRows(rows)),
  };
  const panel = h('div', { class: 'panel' }, panels.example);
  const pick = (way: Way): void => {
    clearTimeout(waiting);
    panel.replaceChildren(panels[way]);
    status.replaceChildren();
    forget();
    if (way === 'example') void take({ kind: 'example' });
    if (way === 'rows') takeRows(typed);
  };
  void take({ kind: 'example' });
  return h(
    'section',
    { class: 'card', 'aria-labelledby': 'data-title' },
    h('h2', { id: 'data-title' }, h('span', { class: 'step', 'aria-hidden': 'true' }, '2'), 'Data'),
    choice<Way>(
      'Where the data come from',
      [
        ['example', 'Example'],
        ['files', 'A file'],
        ['rows', 'Type rows'],
      ],
      pick,
    ),
    panel,
    status,
  );
}

const tasks: Record<DataReport['problemType'], string> = {
  single_label_classification: 'one class for',
  multi_label_classification: 'any number of classes for',
  regression: 'a value for',
};

function summary({ train, evaluation, problemType, pairs, classes, sample, notes }: DataReport): HTMLElement {
  const rows =
    evaluation === null
      ? counted(train, 'row')
      : `${counted(train, 'row')} to learn from, ${counted(evaluation, 'row')} to evaluate on`;
  const rare = imbalance(classes);
  return h(
    'div',
    {},
    h(
      'p',
      { class: 'ready' },
      h('strong', {}, rows),
      ` · learns ${tasks[problemType]} each ${pairs ? 'pair of texts' : 'text'}`,
    ),
    classes.length === 0 ? null : classBars(classes),
    rare === null ? null : h('p', { class: 'hint' }, rare),
    h(
      'details',
      {},
      h('summary', {}, 'The first rows, and how they were read'),
      h(
        'ul',
        { class: 'sample' },
        ...sample.map(({ text, pair, label }) =>
          h(
            'li',
            {},
            h('span', { class: 'tag' }, label),
            ` ${pair === undefined ? text : `${text} | ${pair}`}`,
          ),
        ),
      ),
      ...notes.map((note) => h('p', { class: 'hint' }, note)),
    ),
  );
}

function filesPanel(take: (train: File, evaluation: File | null) => void): HTMLElement {
  const both = (): void => {
    const train = trainInput.files?.[0];
    if (train !== undefined) take(train, evaluationInput.files?.[0] ?? null);
  };
  const input = (): HTMLInputElement => h('input', { type: 'file', accept: ACCEPTED, on: { change: both } });
  const [trainInput, evaluationInput] = [input(), input()];
  const zone = h(
    'div',
    { class: 'drop files' },
    field(
      'To learn from',
      trainInput,
      'CSV, TSV, JSON lines or Parquet with a text and a label. Or drop it here.',
    ),
    field('To evaluate on (optional)', evaluationInput, 'Without it, a share of the rows is held out.'),
  );
  acceptDrops(zone, ({ files }) => {
    trainInput.files = files;
    both();
  });
  return zone;
}
