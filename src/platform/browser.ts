/** Implements the platform in a browser: navigator.gpu, models by URL, folders that the browser keeps. */
import { FileError, NoAdapterError } from '../errors.ts';
import * as files from './browser/files.ts';
import { downloadModel } from './browser/hub.ts';
import { isPlace, joinPath, mount } from './browser/places.ts';
import * as urls from './browser/urls.ts';
import type { AdapterRequest, AdapterResult, Platform } from './contract.ts';

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

/** Null if the page keeps no data: in a sandboxed frame, reading the property throws. */
function storage(): Storage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

/** The functions for a path's kind. */
const of = (path: string): Pick<Platform, 'exists' | 'openFile' | 'readText'> =>
  isPlace(path) ? files : urls;

const noPush = async (): Promise<never> => {
  throw new FileError('a browser page cannot push to the hub', { remedy: 'push from Node or Deno' });
};

export const platform: Platform = {
  name: 'browser',
  requestAdapter,
  initProcessGroup: async () => null,
  waitForGpu: (work) => work,
  openFile: (path) => of(path).openFile(path),
  exists: (path) => of(path).exists(path),
  // A URL counts as a folder if it has a config.json.
  isFolder: (path) => (isPlace(path) ? files.isFolder(path) : urls.exists(joinPath(path, 'config.json'))),
  list: async (path) => {
    if (isPlace(path)) return files.list(path);
    throw new FileError(`cannot list '${path}'`, { remedy: 'a page can list folders, but no addresses' });
  },
  joinPath,
  isRemote: (path) => !isPlace(path),
  mount,
  readText: (path) => of(path).readText(path),
  remove: files.remove,
  checkWritable: files.checkWritable,
  sweep: files.sweep,
  writeFolder: files.writeFolder,
  append: files.append,
  downloadModel,
  openDataset: async (id) => {
    throw new FileError(`a page cannot download the data set '${id}'`, { remedy: 'give the URLs of files' });
  },
  hubAccount: noPush,
  upload: noPush,
  readCache: async (name) => storage()?.getItem(`dawngrad/${name}`) ?? null,
  writeCache: async (name, text) => storage()?.setItem(`dawngrad/${name}`, text),
  packagePath: (name) => {
    throw new FileError(`a page has no '${name}' of the package`, { remedy: 'give its address' });
  },
};
