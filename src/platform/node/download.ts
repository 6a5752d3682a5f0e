/**
 * Downloads models from the hub into the cache layout of Python's huggingface_hub: refs, blobs, and snapshots
 * made of links to the blobs.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError } from '../../errors.ts';
import type { ModelDownload } from '../contract.ts';
import { cachedSnapshot, wantedFiles } from '../hub-files.ts';
import { exists, readText } from './files.ts';
import { cachedCommit, cachedRepo, HubUnreachable, hubAccess, isCommit } from './hub-access.ts';
import { fetchFiles, saveRef, snapshotOf } from './snapshot.ts';

const files = { exists, readText, joinPath: join };

/** See `Platform.downloadModel`. */
export async function downloadModel(id: string, download: ModelDownload): Promise<string> {
  const { repo, cacheDir, offline } = cachedRepo('model', id, download);
  const { revision = 'main' } = download;
  const snapshot = async () => snapshotOf({ repo, sha: await cachedCommit(repo, revision) });
  if (offline || isCommit(revision)) {
    const cached = await cachedSnapshot(files, await snapshot(), download);
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
    const cached =
      error instanceof HubUnreachable ? await cachedSnapshot(files, await snapshot(), download) : null;
    if (cached !== null) return cached;
    throw error;
  }
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
