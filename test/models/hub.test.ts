/** Models from a hub that this test serves itself. */
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CheckpointError, FileError } from '../../src/errors.ts';
import { type DownloadProgress, type HubOptions, resolveModel } from '../../src/models/files/hub.ts';
import { type HubServer, startHub } from '../support/hub-server.ts';

const SHA = 'c0ffee'.padEnd(40, '0');
const text = (value: string) => new TextEncoder().encode(value);
const weights = new Uint8Array(300_000).map((_, i) => i * 7);
const index = JSON.stringify({
  weight_map: { a: 'model-1-of-2.safetensors', b: 'model-2-of-2.safetensors' },
});
const common = { 'config.json': text('{}'), 'vocab.txt': text('[PAD]\n'), 'README.md': text('# not needed') };

let hub: HubServer;
let cacheDir = '';
let options: HubOptions = {};

beforeEach(async () => {
  const theirs = Object.keys(process.env).filter((name) => /^(HF_|HUGGING|TRANSFORMERS_)/.test(name));
  for (const name of theirs) vi.stubEnv(name, undefined);
  cacheDir = await mkdtemp(join(tmpdir(), 'dawngrad-hub-'));
  vi.stubEnv('HF_HOME', join(cacheDir, 'home'));
  hub = await startHub({
    'tiny-bert': {
      sha: SHA,
      files: { ...common, 'model.safetensors': weights, 'pytorch_model.bin': weights },
    },
    'org/sharded': {
      sha: SHA,
      files: {
        ...common,
        'model.safetensors.index.json': text(index),
        'model-1-of-2.safetensors': text('one'),
        'model-2-of-2.safetensors': text('two'),
      },
    },
    'org/private': { sha: SHA, token: 'hf_secret', files: { ...common, 'model.safetensors': weights } },
    'org/pickled': { sha: SHA, files: { ...common, 'pytorch_model.bin': weights } },
    'org/bare': { sha: SHA, files: { 'model.safetensors': weights } },
    'org/cut': { sha: SHA, files: { ...common, 'model.safetensors': weights }, cut: ['model.safetensors'] },
    'org/escape': {
      sha: SHA,
      files: {
        ...common,
        'model.safetensors.index.json': text('{"weight_map":{"a":"../../../x.safetensors"}}'),
      },
    },
  });
  options = { hubUrl: hub.url, cacheDir };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  await rm(cacheDir, { recursive: true, force: true });
});

const thrown = (id: string, more: HubOptions = {}): Promise<unknown> =>
  resolveModel(id, { ...options, ...more }).catch((error: unknown) => error);
const failure = async (id: string, more: HubOptions = {}): Promise<string> => {
  const error = await thrown(id, more);
  expect(error).toBeInstanceOf(FileError);
  return (error as FileError).message;
};

