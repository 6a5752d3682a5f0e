/** The finished model: its download, and the views of `results/`. */
import type { PageWorker, Run } from './contract.ts';
import { h } from './parts/dom.ts';
import { download, folderPicker, isCancelled } from './parts/files.ts';
import { counted, formatSeconds } from './parts/format.ts';
import { troubleView } from './parts/trouble-view.ts';
import { resultsView } from './results/view.ts';

/** The name of a folder for a model: without those above it, and with what every system takes. */
export const folderNameOf = (modelName: string): string =>
  `${modelName
    .split('/')
    .at(-1)!
    .replace(/[^\w.-]+/g, '-')}-fine-tuned`;

const LOADER = 'AutoModelForSequenceClassification.from_pretrained';

export function resultsCard(worker: PageWorker, run: Run): HTMLElement {
  const status = h('div', { role: 'status', class: 'card-status' });
  const tell = (text: string): void => status.replaceChildren(h('p', { class: 'hint' }, text));
  const guarded = (body: () => Promise<void>) => async (): Promise<void> => {
    status.replaceChildren();
    try {
      await body();
    } catch (error) {
      status.replaceChildren(...(isCancelled(error) ? [] : [troubleView(error)]));
    }
  };
  const folderName = folderNameOf(run.modelName);
  const zip = guarded(async () => {
    const name = `${folderName}.zip`;
    tell('Packing the model…');
    download(await worker.zip(), name);
    tell(`Saved as ${name}: unpacked, it is a folder for ${LOADER}.`);
  });
  const copy = guarded(async () => {
    const folder = await folderPicker()!({ mode: 'readwrite' });
    tell('Copying the model…');
    const made = await worker.saveTo(folder, folderName);
    const place = made === null ? folder.name : `${folder.name}/${made}`;
    tell(`Saved in ${place}: it is a folder for ${LOADER}.`);
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
        folderPicker() === null
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
