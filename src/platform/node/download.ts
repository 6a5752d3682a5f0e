/** Models from the hub, in the cache layout that Python's huggingface_hub uses. */
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { FileError } from '../../errors.ts';
import type { ModelDownload } from '../contract.ts';

function defaultCacheDir(): string {
  if (process.env.HF_HUB_CACHE) return process.env.HF_HUB_CACHE;
  const home = process.env.HF_HOME || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
  return join(home, 'hub');
}

function isOffline(download: ModelDownload): boolean {
  return download.localFilesOnly ?? /^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? '');
}

/** A fetch that reports the bytes of large answers as they arrive. */
function reportingFetch(file: () => string, onProgress: NonNullable<ModelDownload['onProgress']>): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    const totalBytes = Number(response.headers.get('content-length') ?? 0);
    if (response.body === null || totalBytes === 0) return response;
    let loadedBytes = 0;
    const counter = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        loadedBytes += chunk.byteLength;
        onProgress({ file: file(), loadedBytes, totalBytes });
        controller.enqueue(chunk);
      },
    });
    const { status, statusText, headers } = response;
    const counted = new Response(response.body.pipeThrough(counter), { status, statusText, headers });
    Object.defineProperty(counted, 'url', { value: response.url });
    return counted;
  };
}

/** The snapshot of a model that an earlier download left, or null. */
async function cachedSnapshot(id: string, cacheDir: string, download: ModelDownload): Promise<string | null> {
  const folder = join(cacheDir, `models--${id.replaceAll('/', '--')}`);
  const revision = download.revision ?? 'main';
  const commit = await readFile(join(folder, 'refs', revision), 'utf8').catch(() => revision);
  const snapshot = join(folder, 'snapshots', commit.trim());
  for (const name of download.required) {
    if ((await stat(join(snapshot, name)).catch(() => null)) === null) return null;
  }
  return snapshot;
}

/** See `Platform.downloadModel`. */
export async function downloadModel(id: string, download: ModelDownload): Promise<string> {
  const cacheDir = download.cacheDir ?? defaultCacheDir();
  if (isOffline(download)) {
    const cached = await cachedSnapshot(id, cacheDir, download);
    if (cached !== null) return cached;
    throw new FileError(`'${id}' is not in the hub cache '${cacheDir}', and downloads are switched off`, {
      remedy: 'download it once without HF_HUB_OFFLINE, or give a folder',
    });
  }
  try {
    return await fetchFiles(id, cacheDir, download);
  } catch (error) {
    // Without a network what is cached still serves; a hub that answers with an error is believed.
    const cached = isNetworkError(error) ? await cachedSnapshot(id, cacheDir, download) : null;
    if (cached !== null) return cached;
    throw error;
  }
}

function isNetworkError(error: unknown): boolean {
  return error instanceof TypeError;
}

async function fetchFiles(id: string, cacheDir: string, download: ModelDownload): Promise<string> {
  const { downloadFileToCacheDir, fileExists } = await import('@huggingface/hub');
  let current = '';
  const token = download.token ?? process.env.HF_TOKEN;
  const hubUrl = download.hubUrl ?? process.env.HF_ENDPOINT;
  const common = {
    repo: { type: 'model' as const, name: id },
    revision: download.revision ?? 'main',
    ...(token !== undefined && { accessToken: token }),
    ...(hubUrl !== undefined && { hubUrl }),
    ...(download.onProgress !== undefined && { fetch: reportingFetch(() => current, download.onProgress) }),
  };
  const get = async (path: string): Promise<string> => {
    current = path;
    return downloadFileToCacheDir({ ...common, path, cacheDir });
  };
  const has = (path: string): Promise<boolean> => fileExists({ ...common, path });
  let snapshot = '';
  for (const path of download.required) snapshot = dirname(await get(path));
  for (const path of download.optional) if (await has(path)) await get(path);
  if (await has(download.weights.single)) {
    await get(download.weights.single);
  } else if (await has(download.weights.index)) {
    const index = JSON.parse(await readFile(await get(download.weights.index), 'utf8')) as { weight_map: Record<string, string> };
    for (const shard of new Set(Object.values(index.weight_map))) await get(shard);
  } else {
    throw new FileError(`'${id}' has no safetensors weights on the hub`, {
      remedy: 'choose a model or revision with model.safetensors',
    });
  }
  return snapshot;
}
