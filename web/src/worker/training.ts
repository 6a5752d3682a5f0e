/** One training, in a worker of the page or in Node: paths and a device in, a finished model out. */
import {
  AutoConfig,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  compilePrediction,
  type Device,
  type Example,
  type LogEntry,
  labelsOfModel,
  lastCheckpoint,
  type PreTrainedTokenizer,
  type PretrainedConfig,
  Trainer,
  type TrainerCallback,
  type TrainingArguments,
  textClassification as task,
} from 'dawngrad';
import type {
  ClassificationModel,
  EvaluationRow,
  LiveRun,
  OnTrainEvent,
  Run,
  Settings,
} from '../contract.ts';
import { type Data, type DataPaths, readParts } from './data.ts';

export interface TrainingPlan {
  /** A folder's path or a hub id. */
  model: string;
  /** For people. */
  modelName: string;
  data: DataPaths;
  settings: Settings;
  outputDir: string;
}

/** What the page asks of a training under way. */
export interface Wishes {
  pause: boolean;
  stop: boolean;
}

export type Ended = { kind: 'finished'; live: LiveRun } | { kind: 'paused'; step: number; steps: number };

/** Points of the loss curve, at most. */
const LOGS = 200;
/** Steps between two checkpoints, at most: what a closed page can lose. */
const MOST_UNSAVED = 500;

/** The trainer's arguments; `rows` to train on. */
export function argumentsFor(
  { epochs, batchSize, accumulation, learningRate, warmup, fp16, seed }: Settings,
  rows: number,
  outputDir: string,
): Partial<TrainingArguments> & { outputDir: string } {
  const stepsPerEpoch = Math.ceil(Math.ceil(rows / batchSize) / accumulation);
  return {
    outputDir,
    numTrainEpochs: epochs,
    perDeviceTrainBatchSize: batchSize,
    perDeviceEvalBatchSize: Math.min(32, 2 * batchSize),
    gradientAccumulationSteps: accumulation,
    learningRate,
    warmupRatio: warmup,
    fp16,
    seed,
    loggingFirstStep: true,
    loggingSteps: Math.max(1, Math.round((stepsPerEpoch * epochs) / LOGS)),
    evalStrategy: 'epoch',
    saveStrategy: 'steps',
    saveSteps: Math.max(1, Math.min(Math.ceil(stepsPerEpoch / 3), MOST_UNSAVED)),
    saveTotalLimit: 2,
    loadBestModelAtEnd: true,
  };
}

/** Settings that need less memory, and learn the same: a step has the same texts. Null if there are none. */
export function halved(settings: Settings): Settings | null {
  const { batchSize, accumulation } = settings;
  if (batchSize % 2 !== 0) return null;
  return { ...settings, batchSize: batchSize / 2, accumulation: 2 * accumulation };
}

/** Whether a checkpoint's classes are the data's in part: then its classifier is of no use. */
export function sharesSomeNames(config: PretrainedConfig, names: readonly string[]): boolean {
  const theirs = new Set(Object.values(config.id2label));
  const shared = names.filter((name) => theirs.has(name)).length;
  return shared > 0 && (shared < names.length || shared < theirs.size);
}

/** A model and a tokenizer on a device, for one task. */
export interface Loaded {
  model: ClassificationModel;
  tokenizer: PreTrainedTokenizer;
}

/** Loads a checkpoint, or a finished model, with the classes that it has. */
export async function loadTrained(device: Device, folder: string): Promise<Loaded> {
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  return { tokenizer, model: await AutoModelForSequenceClassification.fromPretrained(folder, { device }) };
}

/** Loads a model to be fine-tuned for the classes of the data. */
async function loadFresh(
  device: Device,
  { model: path, settings }: TrainingPlan,
  { train }: Data,
  onEvent: OnTrainEvent,
): Promise<Loaded> {
  const config = await AutoConfig.fromPretrained(path);
  const tokenizer = await AutoTokenizer.fromPretrained(path);
  const { config: decided } = task.decide(train, {});
  const head = sharesSomeNames(config, Object.values(decided.id2label ?? {})) ? 'new' : undefined;
  if (head === 'new')
    onEvent({
      kind: 'warning',
      text: "The model's classes are the data's only in part: it gets a new classifier.",
    });
  // New weights are drawn as the model loads.
  device.manualSeed(settings.seed);
  const model = await AutoModelForSequenceClassification.fromPretrained(path, {
    device,
    ...decided,
    ...(head !== undefined && { head }),
    ignoreMismatchedSizes: 'head',
    onReport: () => {},
  });
  return { model, tokenizer };
}

