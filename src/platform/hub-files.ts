/** Which files of a model on the hub are wanted, and which of them a snapshot in the cache has. */
import { FileError } from '../errors.ts';
import type { ModelDownload, Platform } from './contract.ts';

/** The files to download; an index stands for its shards. Throws `FileError` if a required one is missing. */
export function wantedFiles(id: string, present: readonly string[], download: ModelDownload): string[] {
  const { required, optional, beside = [], weights } = download;
  for (const name of required) {
    if (!present.includes(name))
      throw new FileError(`'${id}' has no ${name} on the hub`, {
        remedy: 'choose another model or revision',
      });
  }
  const names = [...required, ...[...optional, ...beside].filter((name) => present.includes(name))];
  if (weights === null) return names;
  const found = [weights.single, weights.index].find((name) => present.includes(name));
  if (found === undefined) {
    throw new FileError(`'${id}' has no safetensors weights on the hub`, {
      remedy: `choose a model or revision with ${weights.single}`,
    });
  }
  return [...names, found];
}

type Files = Pick<Platform, 'exists' | 'readText' | 'joinPath'>;

/** The folder of an earlier download, or null if it lacks a file of the model. */
export async function cachedSnapshot(
  files: Files,
  snapshot: string,
  download: ModelDownload,
): Promise<string | null> {
  const { exists, joinPath } = files;
  if (!(await exists(snapshot))) return null;
  const weights = await cachedWeights(files, snapshot, download.weights);
  if (weights === null) return null;
  const needed = [...download.required, ...weights];
  for (const name of needed) if (!(await exists(joinPath(snapshot, name)))) return null;
  if (needed.length > 0) return snapshot;
  // If no file is required, at least one of the optional files must exist.
  for (const name of download.optional) if (await exists(joinPath(snapshot, name))) return snapshot;
  return null;
}

/** The weight files that a snapshot must have, or null if neither the single file nor an index is there. */
async function cachedWeights(
  { exists, readText, joinPath }: Files,
  snapshot: string,
  weights: ModelDownload['weights'],
): Promise<readonly string[] | null> {
  if (weights === null) return [];
  if (await exists(joinPath(snapshot, weights.single))) return [weights.single];
  const path = joinPath(snapshot, weights.index);
  const text = await readText(path).catch(() => null);
  return text === null ? null : weights.shardsOf(path, text);
}
