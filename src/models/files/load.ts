/** Loading a checkpoint into a model. */
import { platform } from '#platform';
import { CheckpointError, ConfigError, FileError } from '../../errors.ts';
import { skipInit } from '../../nn/layers.ts';
import { type Advice, checkChoice, checkOptions } from '../../options.ts';
import { parsePythonJson } from '../../python-json.ts';
import { Device, requestDevice } from '../../tensor/device.ts';
import { formatShape, sameShape } from '../../tensor/shape.ts';
import type { PretrainedConfig } from '../common/config.ts';
import type { PreTrainedModel } from '../common/pretrained.ts';
import {
  type ConfigOverrides,
  checkOverrides,
  knownFamily,
  overrideNames,
  parseConfig,
  withOverrides,
} from '../config.ts';
import type { LoraConfig } from '../peft/config.ts';
import { adapterIn, baseFolder, classesIn, weightsIn } from '../peft/files.ts';
import { type Checkpoint, CONFIG_NAME, openCheckpoint } from './checkpoint-files.ts';
import { type HeadOption, planHead, reorderRows } from './class-head.ts';
import { type HubOptions, hubOptionNames, resolveModel } from './hub.ts';
import { parseJson } from './json.ts';
import { formatLoadReport, type LoadDifferences, mapWeights, namesByPart } from './weight-names.ts';

export interface LoadOptions extends HubOptions, ConfigOverrides {
  /** Holds the weights; default: the best adapter's. */
  device?: Device;
  /**
   * Draw weights anew if their shape differs from the checkpoint's, instead of throwing; 'head': only weights
   * above the base model.
   */
  ignoreMismatchedSizes?: boolean | 'head';
  /**
   * The fate of a trained classifier under other names (`id2label`). If absent: the same names in another
   * order take their weights along, other names get new weights, and a mixture of old and other names throws
   * `ConfigError`; the report says which.
   */
  head?: HeadOption;
  /** Gets the report of missing and unexpected weights; default `console.warn`. */
  onReport?: (report: LoadReport) => void;
}

const loadOptionNames: Readonly<Record<string, true>> = {
  ...hubOptionNames,
  ...overrideNames,
  device: true,
  ignoreMismatchedSizes: true,
  head: true,
  onReport: true,
};

export interface LoadReport extends LoadDifferences {
  /** Weights of a classifier that were drawn anew because its classes are others. */
  redrawn: string[];
  /** For people; empty if everything fits. */
  text: string;
}

/**
 * Reads a model's config.json. Throws `FileError` if it is missing, `ConfigError` if it cannot be used.
 */
export async function loadConfig(idOrFolder: string, options: HubOptions = {}): Promise<PretrainedConfig> {
  const folder = await resolveModel(idOrFolder, options, 'config');
  const path = platform.joinPath(folder, CONFIG_NAME);
  if (!(await platform.exists(path))) {
    const adapter = await adapterIn(folder);
    if (adapter !== null) return configOfAdapter(folder, adapter, options);
    throw new FileError(`'${path}' does not exist`, {
      remedy: 'is it a folder that save_pretrained() wrote?',
    });
  }
  const text = await platform.readText(path);
  return parseConfig(parseJson(text, { source: path, error: ConfigError }, parsePythonJson), path);
}

/** The config of an adapter's base, with the head that the adapter's task has, and as many classes. */
async function configOfAdapter(
  folder: string,
  adapter: LoraConfig,
  options: HubOptions,
): Promise<PretrainedConfig> {
  const base = await loadConfig(await baseFolder(folder, adapter, options), options);
  const numLabels = await classesIn(folder);
  const config =
    numLabels === null || numLabels === base.numLabels ? base : withOverrides(base, { numLabels });
  const { tasks } = knownFamily(config.modelType);
  const heads = {
    SEQ_CLS: tasks.sequenceClassification.name,
    TOKEN_CLS: tasks.tokenClassification.name,
    QUESTION_ANS: tasks.questionAnswering.name,
    FEATURE_EXTRACTION: undefined,
  };
  const head = adapter.taskType === null ? undefined : heads[adapter.taskType];
  return head === undefined ? config : { ...config, raw: { ...config.raw, architectures: [head] } };
}

/** Names that people bring from Python. */
const advice: Advice = {
  dtype: 'weights are float32 on the GPU; mixed precision is autocast(), or fp16 of the Trainer',
  torchDtype: 'weights are float32 on the GPU; mixed precision is autocast(), or fp16 of the Trainer',
  attnImplementation:
    'leave it out: outputAttentions of forward() takes the plain way, all else the fused one',
  trustRemoteCode: 'leave it out: no code of a model is run',
  deviceMap: 'pass device: await requestDevice()',
  label2id: 'pass id2label: it gives both',
};

