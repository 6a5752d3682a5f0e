/** The command on realistic data: class order, pairs, values, several labels, encodings, standard input. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dawngrad, type Result, root } from '../support/command.ts';

const model = join(root, 'examples/sentiment/model');
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(scratch, name);
  await writeFile(path, content);
  return path;
}

/** Fine-tunes on a file and returns the result, the folder, and its config. */
async function finetune(name: string, from: string, train: string, ...more: string[]) {
  const folder = join(scratch, name);
  const result = await dawngrad([
    'finetune',
    ...['--model', from, '--train', train, '--output', folder, '--batch-size', '8', ...more],
  ]);
  const config = await readFile(join(folder, 'config.json'), 'utf8').catch(() => '{}');
  return { ...result, folder, config: JSON.parse(config) as Record<string, unknown> };
}

/** The run's output about data, task and classifier, without the scratch folder's name. */
function decisions({ stderr }: Result): string[] {
  return stderr
    .replaceAll(scratch, 'SCRATCH')
    .split('\n')
    .filter((line) => /^(columns|task|classifier|note|warning|training)\b/.test(line));
}
const hint = ({ stdout }: Result): string | undefined =>
  /saved to [\s\S]*/.exec(stdout.replaceAll(scratch, 'SCRATCH'))?.[0];

const words = {
  positive: ['lovely', 'great', 'warm', 'happy', 'bright', 'good', 'kind', 'sweet'],
  negative: ['awful', 'cold', 'bad', 'sad', 'dull', 'poor', 'rude', 'bitter'],
};
const sentences = Object.entries(words).flatMap(([label, list]) =>
  list.map((word) => ({ text: `the day was ${word}`, word, label })),
);

describe('a trained classifier', () => {
  let trained: Awaited<ReturnType<typeof finetune>>;
  let data = '';
  beforeAll(async () => {
    data = await file(
      'order.tsv',
      `text\tlabel\n${sentences.map(({ text, label }) => `${text}\t${label}\n`).join('')}`,
    );
    const sorted = await finetune('sorted', model, data, '--epochs', '40', '--lr', '1e-3');
    expect(sorted.code, sorted.stderr).toBe(0);
    // The same classifier with its classes in reverse order: names and rows.
    const folder = join(scratch, 'turned');
    const { AutoModelForSequenceClassification, requestDevice } = await import('../../src/index.ts');
    const device = await requestDevice();
    await cp(sorted.folder, folder, { recursive: true });
    const turned = await AutoModelForSequenceClassification.fromPretrained(sorted.folder, {
      device,
      id2label: { 0: 'positive', 1: 'negative' },
      onReport: () => {},
    });
    await turned.savePretrained(folder);
    device.destroy();
    trained = { ...sorted, folder };
  });
  const accuracy = async (folder: string, path = data): Promise<number> => {
    const { stdout, stderr } = await dawngrad(['evaluate', '--json', '--model', folder, '--data', path]);
    expect(stdout, stderr).not.toBe('');
    return (JSON.parse(stdout) as { eval_accuracy: number }).eval_accuracy;
  };
  const turnedNames = { 0: 'positive', 1: 'negative' };

  it('keeps its classes’ order in finetune, on resume, and in evaluate', async () => {
    expect(await accuracy(trained.folder)).toBe(1);
    const again = await finetune(
      'again',
      trained.folder,
      data,
      '--max-steps',
      '4',
      '--save-steps',
      '2',
      '--lr',
      '1e-6',
    );
    expect(again.code, again.stderr).toBe(0);
    expect(again.config.id2label).toEqual(turnedNames);
    expect(decisions(again)).toMatchSnapshot();
    expect(await accuracy(again.folder)).toBe(1);
    const resumed = await finetune(
      'again',
      trained.folder,
      data,
      ...[
        '--max-steps',
        '4',
        '--save-steps',
        '2',
        '--lr',
        '1e-6',
        '--resume',
        join(again.folder, 'checkpoint-2'),
      ],
    );
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.config.id2label).toEqual(turnedNames);
    expect(await accuracy(again.folder)).toBe(1);
    const shouted = await file(
      'shouted.tsv',
      (await readFile(data, 'utf8')).replace(/\t(\w+)$/gm, (cell) => cell.toUpperCase()),
    );
    expect(await accuracy(trained.folder, shouted)).toBe(1);
  });

  it('is drawn anew for other classes, and makes an error of a part', async () => {
    const other = await file(
      'other.tsv',
      (await readFile(data, 'utf8')).replaceAll('\tpositive', '\tjoy').replaceAll('\tnegative', '\tgrief'),
    );
    const anew = await finetune('anew', trained.folder, other, '--max-steps', '1');
    expect(anew.code, anew.stderr).toBe(0);
    expect(anew.config.id2label).toEqual({ 0: 'grief', 1: 'joy' });
    expect(decisions(anew)).toMatchSnapshot();
    expect(anew.stderr).toContain('drawn anew  classifier.weight, classifier.bias');
    const part = await file('part.tsv', (await readFile(data, 'utf8')).replaceAll('\tnegative', '\tneutral'));
    const refused = await finetune('part', trained.folder, part, '--max-steps', '1');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('error: ');
    expect(refused.stderr).toContain('pass --head new');
    const asked = await finetune('asked', trained.folder, part, '--max-steps', '1', '--head', 'new');
    expect(asked.config.id2label).toEqual({ 0: 'neutral', 1: 'positive' });
  });
});

