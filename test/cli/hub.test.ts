/** The command with a hub that this test serves itself: data sets in, models out. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dawngrad, root } from '../support/command.ts';
import { type HubServer, type HubUser, startHub } from '../support/hub-server.ts';

const model = join(root, 'examples/sentiment/model');
const text = (value: string) => new TextEncoder().encode(value);
const rows = (from: number, count: number): Uint8Array =>
  text(
    `sentence,label,idx\n${Array.from({ length: count }, (_, i) => `the day was ${(from + i) % 2 === 0 ? 'bad' : 'good'},${(from + i) % 2},${i}\n`).join('')}`,
  );

let scratch = '';
let hub: HubServer;
let env: Record<string, string> = {};
const user: HubUser = { name: 'ann', orgs: [], token: 'hf_ann', role: 'write' };

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
  const label = { class_label: { names: { '0': 'negative', '1': 'positive' } } };
  const files = {
    'sst2/train.csv': rows(0, 24),
    'sst2/validation.csv': rows(0, 8),
    'sst2/test.csv': text('sentence,label,idx\nthe day was good,-1,0\n'),
  };
  const card = {
    configs: [
      {
        config_name: 'sst2',
        data_files: ['train', 'validation', 'test'].map((split) => ({ split, path: `sst2/${split}.csv` })),
      },
      { config_name: 'cola', data_files: 'sst2/train.csv' },
    ],
    dataset_info: { config_name: 'sst2', features: [{ name: 'label', dtype: label }] },
  };
  const glue = { card, branches: { main: { sha: 'a'.repeat(40), files } } };
  hub = await startHub({}, { glue }, user);
  env = {
    HF_ENDPOINT: hub.url,
    HF_HOME: join(scratch, 'home'),
    HF_TOKEN: 'hf_ann',
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
  };
});
afterAll(async () => {
  await hub.close();
  await rm(scratch, { recursive: true, force: true });
});
beforeEach(() => {
  user.fails = false;
});

const run = (...args: string[]) => dawngrad(args, { env });
const training = (name: string, ...more: string[]) =>
  run(
    'finetune',
    ...[
      '--model',
      model,
      '--output',
      join(scratch, name),
      '--epochs',
      '6',
      '--lr',
      '1e-3',
      '--batch-size',
      '8',
    ],
    ...more,
  );

describe('a data set by its id', () => {
  it('trains, evaluates and predicts, with the names of its classes', async () => {
    const trained = await training('sst2', '--dataset', 'glue/sst2', '--eval-split', 'validation');
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toContain(
      'training on 24 texts, evaluating on 8: 2 classes (0 negative, 1 positive)',
    );
    const card = await readFile(join(scratch, 'sst2', 'README.md'), 'utf8');
    expect(card).toContain('datasets:\n- "glue"');
    expect(card).toContain('`glue (sst2, train)`');
    const scored = await run(
      'evaluate',
      '--model',
      join(scratch, 'sst2'),
      '--dataset',
      'glue',
      '--dataset-config',
      'sst2',
      '--split',
      'validation',
    );
    expect(scored.stdout, scored.stderr).toMatch(
      /8 texts of glue \(sst2, validation\):[\s\S]*accuracy +1\.0000/,
    );
    const predicted = await run(
      'predict',
      '--model',
      join(scratch, 'sst2'),
      '--dataset',
      'glue/sst2',
      '--split',
      'test',
    );
    expect(JSON.parse(predicted.stdout)).toMatchObject({ text: 'the day was good', label: 'positive' });
  });

  it.each([
    ['no data set', ['--dataset', 'org/none'], "there is no data set 'org/none' on the hub"],
    ['labels of a test split', ['--dataset', 'glue/sst2', '--test-split', 'test'], 'has no label'],
    ['two sources', ['--dataset', 'glue/sst2', '--train', 'x.tsv'], 'there are --train and --dataset'],
    [
      'a split of nothing',
      ['--train', 'x.tsv', '--eval-split', 'test'],
      '--eval-split: there is no data set',
    ],
  ])('%s is refused', async (_, args, message) => {
    const { code, stderr } = await training('refused', ...args);
    expect(stderr).toContain(message);
    expect(code).toBe(1);
    expect(await readdir(scratch)).not.toContain('refused');
  });

  it('needs a split to evaluate on', async () => {
    const { stderr } = await run('evaluate', '--model', model, '--dataset', 'glue/sst2');
    expect(stderr).toContain('--split is missing · name one of train, validation, test');
  });
});

describe('a push', () => {
  const data = ['--dataset', 'glue/sst2', '--max-steps', '1', '--hub-private-repo', '--push-to-hub'];

  it('takes the finished folder, its card with the name there', async () => {
    const { code, stdout, stderr } = await training('pushed', ...data);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain(`pushed to ${hub.url}/ann/pushed`);
    const { files, isPrivate } = hub.uploaded['ann/pushed']!;
    expect(isPrivate).toBe(true);
    expect(Object.keys(files)).toEqual(
      expect.arrayContaining(['README.md', 'config.json', 'model.safetensors', 'vocab.txt']),
    );
    expect(Object.keys(files).filter((name) => /optimizer|checkpoint/.test(name))).toEqual([]);
    expect(String(Buffer.from(files['README.md']!))).toContain('# ann/pushed');
  });

  it('that fails keeps the folder and says how to go on', async () => {
    user.fails = true;
    const { code, stderr } = await training('kept', ...data, 'ann/song');
    expect(code).toBe(1);
    expect(stderr).toContain('cannot be reached: HTTP 500');
    const folder = join(scratch, 'kept');
    expect(stderr).toContain(`npx dawngrad push ${folder} ann/song --hub-private-repo`);
    expect(await readdir(folder)).toContain('model.safetensors');
    user.fails = false;
    const again = await run('push', folder, 'ann/song', '--hub-private-repo');
    expect(again.stdout, again.stderr).toContain(`pushed to ${hub.url}/ann/song`);
    expect(Object.keys(hub.uploaded['ann/song']!.files)).toContain('model.safetensors');
  });

  it.each([
    ['a wrong token', ['--push-to-hub', '--hub-token', 'hf_wrong'], 'the token of the hub is not valid'],
    ['options without a push', ['--hub-model-id', 'ann/x'], '--hub-model-id: nothing is pushed'],
  ])('with %s is refused before the training', async (_, args, message) => {
    const { code, stderr } = await training('never', '--dataset', 'glue/sst2', ...args);
    expect(stderr).toContain(message);
    expect(code).toBe(1);
    expect(await readdir(scratch)).not.toContain('never');
  });

  it('keeps the token out of the command that resumes', async () => {
    const args = ['finetune', '--model', model, '--output', join(scratch, 'cut'), '--dataset', 'glue/sst2'];
    const { stderr } = await dawngrad([...args, '--epochs', '10', '--push-to-hub', '--hub-token', 'hf_ann'], {
      env: { ...env, HF_TOKEN: '' },
      interruptAt: /step [1-9]\d*\/30/,
    });
    expect(stderr).toContain('resume with:');
    expect(stderr).toContain('--push-to-hub');
    expect(stderr).not.toContain('hf_ann');
  });
});