/**
 * Builds the model that `create` gives for the folder's config and fills it from the folder's weights.
 * `more`: names of options that this kind of model has of its own.
 */
export async function loadPretrained<M extends PreTrainedModel>(
  idOrFolder: string,
  create: (config: PretrainedConfig, device: Device) => M,
  options: LoadOptions = {},
  more: Readonly<Record<string, true>> = {},
): Promise<M> {
  checkOptions('fromPretrained', options, { ...loadOptionNames, ...more }, advice);
  checkChoice('ignoreMismatchedSizes', options.ignoreMismatchedSizes, [true, false, 'head']);
  const folder = await resolveModel(idOrFolder, options);
  const adapter = await adapterIn(folder);
  const hub: HubOptions = Object.fromEntries(
    Object.entries(options).filter(([name]) => Object.hasOwn(hubOptionNames, name)),
  );
  const base = adapter === null ? folder : await baseFolder(folder, adapter, hub);
  const entries = Object.entries(options).filter(([name]) => Object.hasOwn(overrideNames, name));
  const overrides: ConfigOverrides = Object.fromEntries(entries);
  const saved = await loadConfig(folder, hub);
  checkOverrides('fromPretrained', saved.modelType, overrides);
  const config = withOverrides(saved, overrides);
  const checkpoint = await openCheckpoint(base);
  try {
    const device = await deviceOf(options.device);
    const model = skipInit(() => create(config, device));
    model.nameOrPath = adapter === null ? idOrFolder : adapter.baseModelNameOrPath;
    try {
      const report =
        adapter === null
          ? await fill(model, checkpoint, saved, options)
          : await fillBoth(model, checkpoint, { folder, base }, options);
      if (options.onReport !== undefined) options.onReport(report);
      else if (report.text !== '') console.warn(report.text);
    } catch (error) {
      model.dispose();
      throw error;
    }
    return model.eval() as M;
  } finally {
    await checkpoint.close();
  }
}

/**
 * Fills a model from an adapter's base and from the adapter; the report leaves out what the adapter brings along.
 */
async function fillBoth(
  model: PreTrainedModel,
  checkpoint: Checkpoint,
  { folder, base }: { folder: string; base: string },
  options: LoadOptions,
): Promise<LoadReport> {
  const supplied = await weightsIn(folder);
  const { classLayer } = model;
  const own = [...model.fileWeights()].filter(([, { tensor }]) => tensor === classLayer?.weight);
  // The adapter's head takes the place of any.
  const hasHead = own.some(([name]) => supplied.has(name));
  const report = await fill(model, checkpoint, await loadConfig(base), {
    ...options,
    ...(hasHead && { ignoreMismatchedSizes: options.ignoreMismatchedSizes || 'head', head: 'new' }),
  });
  // Code that few pages need is loaded apart.
  const { addFrom } = await import('../peft/inject.ts');
  await addFrom(model, folder);
  const left = {
    ...report,
    missing: report.missing.filter((name) => !supplied.has(name)),
    // What else the base's file holds was reported when the adapter was made.
    unexpected: [],
    mismatched: report.mismatched.filter(({ name }) => !supplied.has(name)),
    redrawn: report.redrawn.filter((name) => !supplied.has(name)),
  };
  return { ...left, text: formatLoadReport(checkpoint.folder, left) };
}

/** The device given, or the best. Throws `ConfigError` for a value that is no device. */
export async function deviceOf(given: Device | undefined): Promise<Device> {
  if (given === undefined) return requestDevice();
  if (given instanceof Device) return given;
  throw new ConfigError(`device is ${typeof given === 'string' ? `'${given}'` : typeof given}`, {
    remedy: 'pass await requestDevice()',
  });
}