describe('pairs, values and several labels', () => {
  it('are told, remembered and used', async () => {
    const train = await file(
      'pairs.csv',
      `premise;hypothesis;score\n${sentences.map(({ text, word, label }) => `${text};it was ${word};${label === 'positive' ? 4.5 : 1}\n`).join('')}`,
    );
    const run = await finetune('pairs', model, train, '--max-steps', '1');
    expect(run.code, run.stderr).toBe(0);
    expect(run.config).toMatchObject({ text_pair: true, problem_type: 'regression' });
    expect([...decisions(run), hint(run)]).toMatchSnapshot();

    const two = await dawngrad([
      'predict',
      '--model',
      run.folder,
      'the day was warm',
      '--pair',
      'it was warm',
    ]);
    expect(two.stdout).toMatch(/^-?\d+\.\d{4}\tthe day was warm\tit was warm\n$/);
    expect(two.stderr).not.toContain('warning');
    const one = await dawngrad(['predict', '--model', run.folder, 'the day was warm']);
    expect(one.stderr).toContain('warning: the model was trained on pairs of texts, and gets one text');

    const lines = await dawngrad(['predict', '--model', run.folder, '--pairs'], {
      input: 'the day was warm\tit was warm\n\t\n',
    });
    const rows = await dawngrad(['predict', '--model', run.folder, '--data', train]);
    const parsed = (text: string) =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { text: string; pair: string; label: number });
    expect(parsed(lines.stdout)).toEqual([
      {
        text: 'the day was warm',
        pair: 'it was warm',
        label: expect.closeTo(Number(two.stdout.split('\t')[0]), 3),
      },
      { text: '', pair: '', label: expect.any(Number) },
    ]);
    expect(parsed(rows.stdout).map(({ text, pair }) => [text, pair])).toEqual(
      sentences.map(({ text, word }) => [text, `it was ${word}`]),
    );
    const pairs = ['predict', '--model', run.folder, '--pairs', '--batch-size', '1'];
    const broken = await dawngrad(pairs, { input: 'a\tb\nc\n' });
    expect(broken.code).toBe(1);
    expect(parsed(broken.stdout)).toMatchObject([{ text: 'a', pair: 'b' }]);
    expect(broken.stderr).toContain('standard input: line 2 has 0 tabs');

    const single = await file('single.tsv', 'text\tscore\nthe day was warm\t4.5\n');
    const mixed = await finetune('mixed', model, train, '--eval', single, '--max-steps', '1');
    expect(mixed.code).toBe(1);
    expect(mixed.stderr).toMatch(/pairs\.csv has pairs of texts, .*single\.tsv single texts/);
  });

  it('of which a text has any are found, and named in the hint', async () => {
    const train = await file(
      'several.jsonl',
      sentences
        .map(
          ({ text, label }, at) =>
            `${JSON.stringify({ text, labels: at % 3 === 0 ? [label, 'long, or not'] : [label] })}\n`,
        )
        .join(''),
    );
    const run = await finetune('several', model, train, '--max-steps', '1');
    expect(run.code, run.stderr).toBe(0);
    expect(run.config).toMatchObject({
      problem_type: 'multi_label_classification',
      id2label: { 0: 'long, or not', 1: 'negative', 2: 'positive' },
      text_pair: false,
    });
    expect([...decisions(run), hint(run)]).toMatchSnapshot();
    const paired = await dawngrad(['predict', '--model', run.folder, 'a', '--pair', 'b']);
    expect(paired.stderr).toContain('warning: the model was trained on single texts, and gets pairs');
  });
});

