/** Picks a model: the embedded example, a hub id, a folder or files. */
import { proxy } from 'comlink';
import type { ModelReport, ModelSource, PageWorker } from '../contract.ts';
import { choice, field, h } from '../parts/dom.ts';
import { acceptDrops, droppedModel, folderPicker, isCancelled } from '../parts/files.ts';
import { counted, downloadText, formatCompact } from '../parts/format.ts';
import { troubleView } from '../parts/trouble-view.ts';

export interface PickedModel {
  source: ModelSource;
  report: ModelReport;
}

type Way = 'example' | 'hub' | 'folder';

/** `onPick` gets the model once it is known, and null while it is not. */
export function modelCard(worker: PageWorker, onPick: (model: PickedModel | null) => void): HTMLElement {
  const status = h('div', { class: 'card-status', role: 'status' });
  let latest = 0;

  /** `chosen` may wait for the user, who may change their mind: then all stays as it was. */
  const take = async (chosen: ModelSource | Promise<ModelSource>): Promise<void> => {
    let asked = latest;
    try {
      const source = await chosen;
      latest += 1;
      asked = latest;
      onPick(null);
      status.replaceChildren(h('p', { class: 'hint' }, 'Reading the model…'));
      const report = await worker.readModel(
        source,
        proxy((event) => {
          if (event.kind === 'download' && asked === latest)
            status.replaceChildren(h('p', { class: 'hint' }, `${downloadText(event)}…`));
        }),
      );
      if (asked !== latest) return;
      status.replaceChildren(summary(report));
      onPick({ source, report });
    } catch (error) {
      if (asked !== latest || isCancelled(error)) return;
      onPick(null);
      status.replaceChildren(troubleView(error));
    }
  };

  const panels: Record<Way, HTMLElement> = {
    example: h(
      'p',
      { class: 'hint' },
      'A BERT of 2.6 MB that comes with the page, pretrained on made-up reviews.',
    ),
    hub: hubForm(take),
    folder: folderPanel(take),
  };
  const panel = h('div', { class: 'panel' }, panels.example);
  const pick = (way: Way): void => {
    panel.replaceChildren(panels[way]);
    status.replaceChildren();
    latest += 1;
    onPick(null);
    if (way === 'example') void take({ kind: 'example' });
  };
  void take({ kind: 'example' });
  return h(
    'section',
    { class: 'card', 'aria-labelledby': 'model-title' },
    h('h2', { id: 'model-title' }, h('span', { class: 'step', 'aria-hidden': 'true' }, '1'), 'Model'),
    choice<Way>(
      'Where the model comes from',
      [
        ['example', 'Example'],
        ['hub', 'Hub id'],
        ['folder', 'Folder or files'],
      ],
      pick,
    ),
    panel,
    status,
  );
}

function summary({ name, type, layers, hiddenSize, parameters, maxLength, notes }: ModelReport): HTMLElement {
  const parts = [
    type,
    counted(layers, 'layer'),
    `width ${hiddenSize}`,
    `${formatCompact(parameters)} weights`,
    `up to ${counted(maxLength, 'token')}`,
  ];
  return h(
    'div',
    {},
    h('p', { class: 'ready' }, h('strong', {}, name), ` ${parts.join(' · ')}`),
    ...notes.map((note) => h('p', { class: 'hint' }, note)),
  );
}

const HUB_URL = 'https://huggingface.co';

type Take = (chosen: ModelSource | Promise<ModelSource>) => Promise<void>;

function hubForm(take: Take): HTMLElement {
  const input = h('input', {
    type: 'text',
    required: true,
    placeholder: 'google/bert_uncased_L-2_H-128_A-2',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const token = h('input', { type: 'password', autocomplete: 'off' });
  const address = h('input', { type: 'url', placeholder: HUB_URL, autocomplete: 'off' });
  const submit = (event: Event): void => {
    event.preventDefault();
    const [id, own, hubUrl] = [input, token, address].map(({ value }) => value.trim());
    void take({ kind: 'hub', id: id!, token: own!, hubUrl: hubUrl! });
  };
  return h(
    'form',
    { on: { submit } },
    h(
      'div',
      { class: 'row' },
      field('Hugging Face model id', input),
      h('button', { type: 'submit', class: 'secondary' }, 'Get'),
    ),
    h('small', { class: 'hint' }, 'Downloaded once from huggingface.co, and kept by this browser.'),
    h(
      'details',
      {},
      h('summary', {}, 'A private or gated model, or another hub'),
      h(
        'div',
        { class: 'stacked' },
        field('Access token', token, 'From huggingface.co/settings/tokens. It is not kept.'),
        field('Address of the hub', address, 'Of a mirror. It gets the token, too.'),
      ),
    ),
  );
}

function folderPanel(take: Take): HTMLElement {
  const input = h('input', {
    type: 'file',
    webkitdirectory: true,
    multiple: true,
    class: 'hidden',
    tabindex: '-1',
    'aria-hidden': 'true',
    on: {
      change: () => {
        if (input.files?.length) void take({ kind: 'files', files: [...input.files] });
      },
    },
  });
  const choose = (): void => {
    const picker = folderPicker();
    if (picker !== null) {
      void take(picker().then((handle) => ({ kind: 'folder', handle })));
      return;
    }
    // So that the same folder can be chosen again, once it is mended.
    input.value = '';
    input.click();
  };
  const zone = h(
    'div',
    { class: 'drop' },
    h('p', {}, 'Drop a model’s folder or files here, or'),
    h('button', { type: 'button', class: 'secondary', on: { click: choose } }, 'Choose a folder…'),
    h('small', { class: 'hint' }, 'config.json, the tokenizer’s files and model.safetensors.'),
    input,
  );
  acceptDrops(zone, (transfer) => void take(droppedModel(transfer)));
  return zone;
}
