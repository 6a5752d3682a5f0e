/** What the page's worker does: it holds the device, the training under way and the finished model. */
import {
  ConfigError,
  copyFolder,
  type Device,
  type DownloadProgress,
  GpuError,
  mountFolder,
  requestDevice,
  snapshotDownload,
  zipFolder,
} from 'dawngrad';
import type {
  AdapterReport,
  DataReport,
  DataSource,
  Kept,
  LiveRun,
  ModelReport,
  ModelSource,
  OnCompile,
  OnTrainEvent,
  PageWorker,
  Run,
  TrainOutcome,
  TrainRequest,
} from '../contract.ts';
import { type Inspector, inspectorOf } from '../inspect/inspector.ts';
import { recovering } from '../inspect/recovering.ts';
import { type DataPaths, describeData } from './data.ts';
import {
  discardKept,
  findKept,
  freeNameIn,
  keepFile,
  keepPlan,
  keepRun,
  keptPlan,
  keptRun,
  places,
} from './kept.ts';
import { describeModel } from './model.ts';
import { type Ended, halved, reopenRun, runTraining, type TrainingPlan, type Wishes } from './training.ts';

const ROWS_FILE = 'rows.jsonl';
/** Held by the page that trains; what is kept belongs to one training. */
const LOCK = 'dawngrad-page';

const isCheckpoint = (path: string): boolean => path.startsWith('checkpoint-');

export class Session implements PageWorker {
  private page = '';
  private device: Device | null = null;
  private live: { run: LiveRun; inspector: Inspector } | null = null;
  private wishes: Wishes = { pause: false, stop: false };
  private onEvent: OnTrainEvent = () => {};
  private onCompile: OnCompile = () => {};

  async open(page: string, onCompile: OnCompile): Promise<AdapterReport> {
    this.page = page;
    this.onCompile = onCompile;
    const adapter = await navigator.gpu?.requestAdapter();
    const device = await this.opened();
    return {
      description: device.description,
      software: device.software,
      float16: adapter?.features.has('shader-f16') ?? false,
      subgroups: adapter?.features.has('subgroups') ?? false,
    };
  }

  async readModel(source: ModelSource, onEvent: OnTrainEvent): Promise<ModelReport> {
    const { path, name } = await this.modelAt(source, onEvent);
    return describeModel(await this.opened(), path, name);
  }

  async readData(source: DataSource): Promise<DataReport> {
    return describeData(await this.dataAt(source));
  }

  train(request: TrainRequest, onEvent: OnTrainEvent): Promise<TrainOutcome> {
    return this.exclusively(async () => {
      const { path, name } = await this.modelAt(request.model, onEvent);
      this.close();
      await discardKept();
      const plan: TrainingPlan = {
        model: path,
        modelName: name,
        data: await this.keepData(request.data),
        settings: request.settings,
        outputDir: places.output,
      };
      await keepPlan(plan);
      return this.run(plan, onEvent, false);
    });
  }

  resume(onEvent: OnTrainEvent, smaller = false): Promise<TrainOutcome> {
    return this.exclusively(async () => {
      const plan = await keptPlan();
      if (plan === null) throw new ConfigError('there is no training to go on with', { remedy: 'start one' });
      if (smaller) {
        plan.settings = halved(plan.settings) ?? plan.settings;
        await keepPlan(plan);
      }
      return this.run(plan, onEvent, true);
    });
  }

  async pause(): Promise<void> {
    this.wishes.pause = true;
  }

  async stop(): Promise<void> {
    this.wishes.stop = true;
  }

  kept(): Promise<Kept | null> {
    return findKept();
  }

  async reopen(): Promise<Run> {
    const [plan, run] = [await keptPlan(), await keptRun()];
    if (plan === null || run === null)
      throw new ConfigError('there is no finished training', { remedy: 'train a model' });
    this.close();
    this.hold(await reopenRun(await this.opened(), plan, run));
    return run;
  }

  async discard(): Promise<void> {
    this.close();
    await discardKept();
  }

  async zip(): Promise<Blob> {
    const parts: BlobPart[] = [];
    const filter = (path: string): boolean => !isCheckpoint(path);
    for await (const part of zipFolder(this.held().run.run.modelPath, { filter }))
      parts.push(part as Uint8Array<ArrayBuffer>);
    return new Blob(parts, { type: 'application/zip' });
  }