describe('standard input', () => {
  let folder = '';
  beforeAll(async () => {
    const train = await file(
      'small.tsv',
      `text\tlabel\n${sentences.map(({ text, label }) => `${text}\t${label}\n`).join('')}`,
    );
    folder = (await finetune('small', model, train, '--max-steps', '1')).folder;
  });
  const predict = (input: string | Uint8Array, ...more: string[]) =>
    dawngrad(['predict', '--model', folder, ...more], { input });
  const texts = ({ stdout }: Result) =>
    stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as { text: string }).text);

  it('gives a line for each line, without marks and returns', async () => {
    const plain = await predict('café\n\nbad soup\n \nlast');
    expect(texts(plain)).toEqual(['café', '', 'bad soup', ' ', 'last']);
    expect((await predict('\uFEFFcafé\r\n\r\nbad soup\r\n \r\nlast\r\n')).stdout).toBe(plain.stdout);
    expect((await predict(Buffer.from('\uFEFFcafé\r\n\r\nbad soup\r\n \r\nlast', 'utf16le'))).stdout).toBe(
      plain.stdout,
    );
    const latin1 = Buffer.from('café\n\nbad soup\n \nlast', 'latin1');
    expect((await predict(latin1, '--encoding', 'latin1')).stdout).toBe(plain.stdout);
    const refused = await predict(latin1);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(
      'error: standard input: line 1 is not utf-8; its bytes look like windows-1252',
    );
  });

  it('and a data file in another encoding is named before anything is loaded', async () => {
    const bad = await file('latin1.csv', Buffer.from('text,label\nun café,pêche\nplain,autre\n', 'latin1'));
    const refused = await finetune('latin1', model, bad, '--max-steps', '1');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('latin1.csv: line 2 is not utf-8');
    const read = await finetune('latin1', model, bad, '--max-steps', '1', '--encoding', 'windows-1252');
    expect(read.config.id2label).toEqual({ 0: 'autre', 1: 'pêche' });
  });
});

