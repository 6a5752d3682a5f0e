/** Picks a model: the embedded example, a hub id, a folder or files. */
import { proxy } from 'comlink';
import type { ModelReport, ModelSource, PageWorker } from '../contract.ts';
import { choice, field, h } from '../parts/dom.ts';
import { acceptDrops, droppedModel, folderPicker, isCancelled } from '../parts/files.ts';
import { formatBytes } from '../parts/format.ts';
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

  const take = async (source: ModelSource): Promise<void> => {
    latest += 1;
    const asked = latest;
    onPick(null);
    status.replaceChildren(h('p', { class: 'hint' }, 'Reading the model…'));
    try {
      const report = await worker.readModel(
        source,
        proxy((event) => {
          if (event.kind === 'download' && asked === latest)
            status.replaceChildren(
              h('p', { class: 'hint' }, `Downloading ${event.file}: ${formatBytes(event.loadedBytes)}`),
            );
        }),
      );
      if (asked !== latest) return;
      status.replaceChildren(summary(report));
      onPick({ source, report });
    } catch (error) {
      if (asked === latest) status.replaceChildren(troubleView(error));
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

function summary({ name, type, layers, hiddenSize, maxLength }: ModelReport): HTMLElement {
  const parts = [type, `${layers} layers`, `width ${hiddenSize}`, `up to ${maxLength} tokens`];
  return h('p', { class: 'ready' }, h('strong', {}, name), ` ${parts.join(' · ')}`);
}

function hubForm(take: (source: ModelSource) => Promise<void>): HTMLElement {
  const input = h('input', {
    type: 'text',
    required: true,
    placeholder: 'google/bert_uncased_L-2_H-128_A-2',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const submit = (event: Event): void => {
    event.preventDefault();
    void take({ kind: 'hub', id: input.value.trim() });
  };
  return h(
    'form',
    { on: { submit } },
    h(
      'div',
      { class: 'row' },
      field('Hugging Face model id', input),
      h('button', { type: 'submit', class: 'secondary' }, 'Read'),
    ),
    h('small', { class: 'hint' }, 'Downloaded once from huggingface.co, and kept by this browser.'),
  );
}

function folderPanel(take: (source: ModelSource) => Promise<void>): HTMLElement {
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
  const choose = async (): Promise<void> => {
    const picker = folderPicker();
    if (picker === null) {
      input.click();
      return;
    }
    try {
      await take({ kind: 'folder', handle: await picker() });
    } catch (error) {
      if (!isCancelled(error)) throw error;
    }
  };
  const zone = h(
    'div',
    { class: 'drop' },
    h('p', {}, 'Drop a model’s folder or files here, or'),
    h('button', { type: 'button', class: 'secondary', on: { click: choose } }, 'Choose a folder…'),
    h('small', { class: 'hint' }, 'config.json, the tokenizer’s files and model.safetensors.'),
    input,
  );
  acceptDrops(zone, async (transfer) => take(await droppedModel(transfer)));
  return zone;
}
