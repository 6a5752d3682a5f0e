/** A browser's downloads from a local hub, into memory. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NotFoundError } from '../../src/errors.ts';
import { platform } from '../../src/platform/browser.ts';
import type { DownloadProgress, ModelDownload } from '../../src/platform/contract.ts';
import { type HubModel, type HubServer, startHub } from '../support/hub-server.ts';

const sha = 'a'.repeat(40);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const weights = new Uint8Array(5000).fill(7);
const models: Record<string, HubModel> = {
  'org/whole': {
    sha,
    files: { 'config.json': bytes('{}'), 'model.safetensors': weights, 'x.md': bytes('x') },
  },
  'org/cut': {
    sha,
    files: { 'config.json': bytes('{}'), 'model.safetensors': weights },
    cut: ['model.safetensors'],
  },
  'org/shards': {
    sha,
    files: {
      'config.json': bytes('{}'),
      'index.json': bytes('one,two'),
      one: bytes('1'),
      two: bytes('2'),
    },
  },
  'org/private': {
    sha,
    files: { 'config.json': bytes('{}'), 'model.safetensors': weights },
    token: 'secret',
  },
  'org/gated': {
    sha,
    files: { 'config.json': bytes('{}'), 'model.safetensors': weights },
    gatedBy: 'secret',
  },
};
let hub: HubServer;
let cacheDir = '';
let tests = 0;
beforeEach(async () => {
  hub = await startHub(models);
  tests += 1;
  cacheDir = `memory:/hub-${tests}`;
});
afterEach(() => hub.close());

const wanted = (more: Partial<ModelDownload> = {}): ModelDownload => ({
  hubUrl: hub.url,
  cacheDir,
  required: ['config.json'],
  optional: ['tokenizer.json'],
  weights: { single: 'model.safetensors', index: 'index.json', shardsOf: (_, text) => text.split(',') },
  ...more,
});

it('asks for a list, and then for the files that are there', async () => {
  const progress: DownloadProgress[] = [];
  const folder = await platform.downloadModel(
    'org/whole',
    wanted({ onProgress: (one) => progress.push(one) }),
  );
  expect(folder).toBe(`${cacheDir}/models--org--whole/snapshots/${sha}`);
  expect(await platform.list(folder)).toEqual(['config.json', 'model.safetensors']);
  const file = await platform.openFile(`${folder}/model.safetensors`);
  expect(await file.read(0, file.size)).toEqual(weights);
  expect(hub.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
    'GET /api/models/org/whole/revision/main',
    `GET /org/whole/resolve/${sha}/config.json`,
    `GET /org/whole/resolve/${sha}/model.safetensors`,
  ]);
  expect(progress.at(-1)).toEqual({ file: 'model.safetensors', loadedBytes: 5000, totalBytes: 5000 });
});

it('downloads nothing twice, and works without the hub then', async () => {
  const folder = await platform.downloadModel('org/whole', wanted());
  hub.requests.length = 0;
  expect(await platform.downloadModel('org/whole', wanted())).toBe(folder);
  expect(hub.requests).toHaveLength(1);
  expect(await platform.downloadModel('org/whole', wanted({ localFilesOnly: true }))).toBe(folder);
  expect(await platform.downloadModel('org/whole', wanted({ revision: sha }))).toBe(folder);
  expect(hub.requests).toHaveLength(1);
  const gone = { hubUrl: 'http://127.0.0.1:1' };
  expect(await platform.downloadModel('org/whole', wanted(gone))).toBe(folder);
  await expect(platform.downloadModel('org/other', wanted(gone))).rejects.toThrow('cannot be reached');
  await expect(platform.downloadModel('org/other', wanted({ localFilesOnly: true }))).rejects.toThrow(
    'downloads are switched off',
  );
});

it('takes the shards of an index', async () => {
  const folder = await platform.downloadModel('org/shards', wanted());
  expect(await platform.list(folder)).toEqual(['config.json', 'index.json', 'one', 'two']);
});

it('keeps nothing of a file that broke off, and says so', async () => {
  await expect(platform.downloadModel('org/cut', wanted())).rejects.toThrow(
    "'model.safetensors' of 'org/cut' could not be downloaded whole",
  );
  expect(await platform.list(`${cacheDir}/models--org--cut/snapshots/${sha}`)).toEqual(['config.json']);
});

it('downloads again what a closed page left empty', async () => {
  const path = `${cacheDir}/models--org--whole/snapshots/${sha}/model.safetensors`;
  await platform.append(path, new Uint8Array());
  expect((await platform.openFile(path)).size).toBe(0);
  await platform.downloadModel('org/whole', wanted());
  expect((await platform.openFile(path)).size).toBe(weights.length);
});

it('names what is missing or refused', async () => {
  await expect(platform.downloadModel('org/none', wanted())).rejects.toThrow(
    /has no model 'org\/none', or it is private · check the name, or pass a token/,
  );
  await expect(platform.downloadModel('org/none', wanted())).rejects.toBeInstanceOf(NotFoundError);
  await expect(platform.downloadModel('org/whole', wanted({ revision: 'v9' }))).rejects.toThrow(
    'HTTP 404 · check the name and the revision',
  );
  await expect(platform.downloadModel('org/gated', wanted())).rejects.toThrow(
    `ask for access at ${hub.url}/org/gated, and pass a token`,
  );
  await platform.downloadModel('org/gated', wanted({ token: 'secret' }));
  await expect(platform.downloadModel('org/private', wanted())).rejects.toThrow('HTTP 401 · pass a token');
  await platform.downloadModel('org/private', wanted({ token: 'secret' }));
  await expect(platform.downloadModel('org/whole', wanted({ required: ['y'] }))).rejects.toThrow('has no y');
});
