/** The page: set-up, training and results, and what leads from one to the next. */
import { proxy } from 'comlink';
import type { AdapterReport, Kept, PageWorker, TrainOutcome } from './contract.ts';
import { livePanel } from './live/panel.ts';
import { noteCompiling } from './parts/compiling.ts';
import { h } from './parts/dom.ts';
import { noAdapterAdvice } from './parts/support.ts';
import { troubleView } from './parts/trouble-view.ts';
import type { WorkerError } from './parts/troubles.ts';
import { resultsCard } from './results-card.ts';
import { defaultSettings, missing } from './setup/choices.ts';
import { dataCard, type PickedData } from './setup/data-card.ts';
import { modelCard, type PickedModel } from './setup/model-card.ts';
import { settingsCard } from './setup/settings-card.ts';
import { unsupportedView } from './unsupported.ts';

export class App {
  private model: PickedModel | null = null;
  private data: PickedData | null = null;
  private adapter: AdapterReport | null = null;
  private readonly worker: PageWorker;
  private readonly root: HTMLElement;
  private readonly adapterChip: HTMLElement;
  private readonly settings = settingsCard(defaultSettings(null));
  private readonly live = livePanel({
    onPause: () => this.ask('pausing', () => this.worker.pause()),
    onResume: () => this.resume(),
    onStop: () => this.ask('stopping', () => this.worker.stop()),
  });
  private readonly start = h(
    'button',
    { type: 'button', class: 'primary wide', on: { click: () => this.train() } },
    'Train',
  );
  private readonly startHint = h('p', { class: 'hint', id: 'start-hint' });
  private readonly trouble = h('div');
  private readonly banner = h('div');
  private readonly results = h('div');
  private readonly setup = h('div', { class: 'setup' });

  /** `adapterChip` says which GPU computes. */
  constructor(worker: PageWorker, root: HTMLElement, adapterChip: HTMLElement) {
    this.worker = worker;
    this.root = root;
    this.adapterChip = adapterChip;
    this.start.setAttribute('aria-describedby', 'start-hint');
  }

  async open(): Promise<void> {
    try {
      this.adapter = await this.worker.open(document.baseURI, proxy(noteCompiling));
    } catch (error) {
      const advice = noAdapterAdvice(navigator.userAgent);
      const isAdapter = (error as WorkerError).name === 'NoAdapterError';
      this.root.replaceChildren(isAdapter ? unsupportedView(advice) : troubleView(error));
      return;
    }
    const { description, software } = this.adapter;
    this.adapterChip.textContent = `${description}${software ? ' (computes on the CPU: slow)' : ''}`;
    this.settings.allow(this.adapter);
    this.setup.append(
      modelCard(this.worker, (model) => this.takeModel(model)),
      dataCard(this.worker, (data) => this.takeData(data)),
      this.settings.element,
      h('div', { class: 'start' }, this.start, this.startHint),
    );
    this.root.replaceChildren(
      this.banner,
      h(
        'div',
        { class: 'columns' },
        this.setup,
        h('div', { class: 'outcome' }, this.trouble, this.live.element, this.results),
      ),
    );
    this.refresh();
    this.offer(await this.worker.kept());
  }

  private takeModel(model: PickedModel | null): void {
    this.model = model;
    if (model !== null) this.settings.suggest(defaultSettings(model.report));
    this.refresh();
  }

  private takeData(data: PickedData | null): void {
    this.data = data;
    this.refresh();
  }

  private refresh(): void {
    const lack = missing(this.model?.report ?? null, this.data?.report ?? null);
    this.start.disabled = lack !== null;
    this.startHint.textContent = lack ?? '';
  }