describe('a download', () => {
  it('puts the files that are needed into one snapshot', async () => {
    const folder = await resolveModel('tiny-bert', options);
    expect(folder).toBe(join(cacheDir, 'models--tiny-bert', 'snapshots', SHA));
    expect((await readdir(folder)).sort()).toEqual(['config.json', 'model.safetensors', 'vocab.txt']);
    expect(new Uint8Array(await readFile(join(folder, 'model.safetensors')))).toEqual(weights);
  });

  it("keeps Python's cache layout: a ref, blobs, and links to them", async () => {
    const folder = await resolveModel('tiny-bert', options);
    const repo = join(cacheDir, 'models--tiny-bert');
    expect(await readFile(join(repo, 'refs', 'main'), 'utf8')).toBe(SHA);
    const blobs = await readdir(join(repo, 'blobs'));
    expect(blobs.map((name) => name.length).sort()).toEqual([40, 40, 64]);
    expect((await lstat(join(folder, 'model.safetensors'))).isSymbolicLink()).toBe(true);
  });

  it('takes all shards of an index', async () => {
    const folder = await resolveModel('org/sharded', options);
    expect(folder).toContain('models--org--sharded');
    expect(await readFile(join(folder, 'model-2-of-2.safetensors'), 'utf8')).toBe('two');
    expect(await readdir(folder)).toContain('model-1-of-2.safetensors');
  });

  it('fetches no file twice', async () => {
    const folder = await resolveModel('tiny-bert', options);
    hub.requests.length = 0;
    expect(await resolveModel('tiny-bert', options)).toBe(folder);
    expect(hub.requests.filter(({ path }) => path.includes('/resolve/'))).toEqual([]);
  });

  it('takes only the part that is asked for, and the rest when it is', async () => {
    const repo = join(cacheDir, 'models--tiny-bert', 'snapshots', SHA);
    await resolveModel('tiny-bert', options, 'config');
    expect(await readdir(repo)).toEqual(['config.json']);
    // A pinned commit is not asked for again where the cache has it; the tokenizer's files it does not have
    // yet.
    await resolveModel('tiny-bert', { ...options, revision: SHA }, 'tokenizer');
    expect((await readdir(repo)).sort()).toEqual(['config.json', 'vocab.txt']);
    await resolveModel('org/pickled', options, 'tokenizer');
    await resolveModel('tiny-bert', { ...options, revision: SHA });
    expect((await readdir(repo)).sort()).toEqual(['config.json', 'model.safetensors', 'vocab.txt']);
    hub.requests.length = 0;
    await resolveModel('tiny-bert', { ...options, revision: SHA }, 'tokenizer');
    expect(hub.requests).toEqual([]);
  });

  it("takes the model's config with the tokenizer, which says its class", async () => {
    await resolveModel('tiny-bert', options, 'tokenizer');
    const repo = join(cacheDir, 'models--tiny-bert', 'snapshots', SHA);
    expect((await readdir(repo)).sort()).toEqual(['config.json', 'vocab.txt']);
  });

  it('asks for nothing where a commit is in the cache', async () => {
    await resolveModel('tiny-bert', options);
    hub.requests.length = 0;
    expect(basename(await resolveModel('tiny-bert', { ...options, revision: SHA }))).toBe(SHA);
    expect(hub.requests).toEqual([]);
  });

  it('reports the bytes of each file, and writes nothing to the console', async () => {
    const seen: DownloadProgress[] = [];
    const debug = vi.spyOn(console, 'debug');
    await resolveModel('tiny-bert', { ...options, onProgress: (progress) => seen.push({ ...progress }) });
    expect(debug).not.toHaveBeenCalled();
    debug.mockRestore();
    const of = (name: string) => seen.filter(({ file }) => file === name);
    expect(new Set(seen.map(({ file }) => file))).toEqual(
      new Set(['config.json', 'vocab.txt', 'model.safetensors']),
    );
    expect(of('model.safetensors').every(({ totalBytes }) => totalBytes === weights.length)).toBe(true);
    const loaded = of('model.safetensors').map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
    expect(loaded.at(-1)).toBe(weights.length);
  });

  it('sends the token of the options, of HF_TOKEN, and the one that a log-in left', async () => {
    expect(await failure('org/private')).toMatch(/Access to this model is restricted.*HF_TOKEN/s);
    await resolveModel('org/private', { ...options, token: 'hf_secret' });
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    await resolveModel('org/private', { ...options, cacheDir: join(cacheDir, 'b') });
    vi.stubEnv('HF_TOKEN', '');
    await mkdir(join(cacheDir, 'home'));
    await writeFile(join(cacheDir, 'home', 'token'), 'hf_secret\n');
    await resolveModel('org/private', { ...options, cacheDir: join(cacheDir, 'c') });
    expect(hub.requests.at(-1)!.authorization).toBe('Bearer hf_secret');
  });

  it('sends no token that was not given where the environment says so', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    vi.stubEnv('HF_HUB_DISABLE_IMPLICIT_TOKEN', '1');
    expect(await failure('org/private')).toMatch(/Access to this model is restricted/);
    await resolveModel('org/private', { ...options, token: 'hf_secret' });
  });

  it('copies where the environment says that there are to be no links', async () => {
    vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '1');
    const folder = await resolveModel('tiny-bert', options);
    const path = join(folder, 'model.safetensors');
    expect((await lstat(path)).isSymbolicLink()).toBe(false);
    expect(new Uint8Array(await readFile(path))).toEqual(weights);
  });

  it('removes what downloads that were killed left', async () => {
    await resolveModel('tiny-bert', options, 'config');
    const blobs = join(cacheDir, 'models--tiny-bert', 'blobs');
    const [config] = await readdir(blobs);
    const left = [config!, 'another'].map((name) => join(blobs, `.${name}.tmp-999999999-0123abcd`));
    for (const path of left) await writeFile(path, 'half of it');
    await rm(join(blobs, config!));
    await rm(join(cacheDir, 'models--tiny-bert', 'snapshots'), { recursive: true });
    await resolveModel('tiny-bert', options, 'config');
    expect(await readdir(blobs)).toEqual([config]);
  });

  it('takes address and cache from the environment', async () => {
    vi.stubEnv('HF_ENDPOINT', `${hub.url}/`);
    expect(await resolveModel('tiny-bert')).toBe(
      join(cacheDir, 'home', 'hub', 'models--tiny-bert', 'snapshots', SHA),
    );
    vi.stubEnv('HF_HUB_CACHE', join(cacheDir, 'other'));
    expect(await resolveModel('tiny-bert')).toContain(join(cacheDir, 'other'));
  });
});