/** Weights whose shape is not the checkpoint's. Throws `CheckpointError` for one that must not differ. */
function mismatches(
  model: PreTrainedModel,
  checkpoint: Checkpoint,
  found: ReadonlyMap<string, string>,
  ignore: boolean | 'head',
): LoadReport['mismatched'] {
  const weights = model.fileWeights();
  const mismatched: LoadReport['mismatched'] = [];
  for (const [name, key] of found) {
    const [model_, file] = [weights.get(name)!.shape, checkpoint.entry(key).shape];
    if (sameShape(model_, file)) continue;
    const ignored = ignore === 'head' ? !name.startsWith(`${model.baseModelPrefix}.`) : ignore;
    if (!ignored) {
      const shapes = `${formatShape(file)} in '${checkpoint.home(key).path}', ${formatShape(model_)} in the model's config`;
      throw new CheckpointError(`tensor '${key}' is ${shapes}`, {
        remedy:
          'check the config, or pass ignoreMismatchedSizes to draw the weight anew (a head of other labels)',
      });
    }
    mismatched.push({ name, checkpoint: file, model: model_ });
  }
  return mismatched;
}

/**
 * Gives tied weights memory of their own if the checkpoint has all of their names with different values,
 * as transformers does: its config says that they are tied, but they were not trained so.
 */
async function untieDifferent(
  model: PreTrainedModel,
  checkpoint: Checkpoint,
  found: ReadonlyMap<string, string>,
): Promise<LoadReport['untied']> {
  const untied: LoadReport['untied'] = [];
  for (const [source, ...targets] of namesByPart(model.fileWeights())) {
    const key = found.get(source!);
    if (key === undefined) continue;
    for (const name of targets) {
      const other = found.get(name);
      if (other === undefined || other === key || (await sameValues(checkpoint, key, other))) continue;
      model.untie(name);
      untied.push({ name, from: source! });
    }
  }
  return untied;
}

/** Whether two tensors of one shape have the same values, whatever their types; NaN is no value's equal. */
async function sameValues(checkpoint: Checkpoint, a: string, b: string): Promise<boolean> {
  const [left, right] = [checkpoint.float32Chunks(a), checkpoint.float32Chunks(b)];
  let [x, y] = [new Float32Array(), new Float32Array()];
  for (;;) {
    // Chunks of other types have other lengths.
    if (x.length === 0) x = (await left.next()).value?.values ?? x;
    if (y.length === 0) y = (await right.next()).value?.values ?? y;
    const length = Math.min(x.length, y.length);
    if (length === 0) return true;
    for (let i = 0; i < length; i += 1) if (x[i] !== y[i]) return false;
    [x, y] = [x.subarray(length), y.subarray(length)];
  }
}

async function fill(
  model: PreTrainedModel,
  checkpoint: Checkpoint,
  saved: PretrainedConfig,
  { ignoreMismatchedSizes = false, head }: LoadOptions,
): Promise<LoadReport> {
  const tied = model.fileWeights();
  const ties = namesByPart(tied).filter((names) => names.length > 1);
  const mapping = mapWeights([...tied.keys()], checkpoint.keys(), model.baseModelPrefix, ties);
  const mismatched = mismatches(model, checkpoint, mapping.found, ignoreMismatchedSizes);
  // A weight of another shape is missing.
  const found = new Map(mapping.found);
  for (const { name } of mismatched) found.delete(name);
  const untied = await untieDifferent(model, checkpoint, found);
  const weights = model.fileWeights();
  const { classLayer } = model;
  const classes = [...weights].flatMap(([name, { tensor }]) =>
    found.has(name) && (tensor === classLayer?.weight || tensor === classLayer?.bias) ? [name] : [],
  );
  const plan = classes.length === 0 ? null : planHead(saved, model.config, head);
  const redrawn = plan?.action === 'new' ? classes : [];
  for (const name of redrawn) found.delete(name);
  const missing = new Set([...mapping.missing, ...mismatched.map(({ name }) => name), ...redrawn]);
  const fresh = new Set([...missing].map((name) => weights.get(name)!.tensor));
  if (fresh.size > 0) model.initWeights(fresh);
  for (const names of namesByPart(weights)) {
    const name = names.find((candidate) => found.has(candidate));
    if (name === undefined) continue;
    const { tensor, offset } = weights.get(name)!;
    for await (const { elementOffset, values } of checkpoint.float32Chunks(found.get(name)!))
      tensor.write(values, offset + elementOffset);
  }
  if (plan?.rows !== undefined) await reorderRows(classLayer!, plan.rows);
  const report = { missing: mapping.missing, unexpected: mapping.unexpected, mismatched, untied, redrawn };
  const text = formatLoadReport(checkpoint.folder, report);
  if (plan === null || plan.text === '') return { ...report, text };
  const title = { keep: 'classes     ', reorder: 'reordered   ', new: 'drawn anew  ' }[plan.action];
  const row = `  ${title}${classes.join(', ')}: ${plan.text}`;
  return { ...report, text: text === '' ? row : `${text}\n${row}` };
}
