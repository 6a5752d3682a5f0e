/** The command as a user sees it: its own process, its exit code, its messages. */
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelTypes } from '../../src/models/registry.ts';
import { dawngrad, type RunOptions, root } from '../support/command.ts';

const example = join(root, 'examples/sentiment');
const model = join(example, 'model');
let scratch = '';
let trained = '';

/** The message of a failed run, without paths and adapters of this machine. */
async function failure(args: string[], options?: RunOptions): Promise<string> {
  const { code, stderr } = await dawngrad(args, options);
  expect(code, stderr).toBe(1);
  const line = stderr.split('\n').find((text) => text.startsWith('error: '));
  expect(line, stderr).toBeDefined();
  return line!
    .replaceAll(scratch, 'SCRATCH')
    .replaceAll(root, 'ROOT/')
    .replace(/found only: .* · install/, 'found only: ADAPTERS · install')
    .replace(modelTypes.join(', '), 'FAMILIES');
}

const train = (output: string, ...more: string[]): string[] => [
  'finetune',
  '--model',
  model,
  '--train',
  join(scratch, 'small.tsv'),
  '--output',
  output,
  '--epochs',
  '1',
  '--batch-size',
  '8',
  ...more,
];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
  const rows = (await readFile(join(example, 'train.tsv'), 'utf8')).split('\n').slice(0, 41);
  await writeFile(join(scratch, 'small.tsv'), `${rows.join('\n')}\n`);
  trained = join(scratch, 'trained');
  const { code, stderr } = await dawngrad(train(trained, '--eval', join(scratch, 'small.tsv')));
  expect(code, stderr).toBe(0);
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('finetune, evaluate, predict', () => {
  it('writes a model card', async () => {
    const card = await readFile(join(trained, 'README.md'), 'utf8');
    expect(card).toContain('pipeline_tag: text-classification\n');
    expect(card).toContain('40 texts of\n`small.tsv` with dawngrad.');
    expect(card).toMatch(/^\| accuracy \| [\d.]+ \|$/m);
  });

  it('writes what transformers would', async () => {
    const names = await readdir(trained);
    expect(names).toEqual(
      expect.arrayContaining([
        'config.json',
        'model.safetensors',
        'tokenizer.json',
        'tokenizer_config.json',
        'trainer_state.json',
        'loss_log.jsonl',
      ]),
    );
    const config = JSON.parse(await readFile(join(trained, 'config.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    expect(config).toMatchObject({
      architectures: ['BertForSequenceClassification'],
      id2label: { 0: 'negative', 1: 'positive' },
      label2id: { negative: 0, positive: 1 },
    });
  });

  it('evaluates', async () => {
    const { code, stdout } = await dawngrad([
      'evaluate',
      '--model',
      trained,
      '--data',
      join(scratch, 'small.tsv'),
    ]);
    expect(code).toBe(0);
    for (const word of ['accuracy', 'precision', 'recall', 'F1', 'ROC-AUC', 'true \\ predicted'])
      expect(stdout).toContain(word);
    const json = await dawngrad([
      'evaluate',
      '--model',
      trained,
      '--data',
      join(scratch, 'small.tsv'),
      '--json',
    ]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      eval_accuracy: expect.any(Number),
      confusion_matrix: expect.any(Array),
    });
  });

  it('predicts arguments, and lines of standard input as JSON lines', async () => {
    const one = await dawngrad(['predict', '--model', trained, 'What a lovely day']);
    expect(one.stdout).toMatch(/^(positive|negative)\t0\.\d{4}\tWhat a lovely day\n$/);
    const many = await dawngrad(['predict', '--model', trained], { input: 'good soup\n\nbad soup' });
    const lines = many.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { text: string; scores: Record<string, number> });
    expect(lines.map(({ text }) => text)).toEqual(['good soup', '', 'bad soup']);
    for (const { scores } of lines) expect(scores.positive! + scores.negative!).toBeCloseTo(1, 6);
  });

  it('tunes, and keeps the choice', async () => {
    const cache = join(scratch, 'cache');
    const args = ['tune', '--hidden-size', '8', '--batch-size', '1', '--max-length', '8'];
    const { code, stdout, stderr } = await dawngrad(args, { env: { XDG_CACHE_HOME: cache } });
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('GFLOP/s');
    const files = await readdir(join(cache, 'dawngrad'));
    expect(files.filter((name) => name.startsWith('tuning-'))).toHaveLength(1);
  }, 120_000);

  it('shows the adapter', async () => {
    const { stdout } = await dawngrad(['info', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      adapter: expect.any(String),
      software: expect.any(Boolean),
      limits: { maxBufferSize: expect.any(Number) },
    });
  });
});

