/** A model's folder: on disk, or downloaded from the hub into the cache that Python uses too. */
import { platform } from '#platform';
import { DawngradError, FileError, NotFoundError } from '../../errors.ts';
import { checkOptions, type OptionNames } from '../../options.ts';
import type { HubOptions, ModelDownload } from '../../platform/contract.ts';
import { ADAPTER_CONFIG_NAME, ADAPTER_WEIGHTS_NAME } from '../peft/names.ts';
import { CONFIG_NAME, INDEX_NAME, parseIndex, WEIGHTS_NAME } from './checkpoint-files.ts';

export type { DownloadProgress, HubOptions } from '../../platform/contract.ts';

export const hubOptionNames: OptionNames<HubOptions> = {
  revision: true,
  token: true,
  cacheDir: true,
  localFilesOnly: true,
  hubUrl: true,
  onProgress: true,
};

/** Files to have: only the config, the tokenizer's, or all with the weights. */
export type ModelPart = 'config' | 'tokenizer' | 'all';

/** Files of a tokenizer. */
export const TOKENIZER_FILES: readonly string[] = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
];
const WEIGHTS = {
  single: WEIGHTS_NAME,
  index: INDEX_NAME,
  shardsOf: (path: string, text: string) => [...new Set(Object.values(parseIndex(path, text)))],
};
const HUB_ID = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/;

/**
 * The folder of a model: `idOrFolder` itself if it is one, else a download of that hub id. Throws `FileError`
 * if it is neither or the download fails, `CheckpointError` for an index of shards that cannot be used.
 */
export async function resolveModel(
  idOrFolder: string,
  options: HubOptions = {},
  part: ModelPart = 'all',
  more: readonly string[] = [],
): Promise<string> {
  if (typeof idOrFolder !== 'string')
    throw new FileError(`${JSON.stringify(idOrFolder)} is no folder and no hub id`, {
      remedy: 'pass its name',
    });
  if (await platform.isFolder(idOrFolder)) return idOrFolder;
  const local = idOrFolder !== '' && !platform.isRemote(idOrFolder);
  if (local && (await platform.exists(idOrFolder))) {
    throw new FileError(`'${idOrFolder}' is a file`, { remedy: 'give the folder that holds it' });
  }
  if (!HUB_ID.test(idOrFolder)) {
    throw new FileError(`model folder '${idOrFolder}' does not exist`, {
      remedy: 'give a folder, or a hub id such as bert-base-uncased',
    });
  }
  return fetchModel(idOrFolder, options, part, more);
}

async function fetchModel(
  id: string,
  options: HubOptions,
  part: ModelPart,
  more: readonly string[],
): Promise<string> {
  const model = {
    required: part === 'tokenizer' ? [] : [CONFIG_NAME],
    optional: part === 'config' ? [] : TOKENIZER_FILES,
    // The model's type decides the tokenizer's class if the tokenizer's files do not name it.
    beside: [...(part === 'tokenizer' ? [CONFIG_NAME] : []), ...more],
    weights: part === 'all' ? WEIGHTS : null,
  };
  try {
    return await download(id, { ...options, ...model });
  } catch (cause) {
    // A repository without a model may hold an adapter.
    if (part !== 'all' || !(cause instanceof FileError) || cause instanceof NotFoundError) throw cause;
    return downloadAdapter(id, options, more).catch(() => {
      throw cause;
    });
  }
}

/**
 * Downloads the files of a model from the hub, those that are not in the cache yet: config, tokenizer and
 * weights. Returns the folder, which everything that takes one takes. Unlike Python's function of this name it
 * leaves out other files of the repository. Throws `NotFoundError` if the hub has no such model, `FileError` if
 * it cannot be had.
 */
export async function snapshotDownload(id: string, options: HubOptions = {}): Promise<string> {
  checkOptions('snapshotDownload', options, hubOptionNames);
  if (typeof id !== 'string' || !HUB_ID.test(id))
    throw new FileError(`${JSON.stringify(id)} is no hub id`, {
      remedy: 'an id has letters, digits, -, _ and ., and one / at most: google-bert/bert-base-uncased',
    });
  return fetchModel(id, options, 'all', []);
}

/** The folder of an adapter: `idOrFolder` itself if it is one, else a download of that hub id. Throws `FileError`. */
export async function resolveAdapter(idOrFolder: string, options: HubOptions = {}): Promise<string> {
  if (await platform.isFolder(idOrFolder)) return idOrFolder;
  if (!HUB_ID.test(idOrFolder))
    throw new FileError(`adapter folder '${idOrFolder}' does not exist`, {
      remedy: 'give a folder, or a hub id',
    });
  return downloadAdapter(idOrFolder, options);
}

const downloadAdapter = (id: string, options: HubOptions, more: readonly string[] = []): Promise<string> =>
  download(id, {
    ...options,
    required: [ADAPTER_CONFIG_NAME],
    optional: [],
    beside: [CONFIG_NAME, ...TOKENIZER_FILES, ...more],
    weights: {
      single: ADAPTER_WEIGHTS_NAME,
      index: `${ADAPTER_WEIGHTS_NAME}.index.json`,
      shardsOf: () => [],
    },
  });

async function download(idOrFolder: string, wanted: ModelDownload): Promise<string> {
  try {
    return await platform.downloadModel(idOrFolder, wanted);
  } catch (cause) {
    if (cause instanceof DawngradError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileError(
      `'${idOrFolder}' is no folder, and it could not be downloaded from the hub: ${reason}`,
      { remedy: 'check the name and the network; HF_TOKEN gives access to private models', cause },
    );
  }
}
