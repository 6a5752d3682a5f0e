/** Loading a checkpoint into a model, and saving a model as transformers does. */
import { platform } from '#platform';
import { CheckpointError, ConfigError, FileError } from '../errors.ts';
import { skipInit } from '../nn/layers.ts';
import type { ExistingFolder, FolderWriter } from '../platform/contract.ts';
import { type Device, requestDevice } from '../tensor/device.ts';
import { formatShape, sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Checkpoint, CONFIG_NAME, openCheckpoint, WEIGHTS_NAME } from './checkpoint-files.ts';
import { type HeadOption, type HeadPlan, planHead, reorderRows } from './class-head.ts';
import {
  type ConfigOverrides,
  configToJson,
  type PretrainedConfig,
  parseConfig,
  withOverrides,
} from './config.ts';
import { type HubOptions, resolveModel } from './hub.ts';
import type { PreTrainedModel } from './pretrained.ts';
import { writeSafetensors } from './safetensors-writer.ts';
import { formatLoadReport, mapWeights, type WeightMapping } from './weight-names.ts';

export interface LoadOptions extends HubOptions, ConfigOverrides {
  /** Where the weights go; the best adapter there is where absent. */
  device?: Device;
  /** Draw weights whose shape differs from the checkpoint's anew instead of throwing; 'head': only those on top of the encoder. */
  ignoreMismatchedSizes?: boolean | 'head';
  /**
   * What becomes of a trained classifier under other names (`id2label`). Where absent: the same names in another order take their weights
   * along, other names get new weights, and only some of the names throw `ConfigError`; the report says which.
   */
  head?: HeadOption;
  /** Gets the report of missing and unexpected weights; `console.warn` where absent. */
  onReport?: (report: LoadReport) => void;
}

export interface LoadReport extends Pick<WeightMapping, 'missing' | 'unexpected'> {
  /** Weights drawn anew because their shape differs, with both shapes. */
  mismatched: { name: string; checkpoint: readonly number[]; model: readonly number[] }[];
  /** Weights of a classifier that were drawn anew because its classes are others. */
  redrawn: string[];
  /** For people; empty where everything fits. */
  text: string;
}

/** Reads a model's config.json. Throws `FileError` where it is missing, `ConfigError` where it cannot be used. */
export async function loadConfig(idOrFolder: string, options: HubOptions = {}): Promise<PretrainedConfig> {
  const folder = await resolveModel(idOrFolder, options, 'config');
  const path = platform.joinPath(folder, CONFIG_NAME);
  if (!(await platform.exists(path))) {
    throw new FileError(`'${path}' does not exist`, {
      remedy: 'is it a folder that save_pretrained() wrote?',
    });
  }
  const text = await platform.readText(path);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(`${path}: not JSON`, { cause });
  }
  return parseConfig(json, path);
}

const overrideKeys = [
  'vocabSize',
  'hiddenSize',
  'numHiddenLayers',
  'numAttentionHeads',
  'intermediateSize',
  'hiddenAct',
  'hiddenDropoutProb',
  'attentionProbsDropoutProb',
  'classifierDropout',
  'maxPositionEmbeddings',
  'typeVocabSize',
  'initializerRange',
  'layerNormEps',
  'padTokenId',
  'tieWordEmbeddings',
  'problemType',
  'numLabels',
  'id2label',
  'textPair',
] as const satisfies readonly (keyof ConfigOverrides)[];

function overridesOf(options: LoadOptions): ConfigOverrides {
  const given = overrideKeys.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]);
  return Object.fromEntries(given) as ConfigOverrides;
}