describe('Ctrl-C', () => {
  it('saves a checkpoint, says how to resume, and the resumed run ends as an unbroken one', async () => {
    const output = join(scratch, 'interrupted');
    const args = train(output, '--logging-steps', '1', '--epochs', '8');
    const { code, stderr } = await dawngrad(args, { interruptAt: /step [1-9]\d*\/40/ });
    expect(code, stderr).toBe(130);
    const command = /resume with: npx dawngrad (.*)/.exec(stderr)?.[1]?.split(' ');
    expect(command, stderr).toBeDefined();
    expect(existsSync(join(output, 'model.safetensors'))).toBe(false);
    const resumed = await dawngrad(command!);
    expect(resumed.code, resumed.stderr).toBe(0);
    const whole = join(scratch, 'whole');
    expect((await dawngrad(train(whole, '--logging-steps', '1', '--epochs', '8'))).code).toBe(0);
    const log = async (folder: string) =>
      (await readFile(join(folder, 'loss_log.jsonl'), 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { loss?: number })
        .filter(({ loss }) => loss !== undefined);
    expect(await log(output)).toEqual(await log(whole));
    expect(await readFile(join(output, 'model.safetensors'))).toEqual(
      await readFile(join(whole, 'model.safetensors')),
    );
  });
});

describe('bad input ends with exit code 1, a message that names the thing, and nothing half-written', () => {
  const cases: Record<string, () => Promise<string[]> | string[]> = {
    'missing model folder': () => ['--model', join(scratch, 'nowhere')],
    'truncated weights': async () => {
      const folder = join(scratch, 'truncated');
      await cp(model, folder, { recursive: true });
      await truncate(join(folder, 'model.safetensors'), 5000);
      return ['--model', folder];
    },
    'a header that lies': async () => {
      const folder = join(scratch, 'lying');
      await cp(model, folder, { recursive: true });
      const bytes = await readFile(join(folder, 'model.safetensors'));
      bytes.writeBigUInt64LE(0xffff_ffffn, 0);
      await writeFile(join(folder, 'model.safetensors'), bytes);
      return ['--model', folder];
    },
    'a shape that does not fit the config': async () => {
      const folder = join(scratch, 'misfit');
      await cp(model, folder, { recursive: true });
      const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<
        string,
        unknown
      >;
      await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, intermediate_size: 100 }));
      return ['--model', folder];
    },
    'an unsupported model_type': async () => {
      const folder = join(scratch, 'gpt2');
      await cp(model, folder, { recursive: true });
      await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: 'gpt2' }));
      return ['--model', folder];
    },
    'a label not seen in training': async () => {
      await writeFile(join(scratch, 'label.tsv'), 'sentence\tlabel\nfine\tneutral\n');
      return ['--eval', join(scratch, 'label.tsv')];
    },
    'an empty data file': async () => {
      await writeFile(join(scratch, 'empty.tsv'), '');
      return ['--train', join(scratch, 'empty.tsv')];
    },
    'a row with too few columns': async () => {
      await writeFile(join(scratch, 'short.tsv'), 'sentence\tlabel\nfine\tpositive\nno label here\n');
      return ['--train', join(scratch, 'short.tsv')];
    },
    'a text longer than the positions': async () => {
      await writeFile(
        join(scratch, 'long.tsv'),
        `sentence\tlabel\n${'very '.repeat(90)}good\tpositive\nbad\tnegative\n`,
      );
      return ['--train', join(scratch, 'long.tsv'), '--no-truncation'];
    },
    'a length that special tokens fill': () => ['--max-length', '2'],
    'a length beyond the positions': () => ['--max-length', '1000'],
    'no adapter': () => ['--adapter', 'no such adapter'],
    'a missing data file': () => ['--train', join(scratch, 'nowhere.tsv')],
    'nothing to resume': () => ['--resume'],
  };

  it.each(Object.entries(cases))('%s', async (_, make) => {
    const output = join(scratch, 'must-not-exist');
    const base = ['finetune', '--model', model, '--train', join(scratch, 'small.tsv'), '--output', output];
    expect(await failure([...base, ...(await make())])).toMatchSnapshot();
    expect(existsSync(output)).toBe(false);
    expect((await readdir(scratch)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('an output that is a file', async () => {
    expect(await failure(train(join(scratch, 'small.tsv')))).toBe(
      "error: 'SCRATCH/small.tsv' is a file · choose another output",
    );
  });

  it('an output folder that exists, and one that is no model', async () => {
    expect(await failure(train(trained))).toMatchSnapshot();
    const precious = join(scratch, 'precious');
    await mkdir(precious);
    await writeFile(join(precious, 'thesis.txt'), 'years of work');
    expect(await failure(train(precious, '--overwrite'))).toMatchSnapshot();
    expect(await readdir(precious)).toEqual(['thesis.txt']);
  });

  it('a model that is not fine-tuned, and a wrong option', async () => {
    const asked = ['--task', 'text-classification'];
    expect(await failure(['predict', '--model', model, ...asked, 'text'])).toMatchSnapshot();
    const { code, stderr } = await dawngrad(['finetune', '--epochs', 'many']);
    expect(code).toBe(1);
    expect(stderr).toContain("option '--epochs <n>' argument 'many' is invalid. It must be a number.");
  });
});
