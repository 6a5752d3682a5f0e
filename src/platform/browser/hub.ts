/**
 * Downloads models from the hub by fetch into files that the browser keeps: `opfs:/huggingface/hub`, with the
 * folders of Python's cache but the files themselves in place of links.
 */
import { FileError, NotFoundError } from '../../errors.ts';
import type { ModelDownload } from '../contract.ts';
import { cachedSnapshot, wantedFiles } from '../hub-files.ts';
import { exists, openFile, readText, writeStream } from './files.ts';
import { joinPath } from './places.ts';
import { request } from './urls.ts';

const HUB_URL = 'https://huggingface.co';
const CACHE = 'opfs:/huggingface/hub';
const COMMIT = /^[0-9a-f]{40}$/;

const files = { exists, readText, joinPath };

/** See `Platform.downloadModel`. */
export async function downloadModel(id: string, download: ModelDownload): Promise<string> {
  const { revision = 'main', cacheDir = CACHE, localFilesOnly = false } = download;
  const repo = joinPath(cacheDir, `models--${id.replaceAll('/', '--')}`);
  const cached = async () => {
    const commit = await readText(joinPath(repo, 'refs', revision)).catch(() => revision);
    return cachedSnapshot(files, joinPath(repo, 'snapshots', commit), download);
  };
  if (localFilesOnly || COMMIT.test(revision)) {
    const snapshot = await cached();
    if (snapshot !== null) return snapshot;
    if (localFilesOnly)
      throw new FileError(`'${id}' is not in '${cacheDir}', and downloads are switched off`, {
        remedy: 'download it once without localFilesOnly',
      });
  }
  let model: HubModel;
  try {
    model = await askHub(id, revision, download);
  } catch (error) {
    const snapshot = error instanceof HubUnreachable ? await cached() : null;
    if (snapshot !== null) return snapshot;
    throw error;
  }
  return fetchFiles(id, model, repo, download);
}

/** The hub did not answer, or answered with a server error; cached files may still serve. */
class HubUnreachable extends FileError {}

interface HubModel {
  sha: string;
  /** Bytes by name, where the hub tells them. */
  files: Map<string, number | undefined>;
}

const hubOf = ({ hubUrl }: ModelDownload): string => (hubUrl || HUB_URL).replace(/\/+$/, '');

async function hubFetch(id: string, path: string, download: ModelDownload): Promise<Response> {
  const hub = hubOf(download);
  const headers = download.token ? { authorization: `Bearer ${download.token}` } : {};
  const unreachable = (reason: string, cause?: unknown): HubUnreachable =>
    new HubUnreachable(`'${id}' is no folder, and the hub at ${hub} cannot be reached: ${reason}`, {
      remedy: 'check the network, or give the address of a folder',
      cause,
    });
  const response = await request(`${hub}/${path}`, { headers }).catch((error: FileError) => {
    const { cause } = error;
    throw unreachable(cause instanceof Error ? cause.message : error.message, cause);
  });
  if (response.status >= 500) throw unreachable(`HTTP ${response.status}`);
  if (response.ok) return response;
  throw refusal(id, hub, response);
}

/** What a hub's refusal means; it tells those without access to a model that there is none. */
function refusal(id: string, hub: string, { status, headers }: Response): FileError {
  const code = headers.get('x-error-code');
  if (code === 'RepoNotFound')
    return new NotFoundError(`the hub at ${hub} has no model '${id}', or it is private`, {
      remedy: 'check the name, or pass a token that may read it',
    });
  if (code === 'GatedRepo')
    return new FileError(`'${id}' is gated: its authors decide who may download it from the hub`, {
      remedy: `ask for access at ${hub}/${id}, and pass a token of your account`,
    });
  const refused = [401, 403].includes(status);
  return new FileError(`'${id}' is no folder, and it could not be downloaded from the hub: HTTP ${status}`, {
    remedy: refused ? 'pass a token that may read it' : 'check the name and the revision',
  });
}

async function askHub(id: string, revision: string, download: ModelDownload): Promise<HubModel> {
  const path = `api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const answer = (await (await hubFetch(id, path, download)).json()) as {
    sha?: unknown;
    siblings?: readonly { rfilename: string; size?: number }[];
  };
  if (typeof answer.sha !== 'string' || !Array.isArray(answer.siblings))
    throw new FileError(`'${id}': ${hubOf(download)} did not answer as a hub does`, {
      remedy: 'check hubUrl',
    });
  return { sha: answer.sha, files: new Map(answer.siblings.map((one) => [one.rfilename, one.size])) };
}

async function fetchFiles(
  id: string,
  { sha, files: sizes }: HubModel,
  repo: string,
  download: ModelDownload,
): Promise<string> {
  const snapshot = joinPath(repo, 'snapshots', sha);
  const get = async (names: readonly string[]): Promise<void> => {
    for (const name of names) {
      const path = joinPath(snapshot, name);
      if (await isWhole(path, sizes.get(name))) continue;
      const address = `${id}/resolve/${sha}/${name.split('/').map(encodeURIComponent).join('/')}`;
      await saveFile(id, name, path, await hubFetch(id, address, download), sizes.get(name), download);
    }
  };
  const names = wantedFiles(id, [...sizes.keys()], download);
  await get(names);
  const { weights, revision = 'main' } = download;
  if (weights !== null && names.includes(weights.index)) {
    const path = joinPath(snapshot, weights.index);
    await get(weights.shardsOf(path, await readText(path)));
  }
  if (revision !== sha) await writeStream(joinPath(repo, 'refs', revision), once(sha));
  return snapshot;
}

/** A page that was closed in the midst of a download leaves an empty file. */
async function isWhole(path: string, size: number | undefined): Promise<boolean> {
  if (!(await exists(path))) return false;
  const { size: found } = await openFile(path);
  return size === undefined ? found > 0 : found === size;
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}

/** The file has its name only once it is whole. */
async function saveFile(
  id: string,
  file: string,
  path: string,
  { body, headers }: Response,
  size: number | undefined,
  { onProgress }: ModelDownload,
): Promise<void> {
  const totalBytes = size ?? Number(headers.get('content-length') ?? 0);
  async function* count(): AsyncGenerator<Uint8Array> {
    let loadedBytes = 0;
    const reader = body!.getReader();
    for (let part = await read(reader); !part.done; part = await read(reader)) {
      loadedBytes += part.value.byteLength;
      onProgress?.({ file, loadedBytes, totalBytes });
      yield part.value;
    }
    if (size !== undefined && loadedBytes !== size)
      throw cut(`${loadedBytes} of ${size} bytes came`, undefined);
  }
  const cut = (reason: string, cause: unknown): FileError =>
    new FileError(`'${file}' of '${id}' could not be downloaded whole: ${reason}`, {
      remedy: 'try again',
      cause,
    });
  const read = (reader: ReadableStreamDefaultReader<Uint8Array>) =>
    reader.read().catch((cause: unknown) => {
      throw cut(cause instanceof Error ? cause.message : String(cause), cause);
    });
  await writeStream(path, count());
}