/** Builds the model that `create` gives for the folder's config and fills it from the folder's weights. */
export async function loadPretrained<M extends PreTrainedModel>(
  idOrFolder: string,
  create: (config: PretrainedConfig, device: Device) => M,
  options: LoadOptions = {},
): Promise<M> {
  const folder = await resolveModel(idOrFolder, options);
  const saved = await loadConfig(folder);
  const config = withOverrides(saved, overridesOf(options));
  const checkpoint = await openCheckpoint(folder);
  try {
    const device = options.device ?? (await requestDevice());
    const model = skipInit(() => create(config, device));
    try {
      const report = await fill(model, checkpoint, saved, options);
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

/** Names that share a tensor. */
function tiesOf(state: Map<string, Tensor>): string[][] {
  const names = new Map<Tensor, string[]>();
  for (const [name, tensor] of state) names.set(tensor, [...(names.get(tensor) ?? []), name]);
  return [...names.values()].filter((group) => group.length > 1);
}

async function fill(
  model: PreTrainedModel,
  checkpoint: Checkpoint,
  saved: PretrainedConfig,
  { ignoreMismatchedSizes: ignoreMismatched = false, head }: LoadOptions,
): Promise<LoadReport> {
  const state = model.stateDict();
  const mapping = mapWeights([...state.keys()], checkpoint.keys(), model.baseModelPrefix, tiesOf(state));
  const mismatched: LoadReport['mismatched'] = [];
  for (const [name, key] of mapping.found) {
    const [model_, file] = [state.get(name)!.shape, checkpoint.entry(key).shape];
    if (sameShape(model_, file)) continue;
    const ignored =
      ignoreMismatched === 'head' ? !name.startsWith(`${model.baseModelPrefix}.`) : ignoreMismatched;
    if (!ignored) {
      const shapes = `${formatShape(file)} in '${checkpoint.home(key).path}', ${formatShape(model_)} in the model's config`;
      throw new CheckpointError(`tensor '${key}' is ${shapes}`, {
        remedy:
          'check the config, or pass ignoreMismatchedSizes to draw the weight anew (a head of other labels)',
      });
    }
    mismatched.push({ name, checkpoint: file, model: model_ });
  }
  const skip = new Set(mismatched.map(({ name }) => name));
  const classes = classWeights(model, state).filter((name) => mapping.found.has(name) && !skip.has(name));
  const plan = classes.length === 0 ? null : planHead(saved, model.config, head);
  const redrawn = plan?.action === 'new' ? classes : [];
  for (const name of redrawn) skip.add(name);
  const fresh = new Set([...mapping.missing, ...skip].map((name) => state.get(name)!));
  if (fresh.size > 0) model.initWeights(fresh);
  const loaded = new Set<Tensor>();
  for (const [name, key] of mapping.found) {
    const tensor = state.get(name)!;
    if (skip.has(name) || loaded.has(tensor)) continue;
    loaded.add(tensor);
    for await (const { elementOffset, values } of checkpoint.float32Chunks(key))
      tensor.write(values, elementOffset);
  }
  if (plan?.action === 'reorder') await reorderRows(model.classLayer!, plan.rows);
  const rows = mismatched.map(
    ({ name, checkpoint: from, model: to }) =>
      `  mismatched  ${name}: ${formatShape(from)} → ${formatShape(to)}, drawn anew`,
  );
  const text = [formatLoadReport(checkpoint.folder, mapping), ...rows, ...headRows(classes, plan)]
    .filter((line) => line !== '')
    .join('\n');
  return { missing: mapping.missing, unexpected: mapping.unexpected, mismatched, redrawn, text };
}

/** Names of the weights that have a row for each class. */
function classWeights(model: PreTrainedModel, state: Map<string, Tensor>): string[] {
  const layer = model.classLayer;
  if (layer === null) return [];
  return [...state]
    .filter(([, tensor]) => tensor === layer.weight || tensor === layer.bias)
    .map(([name]) => name);
}

function headRows(classes: readonly string[], plan: HeadPlan | null): string[] {
  if (plan === null || plan.text === '') return [];
  const title = { keep: 'classes     ', reorder: 'reordered   ', new: 'drawn anew  ' }[plan.action];
  return [`  ${title}${classes.join(', ')}: ${plan.text}`];
}

export interface SaveOptions {
  /** F16 halves the file; weights past 65,504 become infinite in it. */
  dtype?: 'F32' | 'F16';
  /** What to do where the folder exists; `merge` replaces the files written and keeps the rest. */
  existing?: ExistingFolder;
}

/** Writes config.json and model.safetensors into a folder under construction. */
export async function writeModel(
  folder: FolderWriter,
  model: PreTrainedModel,
  { dtype = 'F32' }: SaveOptions = {},
): Promise<void> {
  const name = dtype === 'F16' ? 'float16' : 'float32';
  await folder.writeText(CONFIG_NAME, configToJson(model.config, model.architecture, name));
  const tensors = model.namedParameters().map(([name, tensor]) => ({
    name,
    shape: tensor.shape,
    dtype,
    read: () => tensor.float32Data(),
  }));
  await folder.writeFile(WEIGHTS_NAME, (sink) => writeSafetensors(sink, tensors));
}

/** Saves config.json and model.safetensors so that the folder's files appear whole or not at all. */
export async function saveModel(
  model: PreTrainedModel,
  path: string,
  options: SaveOptions = {},
): Promise<void> {
  await platform.writeFolder(path, options.existing ?? 'merge', (folder) =>
    writeModel(folder, model, options),
  );
}