  async saveTo(folder: FileSystemDirectoryHandle, name: string): Promise<string | null> {
    const from = this.held().run.run.modelPath;
    const made = await freeNameIn(folder, name);
    const to = await mountFolder(folder);
    await copyFolder(from, made === null ? to : `${to}/${made}`, { filter: (path) => !isCheckpoint(path) });
    return made;
  }

  get inspect(): Inspector {
    return recovering(
      () => this.held().inspector,
      () => this.recover(),
    );
  }

  /** Loads the finished model again, on another device. */
  private async recover(): Promise<void> {
    this.device?.destroy();
    this.device = null;
    await this.reopen();
  }

  /** The device; a new one if the last was lost. */
  private async opened(): Promise<Device> {
    await this.device?.sync().catch(() => {
      this.device = null;
    });
    this.device ??= await requestDevice({
      onCompile: (progress) => {
        this.onEvent({ kind: 'compile', ...progress });
        this.onCompile(progress);
      },
    });
    return this.device;
  }

  private async run(plan: TrainingPlan, onEvent: OnTrainEvent, resumes: boolean): Promise<TrainOutcome> {
    const wishes = { pause: false, stop: false };
    this.wishes = wishes;
    this.onEvent = onEvent;
    let ended: Ended;
    try {
      ended = await runTraining(await this.opened(), plan, wishes, onEvent, resumes);
    } catch (error) {
      // A device that failed is not used again.
      if (error instanceof GpuError) {
        this.device?.destroy();
        this.device = null;
      }
      throw error;
    } finally {
      this.onEvent = () => {};
    }
    if (ended.kind === 'paused') return ended;
    this.hold(ended.live);
    await keepRun(ended.live.run);
    return { kind: 'finished', run: ended.live.run };
  }

  /** Throws `ConfigError` while another page trains. */
  private exclusively<T>(body: () => Promise<T>): Promise<T> {
    return navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => {
      if (lock === null)
        throw new ConfigError('another tab with this page is training', {
          remedy: 'go on there, or close it',
        });
      return body();
    });
  }

  private hold(run: LiveRun): void {
    this.live = { run, inspector: inspectorOf(run) };
  }

  private held(): { run: LiveRun; inspector: Inspector } {
    if (this.live === null)
      throw new ConfigError('there is no finished training', { remedy: 'train a model' });
    return this.live;
  }

  private close(): void {
    this.live?.run.model.dispose();
    this.live = null;
  }

  private async modelAt(source: ModelSource, onEvent: OnTrainEvent): Promise<{ path: string; name: string }> {
    if (source.kind === 'example') return { path: this.example('model'), name: 'Embedded example' };
    if (source.kind === 'hub') {
      const { id, token, hubUrl } = source;
      const onProgress = (progress: DownloadProgress): void => onEvent({ kind: 'download', ...progress });
      return { path: await snapshotDownload(id, { token, hubUrl, onProgress }), name: id };
    }
    const path = await mountFolder(source.kind === 'folder' ? source.handle : source.files);
    if (source.kind === 'folder') return { path, name: source.handle.name };
    // Files of an input for folders know theirs.
    const [folder] = source.files[0]!.webkitRelativePath.split('/');
    return { path, name: folder || 'Your files' };
  }

  private example(name: string): string {
    return new URL(`example/${name}`, this.page).href;
  }

  private async dataAt(source: DataSource): Promise<DataPaths> {
    if (source.kind === 'example')
      return { train: this.example('train.tsv'), evaluation: this.example('dev.tsv') };
    const { train, evaluation } = filesOf(source);
    const mounted = async (file: File): Promise<string> => `${await mountFolder([file])}/${file.name}`;
    return {
      train: await mounted(train),
      evaluation: evaluation === null ? null : await mounted(evaluation),
    };
  }

  /** As `dataAt`, in files that are there after a reload. */
  private async keepData(source: DataSource): Promise<DataPaths> {
    if (source.kind === 'example') return this.dataAt(source);
    const { train, evaluation } = filesOf(source);
    return {
      train: await keepFile('train', train),
      evaluation: evaluation === null ? null : await keepFile('evaluation', evaluation),
    };
  }
}

function filesOf(source: Exclude<DataSource, { kind: 'example' }>): { train: File; evaluation: File | null } {
  if (source.kind === 'files') return source;
  const lines = source.rows.map((row) => JSON.stringify(row)).join('\n');
  return { train: new File([lines], ROWS_FILE), evaluation: null };
}