/** `prepare` is called once, after the first step. */
function callbacksFor(
  plan: TrainingPlan,
  device: Device,
  wishes: Wishes,
  onEvent: OnTrainEvent,
  prepare: () => void,
): TrainerCallback {
  let prepared = false;
  return {
    onTrainBegin({ state: { maxSteps: steps, globalStep: step, numTrainEpochs: epochs, logHistory: log } }) {
      const { modelName, settings } = plan;
      const { batchSize } = settings;
      onEvent({ kind: 'begin', modelName, steps, step, epochs, batchSize, log: [...log] });
    },
    onStepEnd({ state, control }, { tokens, seconds }) {
      const { liveBytes, idleBytes, pipelines: kernels } = device.statistics();
      const { globalStep: step, epoch } = state;
      onEvent({ kind: 'step', step, epoch, tokens, seconds, memoryBytes: liveBytes + idleBytes, kernels });
      if (wishes.stop) control.shouldTrainingStop = true;
      if (!prepared) prepare();
      prepared = true;
    },
    onLog: (_, entry) => onEvent({ kind: 'log', entry }),
    onSave: ({ state }) => onEvent({ kind: 'saved', step: state.globalStep }),
  };
}

/**
 * Trains a plan to its end, or until it is paused; with `resumes`, goes on from the last checkpoint of the
 * plan's folder. The model of a training that is paused, or fails, is disposed of. Throws as `Trainer.train`
 * and `readTable` do.
 */
export async function runTraining(
  device: Device,
  plan: TrainingPlan,
  wishes: Wishes,
  onEvent: OnTrainEvent,
  resumes = false,
): Promise<Ended> {
  const { settings, outputDir } = plan;
  onEvent({ kind: 'stage', text: 'Reading the data' });
  const data = await readParts(plan.data, settings);
  onEvent({ kind: 'stage', text: 'Loading the model' });
  const checkpoint = resumes ? await lastCheckpoint(outputDir) : undefined;
  const loaded =
    checkpoint === undefined
      ? await loadFresh(device, plan, data, onEvent)
      : await loadTrained(device, checkpoint);
  try {
    const { encoded, maxLength } = encodeParts(loaded, data, settings.maxLength);
    onEvent({ kind: 'stage', text: 'Preparing the first step' });
    const args = argumentsFor(settings, encoded.train.length, outputDir);
    // While steps are taken, so that the first evaluation does not wait.
    const prepare = (): void => {
      const rows = [...Array(Math.min(encoded.evaluation.length, args.perDeviceEvalBatchSize!)).keys()];
      const examples = rows.map((row) => encoded.evaluation.get(row));
      const batch = encoded.collate(examples, rows, 0);
      void compilePrediction(loaded.model, batch, { fp16: settings.fp16 }).catch(() => {});
    };
    const trainer = new Trainer({
      model: loaded.model,
      processingClass: loaded.tokenizer,
      trainDataset: encoded.train,
      evalDataset: encoded.evaluation,
      dataCollator: encoded.collate,
      args,
      callbacks: [callbacksFor(plan, device, wishes, onEvent, prepare)],
      onWarning: (text) => onEvent({ kind: 'warning', text }),
      signal: {
        get aborted() {
          return wishes.pause;
        },
      },
    });
    const output = await trainer.train(checkpoint === undefined ? {} : { resumeFromCheckpoint: checkpoint });
    const { globalStep: step, maxSteps: steps, logHistory } = trainer.state;
    if (output.interruptedAt !== null) {
      loaded.model.dispose();
      return { kind: 'paused', step, steps };
    }
    const run: Run = {
      modelPath: outputDir,
      modelName: plan.modelName,
      ...labelsOf(loaded.model),
      maxLength,
      trainRows: data.train.examples.length,
      evaluationRows: data.evaluation.examples.length,
      seconds: secondsIn(logHistory),
      steps: step,
      restoredStep: output.restoredStep,
      log: logHistory,
    };
    return { kind: 'finished', live: { run, ...loaded, rows: rowsOf(data, encoded.evaluation) } };
  } catch (error) {
    loaded.model.dispose();
    throw error;
  }
}

/** Loads the model of a finished training, with its data. */
export async function reopenRun(device: Device, plan: TrainingPlan, run: Run): Promise<LiveRun> {
  const data = await readParts(plan.data, plan.settings);
  const loaded = await loadTrained(device, run.modelPath);
  return { run, ...loaded, rows: rowsOf(data, encodeParts(loaded, data, run.maxLength).encoded.evaluation) };
}

function encodeParts({ model, tokenizer }: Loaded, { train, evaluation }: Data, wanted: number) {
  const maxLength = Math.min(wanted, model.base.maxLength, tokenizer.modelMaxLength);
  const bound = task.bind(tokenizer, model.config, { maxLength }, model);
  return {
    maxLength,
    encoded: {
      train: bound.encode(train.examples),
      evaluation: bound.encode(evaluation.examples),
      collate: bound.collate,
    },
  };
}

function labelsOf({ config }: ClassificationModel): Pick<Run, 'problemType' | 'labels' | 'pairs'> {
  const { problemType, names } = labelsOfModel(config);
  return { problemType, labels: names, pairs: config.textPair === true };
}

function rowsOf({ evaluation }: Data, encoded: { get(index: number): Example }): EvaluationRow[] {
  return evaluation.examples.map(({ row: { text, pair } }, at) => ({
    text,
    ...(pair !== undefined && { pair }),
    label: encoded.get(at).label!,
  }));
}

/** Of the last part of the training, if it was resumed. */
const secondsIn = (log: readonly LogEntry[]): number => log.at(-1)?.train_runtime ?? 0;
