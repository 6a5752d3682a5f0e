/** Pushes to a hub that this test serves itself. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConfigError, FileError } from '../../src/errors.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { type PushOptions, pushFolder, pushTarget } from '../../src/models/files/push.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import { useDevice } from '../support/device.ts';
import { type HubServer, type HubUser, startHub } from '../support/hub-server.ts';

const device = useDevice();
const models = new URL('../reference/fixtures/models/', import.meta.url).pathname;
const example = new URL('../../examples/sentiment/model', import.meta.url).pathname;

let user: HubUser;
let hub: HubServer;
let folder = '';
let options: PushOptions = {};

beforeEach(async () => {
  const theirs = Object.keys(process.env).filter((name) => /^(HF_|HUGGING|TRANSFORMERS_)/.test(name));
  for (const name of theirs) vi.stubEnv(name, undefined);
  folder = await mkdtemp(join(tmpdir(), 'dawngrad-push-'));
  vi.stubEnv('HF_HOME', join(folder, 'home'));
  user = { name: 'ann', orgs: ['choir'], token: 'hf_ann', role: 'write' };
  hub = await startHub({}, {}, user);
  options = { hubUrl: hub.url, token: 'hf_ann' };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  await rm(folder, { recursive: true, force: true });
});

const failure = (id: string, more: PushOptions = {}): Promise<unknown> =>
  pushTarget(id, { ...options, ...more }).catch((error: unknown) => error);

describe('a folder', () => {
  it('is pushed as one commit, without checkpoints and hidden files', async () => {
    const model = join(folder, 'model');
    for (const inside of ['onnx', 'checkpoint-10', '.cache']) {
      await mkdir(join(model, inside), { recursive: true });
      await writeFile(join(model, inside, 'a.json'), '{}');
    }
    const weights = new Uint8Array(200_000).map((_, i) => i * 7);
    await writeFile(join(model, 'config.json'), '{"a":1}');
    await writeFile(join(model, 'README.md'), '# card');
    await writeFile(join(model, 'model.safetensors'), weights);
    const pushed = await pushFolder(model, 'choir/song', {
      ...options,
      private: true,
      commitMessage: 'First',
    });
    expect(pushed).toEqual({ url: `${hub.url}/choir/song`, commit: 'c'.repeat(40) });
    const { files, isPrivate, commits } = hub.uploaded['choir/song']!;
    expect(Object.keys(files).sort()).toEqual([
      'README.md',
      'config.json',
      'model.safetensors',
      'onnx/a.json',
    ]);
    expect(new Uint8Array(files['model.safetensors']!)).toEqual(weights);
    expect([isPrivate, commits]).toEqual([true, ['First']]);
    await writeFile(join(model, 'config.json'), '{"a":2}');
    await pushFolder(model, 'choir/song', options);
    expect(String(hub.uploaded['choir/song']!.files['config.json'])).toBe('{"a":2}');
    expect(hub.uploaded['choir/song']!.commits).toEqual(['First', 'Upload model']);
  });

  it('that holds no model is refused, and so is one that is not there', async () => {
    await expect(pushFolder(folder, 'song', options)).rejects.toThrow(
      /holds no model: config.json is missing/,
    );
    await expect(pushFolder(join(folder, 'x'), 'song', options)).rejects.toThrow(/does not exist/);
    expect(hub.requests).toEqual([]);
  });

  it('stays as it is if the hub fails', async () => {
    await writeFile(join(folder, 'config.json'), '{}');
    user.fails = true;
    const error = await pushFolder(folder, 'song', options).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FileError);
    expect(String(error)).toMatch(/cannot be reached: HTTP 500/);
    expect(await readFile(join(folder, 'config.json'), 'utf8')).toBe('{}');
  });
});

describe('models and tokenizers', () => {
  it('push what savePretrained writes', async () => {
    const model = await AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, {
      device: device.current,
    });
    const tokenizer = await AutoTokenizer.fromPretrained(example);
    await model.pushToHub('song', options);
    await tokenizer.pushToHub('ann/song', options);
    await model.savePretrained(join(folder, 'saved'));
    await tokenizer.savePretrained(join(folder, 'saved'));
    const { files, commits } = hub.uploaded['ann/song']!;
    expect(commits).toEqual(['Upload BertForSequenceClassification', 'Upload tokenizer']);
    expect(Object.keys(files).length).toBeGreaterThan(3);
    for (const [name, bytes] of Object.entries(files))
      expect(Buffer.compare(Buffer.from(bytes), await readFile(join(folder, 'saved', name))), name).toBe(0);
    model.dispose();
  });

  it('push all files of sentence-transformers', async () => {
    const model = await SentenceTransformer.fromPretrained(example, { device: device.current });
    await model.pushToHub('vectors', options);
    const names = Object.keys(hub.uploaded['ann/vectors']!.files);
    for (const name of ['modules.json', '1_Pooling/config.json', 'model.safetensors', 'vocab.txt'])
      expect(names).toContain(name);
    model.dispose();
  });
});

describe('before anything is pushed', () => {
  it('the account completes the name', async () => {
    expect(await pushTarget('song', options)).toBe('ann/song');
    vi.stubEnv('HF_TOKEN', 'hf_ann');
    expect(await pushTarget('choir/song', { hubUrl: hub.url })).toBe('choir/song');
    expect(hub.uploaded).toEqual({});
  });

  it.each(['a/b/c', '', '-x', 'x..y', 'x--y', 'a b', 'x.git', 'ann/', 'x'.repeat(97)])(
    "'%s' is no name",
    async (id) => {
      const error = await failure(id);
      expect(error).toBeInstanceOf(ConfigError);
      expect(String(error)).toMatch(/cannot be the name of a model on the hub/);
      expect(hub.requests).toEqual([]);
    },
  );

  it('a token is there, whole, valid and for writing', async () => {
    expect(String(await failure('x', { token: '' }))).toMatch(/there is no token of the hub · set HF_TOKEN/);
    expect(String(await failure('x', { token: 'ann' }))).toMatch(/does not begin with 'hf_'/);
    const wrong = await failure('x', { token: 'hf_other' });
    expect(wrong).toBeInstanceOf(FileError);
    expect(String(wrong)).toMatch(/the token of the hub is not valid: Invalid username or password/);
    user.role = 'read';
    expect(String(await failure('x'))).toMatch(
      /the token of 'ann' may only read · use a token with the role write/,
    );
  });

  it('the account belongs to the owner', async () => {
    expect(String(await failure('band/x'))).toMatch(
      /of 'ann', who is no member of 'band' · push to ann\/x or choir\/x/,
    );
  });

  it('the hub is switched on', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(String(await failure('x'))).toMatch(/the hub is switched off/);
  });
});
