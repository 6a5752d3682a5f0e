/**
 * What the page and its worker say to each other, types alone. Values go through `postMessage`: plain objects,
 * files and handles. The worker holds device, model and data; `inspect/` reads them there, and `results/` draws.
 */
import type {
  AutoModelForSequenceClassification,
  Label,
  LogEntry,
  PreTrainedTokenizer,
  ProblemType,
} from 'dawngrad';
import type { Inspector } from './inspect/inspector.ts';

export type ModelSource =
  | { kind: 'example' }
  /** `token` and `hubUrl` are empty for a public model of huggingface.co. */
  | { kind: 'hub'; id: string; token: string; hubUrl: string }
  /** A picked folder. */
  | { kind: 'folder'; handle: FileSystemDirectoryHandle }
  /** Files of an input or a drop. */
  | { kind: 'files'; files: readonly File[] };

/** A row written in the page. */
export interface TypedRow {
  text: string;
  label: string;
}

export type DataSource =
  | { kind: 'example' }
  | { kind: 'files'; train: File; evaluation: File | null }
  | { kind: 'rows'; rows: readonly TypedRow[] };

export interface Settings {
  epochs: number;
  batchSize: number;
  learningRate: number;
  /** Batches that a step adds up. */
  accumulation: number;
  /** The most tokens of a text. */
  maxLength: number;
  /** Share of the data held out for evaluation; counts if the data have no evaluation part. */
  heldOut: number;
  /** Share of all steps in which the learning rate rises. */
  warmup: number;
  /** Mixed precision, for adapters with `shader-f16`. */
  fp16: boolean;
  seed: number;
}

export interface TrainRequest {
  model: ModelSource;
  data: DataSource;
  settings: Settings;
}

export interface AdapterReport {
  description: string;
  /** Computes on the CPU. */
  software: boolean;
  float16: boolean;
  subgroups: boolean;
}

export interface ModelReport {
  /** For people: a hub id, or the name of a folder. */
  name: string;
  /** transformers' `model_type`. */
  type: string;
  layers: number;
  hiddenSize: number;
  /** Numbers in its weights. */
  parameters: number;
  /** The most tokens of a text. */
  maxLength: number;
  /** What people should know of it. */
  notes: readonly string[];
}

export interface ClassCount {
  name: string;
  count: number;
}

export interface DataReport {
  /** Rows to train on; those held out are still among them. */
  train: number;
  /** Null if some are to be held out. */
  evaluation: number | null;
  problemType: ProblemType;
  /** Why, for people. */
  why: string;
  pairs: boolean;
  /** Of the training rows; empty for values. */
  classes: readonly ClassCount[];
  notes: readonly string[];
  /** The first rows. */
  sample: readonly { text: string; pair?: string; label: string }[];
}

/** What a training tells while it runs. */
export type TrainEvent =
  /** What it does before the first step, in a few words. */
  | { kind: 'stage'; text: string }
  | { kind: 'download'; file: string; loadedBytes: number; totalBytes: number }
  | { kind: 'compile'; compiled: number; total: number }
  /** The first step is next; `log` has what was before a resume. */
  | {
      kind: 'begin';
      modelName: string;
      steps: number;
      step: number;
      epochs: number;
      batchSize: number;
      log: readonly LogEntry[];
    }
  | {
      kind: 'step';
      step: number;
      epoch: number;
      tokens: number;
      /** Since the training began, or was resumed. */
      seconds: number;
      memoryBytes: number;
      /** Compiled so far, ahead or when they were used. */
      kernels: number;
    }
  | { kind: 'log'; entry: LogEntry }
  | { kind: 'saved'; step: number }
  | { kind: 'warning'; text: string };

export type OnCompile = (progress: { compiled: number; total: number }) => void;

export type OnTrainEvent = (event: TrainEvent) => void;

/** How a training ended; a failed one throws, and keeps its last checkpoint. */
export type TrainOutcome = { kind: 'finished'; run: Run } | { kind: 'paused'; step: number; steps: number };

/** A finished training. */
export interface Run {
  /** The saved model's folder: `opfs:/…`. */
  modelPath: string;
  /** Of the model that it began with. */
  modelName: string;
  problemType: ProblemType;
  /** Class names by number; one entry for values. */
  labels: readonly string[];
  /** Whether each text is two. */
  pairs: boolean;
  maxLength: number;
  trainRows: number;
  evaluationRows: number;
  seconds: number;
  steps: number;
  /** The step whose weights were the best; null if the last ones stayed. */
  restoredStep: number | null;
  log: readonly LogEntry[];
}

/** A training that the browser keeps, found after a reload. */
export interface Kept {
  state: 'unfinished' | 'finished';
  modelName: string;
  step: number;
  steps: number;
}

export type ClassificationModel = Awaited<
  ReturnType<(typeof AutoModelForSequenceClassification)['fromPretrained']>
>;

export interface EvaluationRow {
  text: string;
  pair?: string;
  /** A class, a 0 or 1 for each class, or a value. */
  label: Label;
}

/** A finished training with its model, in the worker. */
export interface LiveRun {
  run: Run;
  /** In eval mode. */
  model: ClassificationModel;
  tokenizer: PreTrainedTokenizer;
  rows: readonly EvaluationRow[];
}

/** What the worker offers, by comlink. */
export interface PageWorker {
  /**
   * Opens the device; `page` is the page's address. `onCompile` is told whenever kernels are compiled. Throws
   * `NoAdapterError` if there is no adapter.
   */
  open(page: string, onCompile: OnCompile): Promise<AdapterReport>;
  readModel(source: ModelSource, onEvent: OnTrainEvent): Promise<ModelReport>;
  readData(source: DataSource): Promise<DataReport>;
  train(request: TrainRequest, onEvent: OnTrainEvent): Promise<TrainOutcome>;
  /** Goes on with the training that is kept; `halved`: in batches half as large, twice as many a step. */
  resume(onEvent: OnTrainEvent, halved?: boolean): Promise<TrainOutcome>;
  /** Saves a checkpoint after the current step; `train` then gives `paused`. */
  pause(): Promise<void>;
  /** Ends after the current step, with the best model so far. */
  stop(): Promise<void>;
  kept(): Promise<Kept | null>;
  /** Loads the finished training that is kept. */
  reopen(): Promise<Run>;
  discard(): Promise<void>;
  /** The finished model as a zip. */
  zip(): Promise<Blob>;
  /**
   * Copies the finished model into a folder that may be written to: into itself if it is empty, else into a
   * new folder `name`, or `name-2` and so on, in it. Returns the new folder's name; null for the folder itself.
   */
  saveTo(folder: FileSystemDirectoryHandle, name: string): Promise<string | null>;
  /** Reads the model of the finished training. */
  readonly inspect: Inspector;
}
