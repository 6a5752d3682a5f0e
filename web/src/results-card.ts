/** The finished model: its download, and the views of `results/`. */
import type { PageWorker, Run } from './contract.ts';
import { h } from './parts/dom.ts';
import { download, folderPicker, isCancelled } from './parts/files.ts';
import { counted, formatSeconds } from './parts/format.ts';
import { troubleView } from './parts/trouble-view.ts';
import { resultsView } from './results/view.ts';

/** The name of a file for a model: without folders, and with what every system takes. */
export const fileNameOf = (modelName: string): string =>
  `${modelName
    .split('/')
    .at(-1)!
    .replace(/[^\w.-]+/g, '-')}-fine-tuned.zip`;

export function resultsCard(worker: PageWorker, run: Run): HTMLElement {
  const status = h('div', { role: 'status', class: 'card-status' });
  const guarded = (body: () => Promise<string>) => async (): Promise<void> => {
    status.replaceChildren(h('p', { class: 'hint' }, 'Packing the model…'));
    try {
      status.replaceChildren(h('p', { class: 'hint' }, await body()));
    } catch (error) {
      status.replaceChildren(...(isCancelled(error) ? [] : [troubleView(error)]));
    }
  };
  const zip = guarded(async () => {
    const name = fileNameOf(run.modelName);
    download(await worker.zip(), name);
    return `Saved as ${name}: unpacked, it is a folder for AutoModelForSequenceClassification.from_pretrained.`;
  });
  const picker = folderPicker();
  const copy = guarded(async () => {
    const folder = await picker!({ mode: 'readwrite' });
    await worker.saveTo(folder);
    return `Saved in the folder ${folder.name}.`;
  });
  return h(
    'section',
    { class: 'card results', 'aria-labelledby': 'results-title' },
    h(
      'div',
      { class: 'card-head' },
      h('h2', { id: 'results-title', tabindex: '-1' }, 'The model'),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', class: 'primary', on: { click: zip } }, 'Download'),
        picker === null
          ? null
          : h('button', { type: 'button', class: 'secondary', on: { click: copy } }, 'Save to a folder…'),
      ),
    ),
    h('p', { class: 'hint' }, described(run)),
    status,
    resultsView(worker, run),
  );
}

function described({ modelName, trainRows, evaluationRows, steps, seconds, restoredStep }: Run): string {
  const best = restoredStep === null ? '' : ` The weights are those of step ${restoredStep}, the best.`;
  return (
    `Fine-tuned from ${modelName} on ${counted(trainRows, 'row')} in ${counted(steps, 'step')} ` +
    `(${formatSeconds(seconds)}), evaluated on ${counted(evaluationRows, 'row')}.${best}`
  );
}
