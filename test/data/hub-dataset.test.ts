/** Data sets from a hub that this test serves itself. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { convertedFiles, datasetFiles } from '../../src/data/dataset-files.ts';
import { type DatasetOptions, hubDataset } from '../../src/data/hub-dataset.ts';
import { readRecords } from '../../src/data/records.ts';
import { readTable } from '../../src/data/table.ts';
import { ConfigError, DataError, FileError, NotFoundError } from '../../src/errors.ts';
import { type HubServer, startHub } from '../support/hub-server.ts';

const sha = (letters: string) => letters.padEnd(40, '0');
const text = (value: string) => new TextEncoder().encode(value);
const CONVERTED = 'refs/convert/parquet';
const label = { class_label: { names: { '0': 'negative', '1': 'positive' } } };

let hub: HubServer;
let cacheDir = '';
let options: DatasetOptions = {};

beforeEach(async () => {
  const theirs = Object.keys(process.env).filter((name) => /^(HF_|HUGGING|TRANSFORMERS_)/.test(name));
  for (const name of theirs) vi.stubEnv(name, undefined);
  cacheDir = await mkdtemp(join(tmpdir(), 'dawngrad-datasets-'));
  vi.stubEnv('HF_HOME', join(cacheDir, 'home'));
  const parquet = await readFile(new URL('../reference/fixtures/data/words.parquet', import.meta.url));
  hub = await startHub(
    {},
    {
      'nyu-mll/glue': {
        card: {
          configs: [
            {
              config_name: 'sst2',
              data_files: [
                { split: 'train', path: 'sst2/train-*' },
                { split: 'validation', path: ['sst2/validation-*'] },
              ],
            },
            { config_name: 'cola', data_files: [{ split: 'train', path: 'cola/train-*' }] },
          ],
          dataset_info: [
            {
              config_name: 'sst2',
              features: [
                { name: 'sentence', dtype: 'string' },
                { name: 'label', dtype: label },
              ],
            },
            { config_name: 'cola', features: [] },
          ],
        },
        branches: {
          main: {
            sha: sha('a1'),
            files: {
              'README.md': text('# GLUE'),
              'sst2/train-00000-of-00002.csv': text('sentence,label,idx\ngood,1,0\nbad,0,1\n'),
              'sst2/train-00001-of-00002.csv': text('sentence,label,idx\nfine,1,2\n'),
              'sst2/validation-00000-of-00001.csv': text('sentence,label,idx\nawful,0,0\nodd,-1,1\n'),
              'cola/train-00000-of-00001.csv': text('sentence,label\nx,1\n'),
            },
          },
        },
      },
      'org/scripted': {
        branches: {
          main: { sha: sha('b1'), files: { 'scripted.py': text('no'), 'data.zip': text('no') } },
          [CONVERTED]: {
            sha: sha('b2'),
            files: { 'plain/train/0000.parquet': parquet, 'plain/partial-test/0000.parquet': parquet },
          },
        },
      },
      'org/tags': {
        card: {
          dataset_info: {
            features: [{ name: 'ner_tags', sequence: { class_label: { names: ['O', 'B-PER'] } } }],
          },
        },
        branches: {
          main: {
            sha: sha('c1'),
            files: {
              'train.jsonl': text('{"tokens":["a","Ann"],"ner_tags":[0,1]}\n'),
              'dev.jsonl': text('{"tokens":["b"],"ner_tags":[0]}\n'),
            },
          },
        },
      },
      'org/gated': {
        gatedBy: 'hf_secret',
        branches: { main: { sha: sha('d1'), files: { 'train.csv': text('text,label\na,b\n') } } },
      },
      old: {
        card: {
          configs: [
            { config_name: 'a', data_files: 'a.csv' },
            { config_name: 'b', data_files: [{ split: 'test', path: 'b.csv' }] },
          ],
        },
        branches: {
          main: { sha: sha('ab'), files: { 'a.csv': text('text\nx\n'), 'b.csv': text('text\nx\n') } },
        },
      },
      'org/empty': { branches: { main: { sha: sha('e1'), files: { 'README.md': text('nothing') } } } },
      'org/evil': {
        branches: {
          main: { sha: sha('f1'), files: { '../../train.csv': text('x'), 'train.csv': text('text\nx\n') } },
        },
      },
    },
  );
  options = { hubUrl: hub.url, cacheDir };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  await rm(cacheDir, { recursive: true, force: true });
});

const failure = (id: string, more: DatasetOptions = {}, split = 'train'): Promise<unknown> =>
  hubDataset(id, { ...options, ...more })
    .then((dataset) => dataset.split(split))
    .catch((error: unknown) => error);
const names = (files: readonly string[]): string[] =>
  files.map((path) => path.slice(path.indexOf('snapshots/') + 51));

describe('a data set of the hub', () => {
  it('has the configurations and splits of its card', async () => {
    const dataset = await hubDataset('nyu-mll/glue', { ...options, config: 'sst2' });
    expect(dataset).toMatchObject({ id: 'nyu-mll/glue', config: 'sst2', splits: ['train', 'validation'] });
    const { files, name, classNames } = await dataset.split('train');
    expect(name).toBe('nyu-mll/glue (sst2, train)');
    expect(names(files)).toEqual(['sst2/train-00000-of-00002.csv', 'sst2/train-00001-of-00002.csv']);
    expect(classNames).toEqual({ label: ['negative', 'positive'] });
    expect(
      hub.requests
        .filter(({ path }) => path.includes('/resolve/'))
        .every(({ path }) => path.includes('sst2/train')),
    ).toBe(true);
  });

  it("reads classes by the card's names, and -1 as no label", async () => {
    const { files, classNames } = await (await hubDataset('nyu-mll/glue/sst2', options)).split('validation');
    const { rows } = await readTable(files[0]!, { classNames });
    expect(rows.map((row) => row.label)).toEqual(['negative', '']);
  });

  it('leaves names that are digits, where they are no numbers', async () => {
    const classNames = { label: ['2', '1'] };
    const path = join(cacheDir, 'digits');
    await writeFile(
      `${path}.jsonl`,
      '{"text":"a","label":1}\n{"text":"b","label":"1"}\n{"text":"c","label":0}\n',
    );
    await writeFile(`${path}.csv`, 'text,label\na,1\nb,0\n');
    const labels = async (ending: string) =>
      (await readTable(`${path}.${ending}`, { classNames })).rows.map((row) => row.label);
    const values = async (ending: string) =>
      (await readRecords(`${path}.${ending}`, { classNames })).map((one) => one.values.label);
    for (const read of [labels, values]) {
      expect(await read('jsonl')).toEqual(['1', '1', '2']);
      expect(await read('csv')).toEqual(['1', '2']);
    }
  });

  it('does not fall back if a revision is asked for', async () => {
    expect(String(await failure('org/scripted', { revision: sha('b1') }))).toMatch(
      /no files of a kind that is read/,
    );
  });

  it('names classes within lists', async () => {
    const { files, classNames } = await (await hubDataset('org/tags', options)).split('train');
    const [record] = await readRecords(files[0]!, { classNames });
    expect(record!.values.ner_tags).toEqual(['O', 'B-PER']);
  });

  it('without an owner is found with its configuration in the id', async () => {
    expect((await hubDataset('old/a', options)).config).toBe('a');
    expect((await hubDataset('old', { ...options, config: 'b' })).splits).toEqual(['test']);
    expect(String(await failure('old/c'))).toMatch(/no configuration 'c' · .*: a, b/);
    expect(String(await failure('older/c'))).toMatch(/there is no data set 'older\/c'/);
  });

  it('tells splits from names without a card', async () => {
    const dataset = await hubDataset('org/tags', options);
    expect([...dataset.splits].sort()).toEqual(['train', 'validation']);
    expect(names((await dataset.split('validation')).files)).toEqual(['dev.jsonl']);
  });

  it('falls back on the branch that the hub converts', async () => {
    const dataset = await hubDataset('org/scripted', options);
    expect(dataset).toMatchObject({ config: 'plain', splits: ['partial-test', 'train'] });
    expect(names((await dataset.split('train')).files)).toEqual(['plain/train/0000.parquet']);
    const ref = join(cacheDir, 'datasets--org--scripted', 'refs', 'refs', 'convert', 'parquet');
    expect(await readFile(ref, 'utf8')).toBe(sha('b2'));
  });

  it('is served by the cache alone, which knows what it lacks', async () => {
    const once = await (await hubDataset('nyu-mll/glue/sst2', options)).split('train');
    hub.requests.length = 0;
    const offline = { ...options, localFilesOnly: true };
    const dataset = await hubDataset('nyu-mll/glue/sst2', offline);
    expect((await dataset.split('train')).files).toEqual(once.files);
    expect(dataset.splits).toEqual(['train', 'validation']);
    await expect(dataset.split('validation')).rejects.toThrow(
      /is not in the hub cache, and downloads are switched off/,
    );
    await rm(once.files[1]!);
    await expect(dataset.split('train')).rejects.toThrow(/train-00001-of-00002.csv' of the data set/);
    expect(await failure('org/tags', offline)).toBeInstanceOf(NotFoundError);
    expect(hub.requests).toEqual([]);
  });

  it('is served by the cache if the hub is out of reach', async () => {
    await (await hubDataset('org/tags', options)).split('train');
    await hub.close();
    expect((await (await hubDataset('org/tags', options)).split('train')).files).toHaveLength(1);
    expect(String(await failure('org/tags', {}, 'validation'))).toMatch(
      /the data set 'org\/tags': the hub at .* cannot be reached/,
    );
    expect(String(await failure('nyu-mll/glue', { config: 'sst2' }))).toMatch(
      /cannot be reached.*give files/s,
    );
  });

  it('keeps inside its folder', async () => {
    const { files } = await (await hubDataset('org/evil', options)).split('train');
    expect(names(files)).toEqual(['train.csv']);
  });

  it.each([
    [
      'nyu-mll/glue',
      {},
      'train',
      ConfigError,
      /has 2 configurations · choose one with --dataset-config .*: sst2, cola/,
    ],
    ['nyu-mll/glue', { config: 'mnli' }, 'train', ConfigError, /no configuration 'mnli' · .*sst2, cola/],
    ['nyu-mll/glue/sst2', {}, 'test', DataError, /no split 'test' · there are train, validation/],
    ['nyu-mll/glue/sst2', { config: 'cola' }, 'train', ConfigError, /both name a configuration/],
    ['org/gated', {}, 'train', FileError, /does not give out the data set 'org\/gated'.*ask for access/s],
    [
      'org/nothing',
      {},
      'train',
      NotFoundError,
      /there is no data set 'org\/nothing' on the hub.*check the name/s,
    ],
    ['org/empty', {}, 'train', DataError, /has no files of a kind that is read/],
    ['../x', {}, 'train', ConfigError, /is no id of a data set/],
  ] as const)('%s %j %s is refused', async (id, more, split, kind, message) => {
    const error = await failure(id, more, split);
    expect(error).toBeInstanceOf(kind);
    expect(String(error)).toMatch(message);
  });

  it('sends the token to a gated one', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    const { files } = await (await hubDataset('org/gated', options)).split('train');
    expect(names(files)).toEqual(['train.csv']);
  });
});

describe('the files of a data set', () => {
  const splits = (paths: string[], card: unknown = null) => {
    const { configs } = datasetFiles(paths, card);
    return Object.fromEntries([...configs].map(([name, files]) => [name, Object.fromEntries(files)]));
  };
  it.each<[string, string[], Record<string, string[]>]>([
    [
      'shards in data/',
      ['data/train-00000-of-00001.parquet', 'data/extra-00000-of-00001.parquet'],
      { extra: ['data/extra-00000-of-00001.parquet'], train: ['data/train-00000-of-00001.parquet'] },
    ],
    [
      'names of files',
      ['my_train.csv', 'my-dev.csv', 'eval.csv'],
      { train: ['my_train.csv'], validation: ['my-dev.csv'], test: ['eval.csv'] },
    ],
    [
      'names of folders',
      ['a/training/1.csv', 'a/valid/1.csv'],
      { train: ['a/training/1.csv'], validation: ['a/valid/1.csv'] },
    ],
    ['no name of a split', ['restrained.csv', 'b.csv'], { train: ['b.csv', 'restrained.csv'] }],
    [
      'several formats',
      ['train.csv', 'train.json', 'test.json'],
      { train: ['train.json'], test: ['test.json'] },
    ],
    [
      'files about it',
      ['dataset_infos.json', 'requirements.txt', '.x/train.csv', 'train.csv.gz'],
      { train: ['train.csv.gz'] },
    ],
  ])('are told from %s', (_, paths, found) => {
    expect(splits(paths)).toEqual({ default: found });
  });

  it('are those that the patterns of a card name', () => {
    const paths = ['en/a.json', 'en/sub/b.json', 'de/a.json', 'de/test.json'];
    const card = {
      configs: [
        { config_name: 'en', data_files: 'en/**' },
        {
          config_name: 'de',
          data_dir: 'de',
          data_files: [{ split: 'test', path: 't?st.json' }],
          default: true,
        },
        { config_name: 'none', data_files: 'fr/*.json' },
      ],
    };
    expect(splits(paths, card)).toEqual({
      en: { train: ['en/a.json', 'en/sub/b.json'] },
      de: { test: ['de/test.json'] },
    });
    expect(datasetFiles(paths, card).usual).toBe('de');
  });

  it('are converted by configuration and split', () => {
    const { configs, usual } = convertedFiles([
      'default/train/0000.parquet',
      'default/train/0001.parquet',
      'x/index.duckdb',
    ]);
    expect([...configs.get('default')!]).toEqual([
      ['train', ['default/train/0000.parquet', 'default/train/0001.parquet']],
    ]);
    expect(usual).toBe('default');
  });
});
