/**
 * Downloads models from the hub into the cache layout of Python's huggingface_hub: refs, blobs, and snapshots
 * made of links to the blobs.
 */
import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { FileError } from '../../errors.ts';
import type { ModelDownload } from '../contract.ts';
import { cachedSnapshot, wantedFiles } from '../hub-files.ts';
import { expandPath, type HubEnvironment, hubEnvironment } from './environment.ts';
import { exists, readText } from './files.ts';
import { discard, sweepEntries, temporaryPath } from './temporary.ts';

const COMMIT = /^[0-9a-f]{40}$/;
const files = { exists, readText, joinPath: join };

/** The hub did not answer, or answered with a server error; cached files may still serve. */
class HubUnreachable extends FileError {}

/** The token given, else the one from the environment, else the one saved by a login from Python. */
async function accessToken(download: ModelDownload, hub: HubEnvironment): Promise<string | undefined> {
  if (download.token) return download.token;
  if (!hub.implicitToken) return undefined;
  if (hub.token !== undefined) return hub.token;
  const saved = await readFile(hub.tokenPath, 'utf8').catch(() => '');
  return saved.replaceAll(/[\r\n]/g, '').trim() || undefined;
}

/** See `Platform.downloadModel`. */
export async function downloadModel(id: string, download: ModelDownload): Promise<string> {
  const environment = hubEnvironment();
  const cacheDir = download.cacheDir === undefined ? environment.cache : expandPath(download.cacheDir);
  const repo = join(cacheDir, `models--${id.replaceAll('/', '--')}`);
  const { revision = 'main' } = download;
  const offline = download.localFilesOnly ?? environment.offline;
  if (offline || COMMIT.test(revision)) {
    const cached = await cachedSnapshot(files, repo, revision, download);
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
      error instanceof HubUnreachable ? await cachedSnapshot(files, repo, revision, download) : null;
    if (cached !== null) return cached;
    throw error;
  }
}

/** A fetch whose errors name the hub. */
function hubFetch(id: string, hubUrl: string): typeof fetch {
  const unreachable = (reason: string, cause?: unknown) =>
    new HubUnreachable(`'${id}' is no folder, and the hub at ${hubUrl} cannot be reached: ${reason}`, {
      remedy: 'check the network, or give a folder',
      cause,
    });
  return async (input, init) => {
    const response = await fetch(input, init).catch((error: Error) => {
      // fetch says only that it failed; the reason is in the cause.
      throw unreachable(error.cause instanceof Error ? error.cause.message : error.message, error);
    });
    if (response.status >= 500) throw unreachable(`HTTP ${response.status}`);
    return response;
  };
}

async function fetchSnapshot(
  id: string,
  repo: string,
  revision: string,
  download: ModelDownload,
): Promise<string> {
  const hub = await import('@huggingface/hub');
  const environment = hubEnvironment();
  const hubUrl = (download.hubUrl || environment.endpoint || hub.HUB_URL).replace(/\/+$/, '');
  const token = await accessToken(download, environment);
  const access = { hubUrl, fetch: hubFetch(id, hubUrl), ...(token !== undefined && { accessToken: token }) };
  const { sha, filePaths } = await hub.modelInfo({
    name: id,
    revision,
    additionalFields: ['sha', 'filePaths'],
    ...access,
  });
  const names = wantedFiles(id, filePaths, download);
  // Requests every file by this commit, so that all belong to one snapshot even if the branch moves
  // meanwhile.
  const snapshot = join(repo, 'snapshots', sha);
  const common = { repo: { type: 'model' as const, name: id }, revision: sha, ...access };
  const get = async (paths: readonly string[]): Promise<void> => {
    const absent: string[] = [];
    for (const path of paths) if (!(await exists(join(snapshot, path)))) absent.push(path);
    if (absent.length === 0) return;
    const infos = new Map(
      (await hub.pathsInfo({ ...common, paths: absent })).map((info) => [info.path, info]),
    );
    for (const path of absent) {
      const info = infos.get(path);
      const etag = info?.lfs?.oid ?? info?.oid;
      const blob = etag === undefined ? null : join(repo, 'blobs', etag);
      if (info === undefined || blob === null) throw new FileError(`'${id}' has no ${path} on the hub`);
      if (!(await exists(blob))) {
        await saveBlob(id, blob, info, () => hub.downloadFile({ ...common, path }), download.onProgress);
      }
      await link(blob, join(snapshot, path), environment.symlinks);
    }
  };
  await get(names);
  const { weights } = download;
  if (weights !== null && names.includes(weights.index)) {
    const path = join(snapshot, weights.index);
    await get(weights.shardsOf(path, await readFile(path, 'utf8')));
  }
  if (revision !== sha) await whole(join(repo, 'refs', revision), (temporary) => writeFile(temporary, sha));
  return snapshot;
}

/** Streams a file into the blobs; it gets its final name only once complete. */
async function saveBlob(
  id: string,
  path: string,
  { path: file, size: totalBytes }: { path: string; size: number },
  open: () => Promise<Blob | null>,
  onProgress: ModelDownload['onProgress'],
): Promise<void> {
  const content = await open();
  if (content === null) throw new FileError(`'${id}' has no ${file} on the hub`);
  await sweepEntries(dirname(path), () => true);
  let loadedBytes = 0;
  async function* count(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      loadedBytes += chunk.byteLength;
      onProgress?.({ file, loadedBytes, totalBytes });
      yield chunk;
    }
  }
  try {
    await whole(path, async (temporary) => {
      await pipeline(
        Readable.fromWeb(content.stream() as ReadableStream<Uint8Array>),
        count,
        createWriteStream(temporary),
      );
      if (loadedBytes !== totalBytes) throw new Error(`${loadedBytes} of ${totalBytes} bytes came`);
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileError(`'${file}' of '${id}' could not be downloaded whole: ${reason}`, {
      remedy: 'try again',
      cause,
    });
  }
}

/** Makes a relative link, as Python does, or a copy if links are disabled or unsupported. */
async function link(blob: string, path: string, symlinks: boolean): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const copy = (): Promise<void> => whole(path, (temporary) => copyFile(blob, temporary));
  if (!symlinks) return copy();
  try {
    await symlink(relative(dirname(path), blob), path);
  } catch (error) {
    // Another process may have been faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await copy();
  }
}

/** Gives a file its final name only once complete, because a file with its name is not downloaded again. */
async function whole(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = temporaryPath(dirname(path), basename(path), 'tmp');
  try {
    await mkdir(dirname(path), { recursive: true });
    await write(temporary);
    await rename(temporary, path);
  } finally {
    await discard(temporary);
  }
}
