/**
 * Data sets from the hub, in the cache layout of Python's huggingface_hub. Which files a commit has, and what
 * its card says, is kept beside the snapshots, so that the cache alone serves later.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError, NotFoundError } from '../../errors.ts';
import type { DatasetSnapshot, HubOptions } from '../contract.ts';
import { exists } from './files.ts';
import { cachedCommit, cachedRepo, HubUnreachable, hubAccess, isCommit } from './hub-access.ts';
import { type Commit, fetchFiles, saveRef, snapshotOf, whole } from './snapshot.ts';

interface Listing {
  paths: string[];
  card: unknown;
}

const listingPath = (repo: string, sha: string): string => join(repo, '.listings', `${sha}.json`);

/** See `Platform.openDataset`. */
export async function openDataset(id: string, options: HubOptions): Promise<DatasetSnapshot> {
  const { repo, cacheDir, offline } = cachedRepo('dataset', id, options);
  const { revision = 'main' } = options;
  if (offline || isCommit(revision)) {
    const cached = await openCached(id, repo, revision, options);
    if (cached !== null) return cached;
  }
  if (offline)
    throw new NotFoundError(
      `the data set '${id}' is not in the hub cache '${cacheDir}', and downloads are switched off`,
      { remedy: 'download it once without HF_HUB_OFFLINE, or give files' },
    );
  try {
    return await openOnline(id, repo, revision, options);
  } catch (error) {
    const cached = error instanceof HubUnreachable ? await openCached(id, repo, revision, options) : null;
    if (cached !== null) return cached;
    throw error;
  }
}

async function openCached(
  id: string,
  repo: string,
  revision: string,
  options: HubOptions,
): Promise<DatasetSnapshot | null> {
  const sha = await cachedCommit(repo, revision);
  const text = await readFile(listingPath(repo, sha), 'utf8').catch(() => null);
  if (text === null) return null;
  const commit = { type: 'dataset', id, sha, repo } as const;
  return snapshot(commit, JSON.parse(text) as Listing, options);
}

async function openOnline(
  id: string,
  repo: string,
  revision: string,
  options: HubOptions,
): Promise<DatasetSnapshot> {
  const hub = await import('@huggingface/hub');
  const access = await hubAccess(`the data set '${id}':`, options, ', or give files');
  try {
    const { sha, cardData = null } = await hub.datasetInfo({
      name: id,
      revision,
      additionalFields: ['sha', 'cardData'],
      ...access,
    });
    const commit = { type: 'dataset', id, sha, repo } as const;
    const path = listingPath(repo, sha);
    if (!(await exists(path))) {
      const paths: string[] = [];
      const from = { repo: { type: 'dataset' as const, name: id }, revision: sha, ...access };
      for await (const entry of hub.listFiles({ ...from, recursive: true }))
        if (entry.type === 'file' && isInside(entry.path)) paths.push(entry.path);
      await whole(path, (temporary) => writeFile(temporary, JSON.stringify({ paths, card: cardData })));
    }
    await saveRef(revision, commit);
    return snapshot(commit, JSON.parse(await readFile(path, 'utf8')) as Listing, options);
  } catch (error) {
    throw refusal(id, error);
  }
}

const isInside = (path: string): boolean =>
  !path.startsWith('/') && !path.split(/[\\/]/).some((part) => part === '..' || part === '');

function snapshot(commit: Commit, { paths, card }: Listing, options: HubOptions): DatasetSnapshot {
  const folder = snapshotOf(commit);
  return {
    id: commit.id,
    paths,
    card,
    async fetch(wanted) {
      const local = wanted.map((path) => join(folder, path));
      const there = await Promise.all(local.map(exists));
      if (there.every(Boolean)) return local;
      const { offline } = cachedRepo('dataset', commit.id, options);
      if (offline)
        throw new FileError(
          `'${wanted[there.indexOf(false)]}' of the data set '${commit.id}' is not in the hub cache, and downloads are switched off`,
          { remedy: 'download it once without HF_HUB_OFFLINE' },
        );
      try {
        const access = await hubAccess(`the data set '${commit.id}':`, options);
        await fetchFiles(commit, wanted, access, options.onProgress);
      } catch (error) {
        throw refusal(commit.id, error);
      }
      return local;
    },
  };
}

/** The hub's refusal, with what to do about it. */
function refusal(id: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof FileError) return error;
  const { statusCode } = error as { statusCode?: number };
  if (statusCode === undefined) return error;
  const reason = error.message.replace(/\.? URL: .*$/s, '');
  if (statusCode === 403 || /gated|restricted|be authenticated/i.test(reason))
    return new FileError(`the hub does not give out the data set '${id}': ${reason}`, {
      remedy: "ask for access on the data set's page, and set HF_TOKEN to a token that may read it",
      cause: error,
    });
  if (statusCode === 404 || statusCode === 401)
    return new NotFoundError(`there is no data set '${id}' on the hub: ${reason}`, {
      remedy: 'check the name; HF_TOKEN gives access to private ones',
      cause: error,
    });
  return new FileError(`the data set '${id}' could not be downloaded: ${reason}`, {
    remedy: 'try again',
    cause: error,
  });
}