describe('the corpus of pretrain', () => {
  it('may have a mark, returns and another encoding: the same text gives the same training', async () => {
    const text = 'the café was warm\nthe day was long\n\nwe went home\n'.repeat(4);
    const outputOf = (name: string) => join(scratch, `${name}-out`);
    const pretrain = async (name: string, bytes: string | Uint8Array, ...more: string[]) =>
      dawngrad([
        'pretrain',
        ...['--corpus', await file(name, bytes), '--tokenizer', model, '--output', outputOf(name)],
        ...['--max-steps', '2', '--batch-size', '4', '--hidden-size', '16', '--max-length', '16', ...more],
      ]);
    const train = async (name: string, bytes: string | Uint8Array, ...more: string[]) => {
      const { code, stderr } = await pretrain(name, bytes, '--layers', '1', ...more);
      expect(code, stderr).toBe(0);
      return readFile(join(outputOf(name), 'model.safetensors'));
    };
    const plain = await train('plain.txt', text);
    expect(await train('marked.txt', `\uFEFF${text.replaceAll('\n', '\r\n')}`)).toEqual(plain);
    expect(await train('latin1.txt', Buffer.from(text, 'latin1'), '--encoding', 'latin1')).toEqual(plain);
    const larger = await pretrain('plain.txt', text, '--layers', '2', '--resume');
    expect([larger.code, larger.stderr]).toEqual([
      1,
      expect.stringMatching(/--layers is 2, in '.*checkpoint-2' it was 1 · resume with --layers 1/),
    ]);
    const bad = await file('bad.txt', Buffer.from(text, 'latin1'));
    const refused = await dawngrad([
      'pretrain',
      '--corpus',
      bad,
      '--tokenizer',
      model,
      '--output',
      join(scratch, 'no'),
    ]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('bad.txt: line 1 is not utf-8');
  });
});

describe('weights and config that differ', () => {
  it('are told of by evaluate, and refused where weights are missing', async () => {
    const tiny = join(root, 'test/reference/fixtures/models/bert-single');
    const folder = join(scratch, 'layers');
    await cp(tiny, folder, { recursive: true });
    for (const name of ['tokenizer.json', 'tokenizer_config.json', 'vocab.txt'])
      await cp(join(model, name), join(folder, name)).catch(() => {});
    const config = JSON.parse(await readFile(join(tiny, 'config.json'), 'utf8')) as {
      num_hidden_layers: number;
    };
    const layers = config.num_hidden_layers;
    const data = await file('layers.tsv', 'text\tlabel\na\t0\na\t1\na\t2\n');
    const evaluated = async (num_hidden_layers: number) => {
      await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, num_hidden_layers }));
      return dawngrad(['evaluate', '--model', folder, '--data', data]);
    };
    expect((await evaluated(layers - 1)).stderr).toContain(`unexpected  bert.encoder.layer.${layers - 1}.`);
    const more = await evaluated(layers + 1);
    expect([more.code, more.stderr]).toEqual([
      1,
      expect.stringMatching(/lacks 16 weights that its config.json asks for: bert\.encoder\.layer\.\d/),
    ]);
  });
});

describe('--streaming', () => {
  it('reads the rows anew each epoch', async () => {
    const csv = await file(
      'stream.csv',
      `text,label\n${sentences.map(({ text, label }) => `${text},${label}\n`).join('')}`,
    );
    const args = ['--streaming', '--shuffle-buffer', '4', '--epochs', '3', '--test', csv];
    const trained = await finetune('streamed', model, csv, ...args);
    expect(trained.code, trained.stderr).toBe(0);
    expect(decisions(trained)).toContain('training on 16 texts: 2 classes (0 negative, 1 positive)');
    expect(trained.stderr).toContain('done after step 6');
    expect(trained.stdout).toMatch(/test, 16 texts:/);
  });

  it('reads rows with several labels', async () => {
    const tsv = await file('labels.tsv', 'text\tlabel\na\tx,y\nb\ty\nc\tx\nd\t\n');
    const args = ['--streaming', '--problem-type', 'multi_label_classification', '--head', 'new'];
    const trained = await finetune('streamed-labels', model, tsv, ...args);
    expect(trained.code, trained.stderr).toBe(0);
    expect(decisions(trained)).toContain('training on 4 texts: any of 2 classes (0 x, 1 y)');
  });

  it('is refused with data held out', async () => {
    const tsv = await file('held.tsv', 'text\tlabel\na\tx\n');
    const { code, stderr } = await finetune('held', model, tsv, '--streaming', '--train-split', '0.5');
    expect(stderr).toContain('--train-split holds out examples of data in memory');
    expect(code).toBe(1);
  });
});
