/** Opens the page. */
import { wrap } from 'comlink';
import { App } from './app.ts';
import type { PageWorker } from './contract.ts';
import { h } from './parts/dom.ts';
import { refuseOtherDrops } from './parts/files.ts';
import { adviceFor } from './parts/support.ts';
import { troubleView } from './parts/trouble-view.ts';
import { unsupportedView } from './unsupported.ts';

const root = document.querySelector<HTMLElement>('main')!;
const chip = document.querySelector<HTMLElement>('#adapter')!;

function openWorker(): PageWorker {
  const worker = new Worker(new URL('./worker/main.ts', import.meta.url), { type: 'module' });
  worker.addEventListener('error', ({ message }) => {
    root.replaceChildren(
      troubleView({ name: 'Error', message: message || 'the page’s worker did not load' }),
    );
  });
  // Each of its methods gives a promise already.
  return wrap<PageWorker>(worker) as unknown as PageWorker;
}

const advice = adviceFor({
  hasWebGpu: 'gpu' in navigator && navigator.gpu !== undefined,
  isSecure: isSecureContext,
  userAgent: navigator.userAgent,
});
if (advice !== null) {
  chip.textContent = 'no WebGPU';
  root.replaceChildren(unsupportedView(advice));
} else {
  refuseOtherDrops();
  root.replaceChildren(h('p', { class: 'hint', role: 'status' }, 'Opening the GPU…'));
  await new App(openWorker(), root, chip).open();
}
