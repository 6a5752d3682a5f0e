/** Implements the platform in a browser: navigator.gpu, and models by URL with range requests. */
import { FileError, NoAdapterError } from '../errors.ts';
import type { AdapterRequest, AdapterResult, FileSource, Platform } from './contract.ts';

async function requestAdapter(request: AdapterRequest): Promise<AdapterResult> {
  const { gpu } = navigator;
  if (gpu === undefined) {
    throw new NoAdapterError('this browser has no WebGPU', {
      remedy: 'use a current browser, on a page served by https or localhost',
    });
  }
  const software = request.adapter === 'software' || request.adapter === 'swiftshader';
  const adapter = await gpu.requestAdapter(
    software ? { forceFallbackAdapter: true } : { powerPreference: 'high-performance' },
  );
  if (adapter === null) {
    throw new NoAdapterError('the browser offers no WebGPU adapter', {
      remedy: 'check that hardware acceleration is switched on',
    });
  }
  const { vendor, architecture, description } = adapter.info;
  return {
    adapter,
    description: description || `${vendor} ${architecture}`.trim() || 'browser adapter',
    software: adapter.info.isFallbackAdapter,
  };
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  return fetch(path, init).catch((cause: unknown) => {
    throw new FileError(`cannot fetch '${path}'`, { remedy: 'check the address and the network', cause });
  });
}

const isThere = async (path: string): Promise<boolean> => (await request(path, { method: 'HEAD' })).ok;

async function fetchOk(path: string, init?: RequestInit): Promise<Response> {
  const response = await request(path, init);
  if (!response.ok) throw new FileError(`cannot fetch '${path}': HTTP ${response.status}`);
  return response;
}

async function openFile(path: string): Promise<FileSource> {
  const head = await fetchOk(path, { method: 'HEAD' });
  const size = Number(head.headers.get('content-length') ?? Number.NaN);
  if (!Number.isInteger(size)) throw new FileError(`'${path}': the server does not tell its size`);
  return {
    path,
    size,
    read: async (offset, length) => {
      if (length === 0) return new Uint8Array(0);
      const response = await fetchOk(path, { headers: { range: `bytes=${offset}-${offset + length - 1}` } });
      const bytes = new Uint8Array(await response.arrayBuffer());
      // A server that does not support ranges sends the whole file.
      const part = response.status === 206 ? bytes : bytes.subarray(offset, offset + length);
      if (part.length !== length)
        throw new FileError(`'${path}' ends early: ${part.length} of ${length} bytes from ${offset}`);
      return part;
    },
    close: async () => {},
  };
}

/** Null if the page keeps no data: in a sandboxed frame, reading the property throws. */
function storage(): Storage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

const readOnly = async (): Promise<never> => {
  throw new FileError('a browser page cannot write files', {
    remedy: 'read weights with stateDict() and save them yourself',
  });
};

const noPush = async (): Promise<never> => {
  throw new FileError('a browser page cannot push to the hub', { remedy: 'push from Node or Deno' });
};

export const platform: Platform = {
  name: 'browser',
  requestAdapter,
  waitForGpu: (work) => work,
  openFile,
  exists: isThere,
  // A URL counts as a folder if it has a config.json.
  isFolder: (path) => isThere(`${path}/config.json`),
  list: readOnly,
  joinPath: (...parts) => parts.join('/'),
  readText: async (path) => (await fetchOk(path)).text(),
  remove: readOnly,
  checkWritable: readOnly,
  sweep: readOnly,
  writeFolder: readOnly,
  append: readOnly,
  downloadModel: async (id) => {
    throw new FileError(`'${id}' is not a model's address`, {
      remedy: 'give the URL of a folder that holds config.json',
    });
  },
  openDataset: async (id) => {
    throw new FileError(`a page cannot download the data set '${id}'`, { remedy: 'give the URLs of files' });
  },
  hubAccount: noPush,
  upload: noPush,
  readCache: async (name) => storage()?.getItem(`dawngrad/${name}`) ?? null,
  writeCache: async (name, text) => storage()?.setItem(`dawngrad/${name}`, text),
  packagePath: (name) => new URL(`../../${name}`, import.meta.url).href,
};