  /** Offers what was kept by an earlier visit. */
  private offer(kept: Kept | null): void {
    if (kept === null) return;
    const { state, modelName, step, steps } = kept;
    const unfinished = state === 'unfinished';
    const go = unfinished ? () => this.resume() : () => this.reopen();
    this.banner.replaceChildren(
      h(
        'section',
        { class: 'card banner', 'aria-label': 'Kept by this browser' },
        h(
          'p',
          {},
          unfinished
            ? `A training of ${modelName} is unfinished: step ${step} of ${steps}. A new training replaces it.`
            : `Your last fine-tuned model is kept here (from ${modelName}, ${steps} steps). A new training replaces it.`,
        ),
        h(
          'div',
          { class: 'buttons' },
          h(
            'button',
            { type: 'button', class: 'primary', on: { click: go } },
            unfinished ? 'Go on' : 'Open it',
          ),
          h(
            'button',
            { type: 'button', class: 'secondary', on: { click: () => this.discard() } },
            unfinished ? 'Discard it' : 'Remove it',
          ),
        ),
      ),
    );
  }

  private async discard(): Promise<void> {
    this.banner.replaceChildren();
    await this.guarded(() => this.worker.discard());
    this.start.focus();
  }

  private async reopen(): Promise<void> {
    this.banner.replaceChildren();
    await this.guarded(async () => {
      const run = await this.worker.reopen();
      const { modelName, steps, log } = run;
      const epochs = Math.ceil(log.at(-1)?.epoch ?? 1);
      this.live.take({ kind: 'begin', modelName, steps, step: steps, epochs, batchSize: 0, log });
      this.live.show('finished');
      this.showRun(run);
    });
  }

  private async train(): Promise<void> {
    const settings = this.settings.read();
    if (settings === null || this.model === null || this.data === null) return;
    const request = { model: this.model.source, data: this.data.source, settings };
    // The browser may ask the user, or decide by itself.
    void navigator.storage?.persist?.();
    this.live.reset();
    await this.follow((onEvent) => this.worker.train(request, onEvent));
  }

  private async resume(smaller = false): Promise<void> {
    await this.follow((onEvent) => this.worker.resume(onEvent, smaller));
  }

  /** A way on for a training that the GPU had no memory for, if there is a checkpoint. */
  private smallerBatches(): HTMLElement | null {
    const { savedStep, batchSize } = this.live.progress;
    if (savedStep === null || batchSize % 2 !== 0) return null;
    return h(
      'button',
      { type: 'button', class: 'secondary', on: { click: () => this.resume(true) } },
      'Resume in half batches',
    );
  }

  /** Runs a training, or the rest of one, and shows how it ends. */
  private async follow(
    body: (onEvent: Parameters<PageWorker['train']>[1]) => Promise<TrainOutcome>,
  ): Promise<void> {
    this.banner.replaceChildren();
    this.results.replaceChildren();
    this.trouble.replaceChildren();
    this.setup.inert = true;
    this.setup.classList.add('resting');
    this.live.show('running');
    this.live.heading.focus();
    try {
      const outcome = await body(proxy((event) => this.live.take(event)));
      if (outcome.kind === 'paused') {
        this.live.show('paused');
        return;
      }
      this.live.show('finished');
      this.showRun(outcome.run);
    } catch (error) {
      this.live.show('failed');
      const view = troubleView(error);
      const lacksMemory = ['GpuOutOfMemoryError', 'DeviceLostError'].includes((error as WorkerError).name);
      view.append(...[lacksMemory ? this.smallerBatches() : null].filter((part) => part !== null));
      this.trouble.replaceChildren(view);
    } finally {
      this.setup.inert = false;
      this.setup.classList.remove('resting');
      this.refresh();
    }
  }

  private showRun(run: Parameters<typeof resultsCard>[1]): void {
    this.results.replaceChildren(resultsCard(this.worker, run));
  }

  private ask(state: 'pausing' | 'stopping', body: () => Promise<void>): void {
    this.live.show(state);
    void body();
  }

  private async guarded(body: () => Promise<void>): Promise<void> {
    this.trouble.replaceChildren();
    try {
      await body();
    } catch (error) {
      this.trouble.replaceChildren(troubleView(error));
    }
  }
}