describe('the cache alone', () => {
  it('serves where downloads are off', async () => {
    const folder = await resolveModel('tiny-bert', options);
    await resolveModel('org/sharded', options);
    hub.requests.length = 0;
    expect(await resolveModel('tiny-bert', { ...options, localFilesOnly: true })).toBe(folder);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await resolveModel('tiny-bert', options)).toBe(folder);
    expect(await resolveModel('org/sharded', options)).toContain(SHA);
    expect(hub.requests).toEqual([]);
  });

  it('serves where the hub is out of reach, or ill', async () => {
    const folder = await resolveModel('tiny-bert', options);
    expect(await resolveModel('tiny-bert', { ...options, hubUrl: await closedAddress() })).toBe(folder);
    const ill = createServer((_, response) => response.writeHead(503).end());
    await new Promise<void>((resolve) => ill.listen(0, '127.0.0.1', resolve));
    const hubUrl = `http://127.0.0.1:${(ill.address() as AddressInfo).port}`;
    expect(await resolveModel('tiny-bert', { ...options, hubUrl })).toBe(folder);
    expect(await failure('org/sharded', { hubUrl })).toContain('503');
    await new Promise((resolve) => ill.close(resolve));
  });

  it('does not serve a model that is there in part', async () => {
    const folder = await resolveModel('org/sharded', options);
    await rm(join(folder, 'model-2-of-2.safetensors'));
    expect(await failure('org/sharded', { localFilesOnly: true })).toContain('downloads are switched off');
  });
});

/** An address where nothing listens. */
async function closedAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

describe('what cannot be had', () => {
  it('a folder is itself', async () => {
    expect(await resolveModel(cacheDir, options)).toBe(cacheDir);
    expect(hub.requests).toEqual([]);
  });

  it.each(['./missing', '/missing/model', 'a/b/c', '', '../x', 'org/'])(
    "'%s' is neither a folder nor a hub id",
    async (id) => {
      expect(await failure(id)).toBe(
        `model folder '${id}' does not exist · give a folder, or a hub id such as bert-base-uncased`,
      );
      expect(hub.requests).toEqual([]);
    },
  );

  it('a file is no folder', async () => {
    const path = join(cacheDir, 'model.safetensors');
    await writeFile(path, '');
    expect(await failure(path)).toBe(`'${path}' is a file · give the folder that holds it`);
  });

  it('a model that the hub does not have', async () => {
    const message = await failure('org/nothing');
    expect(message).toContain(
      "'org/nothing' is no folder, and it could not be downloaded from the hub: Repository not found",
    );
    expect(message).toContain('check the name');
  });

  it('a revision that the model does not have', async () => {
    expect(await failure('tiny-bert', { revision: 'v9' })).toContain('Invalid rev id: v9');
  });

  it('no network', async () => {
    const hubUrl = await closedAddress();
    const message = await failure('tiny-bert', { hubUrl });
    expect(message).toContain(
      `'tiny-bert' is no folder, and the hub at ${hubUrl} cannot be reached: connect ECONNREFUSED`,
    );
    expect(message).toContain('check the network');
  });

  it('downloads off and nothing cached', async () => {
    expect(await failure('tiny-bert', { localFilesOnly: true })).toContain(
      `'tiny-bert' is no folder and not in the hub cache '${cacheDir}', and downloads are switched off`,
    );
  });

  it('a model without safetensors, or without a config', async () => {
    expect(await failure('org/pickled')).toContain("'org/pickled' has no safetensors weights on the hub");
    expect(await failure('org/bare')).toContain("'org/bare' has no config.json on the hub");
    expect(hub.requests.filter(({ path }) => path.includes('/resolve/'))).toEqual([]);
  });

  it('a download that breaks off leaves no file behind', async () => {
    expect(await failure('org/cut')).toContain(
      "'model.safetensors' of 'org/cut' could not be downloaded whole",
    );
    const repo = join(cacheDir, 'models--org--cut');
    expect(await readdir(join(repo, 'snapshots', SHA))).not.toContain('model.safetensors');
    expect((await readdir(join(repo, 'blobs'))).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('an index that points out of its folder', async () => {
    const error = await thrown('org/escape');
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as CheckpointError).message).toContain(
      "'../../../x.safetensors' is not a shard's file name",
    );
  });
});
