/** An adapter's folder: PEFT's two files, and config.json if there is a head, so that its classes are known. */
import { platform } from '#platform';
import { ConfigError, FileError } from '../../errors.ts';
import type { FolderWriter } from '../../platform/contract.ts';
import { writeConfig } from '../common/config.ts';
import type { PreTrainedModel } from '../common/pretrained.ts';
import { CONFIG_NAME, INDEX_NAME, WEIGHTS_NAME } from '../files/checkpoint-files.ts';
import { type HubOptions, resolveModel } from '../files/hub.ts';
import { openSafetensors, type SafetensorsFile } from '../files/safetensors-reader.ts';
import { type TensorToWrite, writeSafetensors } from '../files/safetensors-writer.ts';
import { partToWrite } from '../files/save.ts';
import { storedWeights } from '../files/weight-names.ts';
import type { ModelAdapters } from './adapters.ts';
import { LoraConfig } from './config.ts';
import { ADAPTER_CONFIG_NAME, ADAPTER_WEIGHTS_NAME, DEFAULT_ADAPTER, PREFIX } from './names.ts';

/**
 * Whether an adapter's folder has config.json, for the classes of a head. Without a head there is none, as in
 * Python: transformers and sentence-transformers would look for the whole model beside it.
 */
export const hasConfig = ({ model }: ModelAdapters): boolean => model.base !== model;

/** Writes a model's adapters into a folder under construction: others than `default` into folders of their names. */
export async function writeAdapters(
  folder: FolderWriter,
  model: PreTrainedModel,
  adapters: ModelAdapters,
  dtype: TensorToWrite['dtype'] = 'F32',
): Promise<void> {
  const { traits } = model.base;
  if (hasConfig(adapters))
    await folder.writeText(CONFIG_NAME, writeConfig(traits.config, model.config, model.architecture));
  for (const name of adapters.names) {
    const inside = name === DEFAULT_ADAPTER ? '' : `${name}/`;
    const tensors = storedWeights(adapters.fileWeights(name)).map((weight) =>
      partToWrite(weight.name, weight.tensor, weight, dtype),
    );
    await folder.writeFile(`${inside}${ADAPTER_WEIGHTS_NAME}`, (sink) => writeSafetensors(sink, tensors));
    await folder.writeText(`${inside}${ADAPTER_CONFIG_NAME}`, adapters.config(name).toJson());
  }
}

/** The settings of the adapter in a folder; null if it holds a model, or nothing. */
export async function adapterIn(folder: string): Promise<LoraConfig | null> {
  const has = (name: string) => platform.exists(platform.joinPath(folder, name));
  // A page's requests for files that are not there are seen: asks first for what most folders have.
  if ((await has(WEIGHTS_NAME)) || !(await has(ADAPTER_CONFIG_NAME)) || (await has(INDEX_NAME))) return null;
  return LoraConfig.fromPretrained(folder);
}

/** Opens an adapter's weights. Throws `FileError` if there are none. */
export async function openAdapter(folder: string): Promise<SafetensorsFile> {
  const path = platform.joinPath(folder, ADAPTER_WEIGHTS_NAME);
  if (await platform.exists(path)) return openSafetensors(await platform.openFile(path));
  const pickled = await platform.exists(platform.joinPath(folder, 'adapter_model.bin'));
  throw new FileError(`'${folder}' has no ${ADAPTER_WEIGHTS_NAME}`, {
    remedy: pickled
      ? 'pickled weights are not read: load the adapter in Python and save_pretrained() it as safetensors'
      : 'is it a folder that PEFT or this engine saved an adapter in?',
  });
}

/**
 * The folder of an adapter's base: as its settings name it, in the adapter's folder, or on the hub. Throws
 * `ConfigError` if they name none, `FileError` if it is not there.
 */
export async function baseFolder(
  folder: string,
  config: LoraConfig,
  options: HubOptions = {},
): Promise<string> {
  const { baseModelNameOrPath: name, revision } = config;
  if (name === null)
    throw new ConfigError(`${platform.joinPath(folder, ADAPTER_CONFIG_NAME)} names no base model`, {
      remedy: 'set its base_model_name_or_path',
    });
  const beside = platform.joinPath(folder, name);
  if (!(await platform.isFolder(name)) && (await platform.isFolder(beside))) return beside;
  try {
    return await resolveModel(name, { ...options, ...(revision !== null && { revision }) });
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    throw new FileError(`the base model '${name}' of the adapter in '${folder}' cannot be had`, {
      remedy: `${cause.message}; or set base_model_name_or_path in ${ADAPTER_CONFIG_NAME}`,
      cause,
    });
  }
}

/** Names of the model's own weights that an adapter brings along. */
export async function weightsIn(folder: string): Promise<Set<string>> {
  const file = await openAdapter(folder);
  try {
    return new Set([...file.tensors.keys()].map((key) => key.slice(PREFIX.length)));
  } finally {
    await file.close();
  }
}

/** The rows of the classifier that an adapter brings along; null if it brings none. */
export async function classesIn(folder: string): Promise<number | null> {
  const file = await openAdapter(folder);
  try {
    const key = [...file.tensors.keys()].find((name) => /\.(classifier|out_proj|score)\.weight$/.test(name));
    return key === undefined ? null : file.entry(key).shape[0]!;
  } finally {
    await file.close();
  }
}
