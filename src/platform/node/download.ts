/**
 * Downloads models from the hub into the cache layout of Python's huggingface_hub: refs, blobs, and snapshots
 * made of links to the blobs.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError } from '../../errors.ts';
import type { ModelDownload } from '../contract.ts';
import { exists } from './files.ts';
import { cachedCommit, cachedRepo, HubUnreachable, hubAccess, isCommit } from './hub-access.ts';
import { fetchFiles, saveRef, snapshotOf } from './snapshot.ts';

/** See `Platform.downloadModel`. */
export async function downloadModel(id: string, download: ModelDownload): Promise<string> {
  const { repo, cacheDir, offline } = cachedRepo('model', id, download);
  const { revision = 'main' } = download;
  if (offline || isCommit(revision)) {
    const cached = await cachedSnapshot(repo, revision, download);
    if (cached !== null) return cached;
  }
  if (offline) {
    throw new FileError(
      `'${id}' is no folder and not in the hub cache '${cacheDir}', and downloads are switched off`,
      { remedy: 'download it once without HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, or give a folder' },
    );
  }
  try {
    return await fetchSnapshot(id, repo, revision, download);
  } catch (error) {
    const cached = error instanceof HubUnreachable ? await cachedSnapshot(repo, revision, download) : null;
    if (cached !== null) return cached;
    throw error;
  }
}

/** The snapshot left by an earlier download, or null if it lacks a file of the model. */
async function cachedSnapshot(
  repo: string,
  revision: string,
  download: ModelDownload,
): Promise<string | null> {
  const snapshot = snapshotOf({ repo, sha: await cachedCommit(repo, revision) });
  if (!(await exists(snapshot))) return null;
  const weights = await cachedWeights(snapshot, download.weights);
  if (weights === null) return null;
  const needed = [...download.required, ...weights];
  for (const name of needed) if (!(await exists(join(snapshot, name)))) return null;
  if (needed.length > 0) return snapshot;
  // If no file is required, at least one of the optional files must exist.
  for (const name of download.optional) if (await exists(join(snapshot, name))) return snapshot;
  return null;
}

/** The weight files that a snapshot must have, or null if neither the single file nor an index is there. */
async function cachedWeights(
  snapshot: string,
  weights: ModelDownload['weights'],
): Promise<readonly string[] | null> {
  if (weights === null) return [];
  if (await exists(join(snapshot, weights.single))) return [weights.single];
  const path = join(snapshot, weights.index);
  const text = await readFile(path, 'utf8').catch(() => null);
  return text === null ? null : weights.shardsOf(path, text);
}

async function fetchSnapshot(
  id: string,
  repo: string,
  revision: string,
  download: ModelDownload,
): Promise<string> {
  const { modelInfo } = await import('@huggingface/hub');
  const access = await hubAccess(`'${id}' is no folder, and`, download, ', or give a folder');
  const { sha, filePaths } = await modelInfo({
    name: id,
    revision,
    additionalFields: ['sha', 'filePaths'],
    ...access,
  });
  const names = wantedFiles(id, filePaths, download);
  // Requests every file by this commit, so that all belong to one snapshot even if the branch moves
  // meanwhile.
  const commit = { type: 'model', id, sha, repo } as const;
  const get = (paths: readonly string[]) => fetchFiles(commit, paths, access, download.onProgress);
  await get(names);
  const snapshot = snapshotOf(commit);
  const { weights } = download;
  if (weights !== null && names.includes(weights.index)) {
    const path = join(snapshot, weights.index);
    await get(weights.shardsOf(path, await readFile(path, 'utf8')));
  }
  await saveRef(revision, commit);
  return snapshot;
}

/** The files to download; an index stands for its shards. Throws `FileError` if a required one is missing. */
function wantedFiles(id: string, present: readonly string[], download: ModelDownload): string[] {
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
