/** A checkpoint folder: one safetensors file, or several named by an index. */

import * as v from 'valibot';
import { platform } from '#platform';
import { CheckpointError, FileError } from '../../errors.ts';
import { parseJson } from './json.ts';
import {
  type FloatChunk,
  openSafetensors,
  type SafetensorsFile,
  type TensorEntry,
} from './safetensors-reader.ts';

export const WEIGHTS_NAME = 'model.safetensors';
export const INDEX_NAME = 'model.safetensors.index.json';
export const CONFIG_NAME = 'config.json';

const AGAIN = { remedy: 'download the model again, or save it again' };

const indexSchema = v.looseObject({ weight_map: v.record(v.string(), v.string()) });

export class Checkpoint {
  constructor(
    readonly folder: string,
    private readonly files: readonly SafetensorsFile[],
    private readonly homes: ReadonlyMap<string, SafetensorsFile>,
  ) {}

  keys(): string[] {
    return [...this.homes.keys()];
  }

  /** The file that holds a tensor. */
  home(key: string): SafetensorsFile {
    const file = this.homes.get(key);
    if (file === undefined) throw new CheckpointError(`${this.folder}: there is no tensor '${key}'`);
    return file;
  }

  entry(key: string): TensorEntry {
    return this.home(key).entry(key);
  }

  float32Chunks(key: string): AsyncGenerator<FloatChunk> {
    return this.home(key).float32Chunks(key);
  }

  async close(): Promise<void> {
    for (const file of this.files) await file.close();
  }
}

/** Throws `FileError` for a missing folder, `CheckpointError` naming the file or key that is wrong. */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  if (!(await platform.isFolder(folder))) {
    throw new FileError(`model folder '${folder}' does not exist`, { remedy: 'check the path' });
  }
  const single = platform.joinPath(folder, WEIGHTS_NAME);
  if (await platform.exists(single)) {
    const file = await openSafetensors(await platform.openFile(single));
    return new Checkpoint(folder, [file], new Map([...file.tensors.keys()].map((key) => [key, file])));
  }
  const index = platform.joinPath(folder, INDEX_NAME);
  if (await platform.exists(index)) return openShards(folder, index);
  const pickled = await platform.exists(platform.joinPath(folder, 'pytorch_model.bin'));
  throw new CheckpointError(`'${folder}' has no ${WEIGHTS_NAME} and no ${INDEX_NAME}`, {
    remedy: pickled
      ? 'pickled weights are not read: load the model in Python and save_pretrained() it as safetensors'
      : 'is it a folder that save_pretrained() wrote?',
  });
}

async function openShards(folder: string, indexPath: string): Promise<Checkpoint> {
  const map = parseIndex(indexPath, await platform.readText(indexPath));
  const byName = new Map<string, SafetensorsFile>();
  try {
    for (const name of new Set(Object.values(map))) {
      const path = platform.joinPath(folder, name);
      if (!(await platform.exists(path))) {
        throw new CheckpointError(`${indexPath}: shard '${name}' is missing`, {
          remedy: 'download all shards',
        });
      }
      byName.set(name, await openSafetensors(await platform.openFile(path)));
    }
    const homes = new Map<string, SafetensorsFile>();
    for (const [key, name] of Object.entries(map)) {
      const file = byName.get(name)!;
      if (!file.tensors.has(key)) {
        throw new CheckpointError(`${indexPath}: '${key}' is not in shard '${name}'`, AGAIN);
      }
      homes.set(key, file);
    }
    return new Checkpoint(folder, [...byName.values()], homes);
  } catch (error) {
    for (const file of byName.values()) await file.close();
    throw error;
  }
}

/** Tensor → shard of an index. Throws `CheckpointError` naming an index that cannot be used. */
export function parseIndex(path: string, text: string): Record<string, string> {
  const json = parseJson(text, { source: path, error: CheckpointError, ...AGAIN });
  const result = v.safeParse(indexSchema, json);
  if (!result.success) {
    throw new CheckpointError(`${path}: 'weight_map' must map tensors to shard files`, AGAIN);
  }
  for (const name of Object.values(result.output.weight_map)) {
    // A path could lead out of the folder.
    if (!/^[^/\\]+\.safetensors$/.test(name)) {
      throw new CheckpointError(`${path}: '${name}' is not a shard's file name`, AGAIN);
    }
  }
  return result.output.weight_map;
}
