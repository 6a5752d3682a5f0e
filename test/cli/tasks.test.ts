/** Each task from the command line, by the commands that the pages print; and wrong files. */
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dawngrad, printed, root } from '../support/command.ts';
import { fixtures } from '../support/fixtures.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-tasks-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** Stand-ins for the checkpoints that the pages name. */
const models: Record<string, string> = {
  'bert-base-cased': 'tasks/token-classification',
  'bert-base-uncased': 'tasks/fill-mask',
  'roberta-base': 'tasks/multiple-choice',
  'sentence-transformers/all-MiniLM-L6-v2': 'sentence/model',
};
const labelled = ['sentence\tlabel', 'ann sings\t1', 'bo sings\t0', 'ann plays\t1', 'bo plays\t0'].join('\n');
const scored = ['sentence1\tsentence2\tscore', 'a man\tthe man\t4.8', 'a dog runs\ta cat\t0.5'].join('\n');
const question = { question: 'Who sings?', context: 'Ann sings near Oslo.' };

interface Block {
  /** The page, and the heading above the commands. */
  place: readonly [page: string, heading: string];
  /** Files by name: a fixture, or a text. */
  files: Record<string, { fixture: string } | string>;
  /** For each command in order, what it prints. */
  prints: RegExp[];
  /** Files that are written, with keys of their first row. */
  writes?: Record<string, string[]>;
}

const fixture = (path: string): { fixture: string } => ({ fixture: `tasks/${path}` });
const conll = fixture('token-classification/data.conll');
const squad = fixture('question-answering/data.json');
const choices = fixture('multiple-choice/data.csv');
const passages = fixture('fill-mask/data.txt');
const entities = /F1 +\d\.\d{4}.*type +precision +recall +F1 +number.*PER/s;
const exact = /F1 +\d+\.\d{4}.*exact match/s;
const chosen = /accuracy +\d\.\d{4}/;
const perplexity = /perplexity +\d+\.\d{4}/;
const alike = /pearson_cosine +-?[\d.]+\s+spearman_cosine/;

const blocks: Block[] = [
  {
    place: ['docs/tasks.md', 'Token classification'],
    files: { 'train.conll': conll, 'dev.conll': conll, 'test.conll': conll },
    prints: [entities, entities, /Ann sang in New York/],
    writes: { 'entities.jsonl': ['text', 'tokens', 'tags', 'entities'] },
  },
  {
    place: ['docs/tasks.md', 'Question answering'],
    files: { 'train-v2.0.json': squad, 'dev-v2.0.json': squad, 'questions.jsonl': JSON.stringify(question) },
    prints: [exact, /Where does she sing/, /"nbest":\[(\{[^}]*\},?){2,3}\]/],
  },
  {
    place: ['docs/tasks.md', 'Multiple choice'],
    files: { 'train.csv': choices, 'val.csv': choices, 'test.csv': choices },
    prints: [chosen, /"choice":.*"score":.*"scores":/],
  },
  {
    place: ['docs/tasks.md', 'Filling masks'],
    files: { 'notes.txt': passages, 'held-out.txt': passages },
    prints: [perplexity, /Ann .* in Oslo/i],
  },
  {
    place: ['docs/embeddings.md', 'Embeddings'],
    files: { 'train.tsv': scored, 'dev.tsv': scored, 'test.tsv': scored, 'texts.txt': 'a man\na dog runs\n' },
    prints: [alike, alike, /"text":"a text","embedding":\[-?\d/, /^$/, /\d\.\d{4}\ta text\tanother text/],
    writes: { 'vectors.npy': [] },
  },
  {
    place: ['README.md', 'Fine-tune your own'],
    files: {
      'train.tsv': labelled,
      'test.tsv': labelled,
      'dev.tsv': labelled,
      'train.conll': conll,
      'dev.conll': conll,
      'train-v2.0.json': squad,
      'dev-v2.0.json': squad,
      'swag.csv': choices,
      'val.csv': choices,
      'notes.txt': passages,
      'more.txt': passages,
      'pairs.tsv': scored,
      'more-pairs.tsv': scored,
    },
    prints: [
      chosen,
      chosen,
      /I loved this movie/,
      entities,
      exact,
      chosen,
      perplexity,
      alike,
      /Ann sang in New York/,
      /Where did she sing/,
    ],
  },
];

/**
 * The commands of a page below a heading, as they stand, without those that are about the machine, or need the
 * hub (hub.test.ts has these).
 */
async function commandsOf([page, heading]: Block['place']): Promise<string[]> {
  const text = await readFile(join(root, page), 'utf8');
  const [, below] = text.split(new RegExp(`^#+ ${heading}$`, 'm'));
  const [section] = below!.split(/^#/m.test(below!) ? /^## /m : /$^/);
  const code = [...section!.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!).join('');
  return code
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => /^npx dawngrad (finetune|evaluate|predict)/.test(line) && !/ --dataset /.test(line));
}

describe.each(blocks)('$place.0, $place.1', ({ place, files, prints, writes = {} }) => {
  it('prints commands that run', async () => {
    const cwd = await mkdtemp(join(scratch, 'page-'));
    for (const [name, from] of Object.entries(models)) {
      await mkdir(dirname(join(cwd, name)), { recursive: true });
      await cp(join(fixtures, from), join(cwd, name), { recursive: true });
    }
    for (const [name, content] of Object.entries(files))
      if (typeof content === 'string') await writeFile(join(cwd, name), content);
      else await copyFile(join(fixtures, content.fixture), join(cwd, name));
    const commands = await commandsOf(place);
    expect(commands.length).toBe(prints.length);
    for (const [at, command] of commands.entries()) {
      const { code, stdout, stderr } = await printed(command, cwd);
      expect(code, `${command}\n${stderr}`).toBe(0);
      expect(stdout, command).toMatch(prints[at]!);
    }
    for (const [name, keys] of Object.entries(writes)) {
      const text = await readFile(join(cwd, name), 'utf8');
      if (keys.length > 0) expect(Object.keys(lines(text)[0]!)).toEqual(keys);
    }
  });
});

const dataOf: Record<string, string> = {
  'token-classification': 'data.conll',
  'question-answering': 'data.json',
  'multiple-choice': 'data.csv',
};

describe('samples and predictions', () => {
  it.each(Object.keys(dataOf))('of %s are as many as asked for', async (task) => {
    const model = join(fixtures, 'tasks', task);
    const file = join(model, dataOf[task]!);
    const [out, saved] = [join(scratch, task), join(scratch, `${task}.jsonl`)];
    const options = [
      '--epochs',
      '1',
      '--batch-size',
      '4',
      '--max-train-samples',
      '8',
      '--max-eval-samples',
      '4',
    ];
    const trains = ['finetune', '--model', model, '--train', file, '--eval', file, '--output', out];
    const { code, stdout, stderr } = await dawngrad([...trains, ...options, '--predictions', saved]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/training on 8 \w+, evaluating on 4/);
    expect(stdout).toContain(`npx dawngrad predict --model ${out}`);
    expect(lines(await readFile(saved, 'utf8')).length).toBe(4);
    const evaluated = await dawngrad(['evaluate', '--model', out, '--data', file, '--json']);
    expect(Object.keys(lines(evaluated.stdout)[0]!)).toContain('eval_loss');
  });
});

describe('wrong input', () => {
  async function failure(...args: string[]): Promise<string> {
    const { code, stderr } = await dawngrad(args);
    expect(code).toBe(1);
    return stderr.split('\n').find((line) => line.startsWith('error: ')) ?? stderr;
  }
  const file = (task: string): string => join(fixtures, 'tasks', task, dataOf[task]!);

  it('refuses a file of another task for a trained model, and options of other tasks', async () => {
    const model = join(fixtures, 'tasks/token-classification');
    expect(await failure('evaluate', '--model', model, '--data', file('question-answering'))).toMatch(
      /looks like question-answering .* token-classification takes words with tags/,
    );
    expect(await failure('predict', '--model', model, '--pair', 'b', 'a')).toMatch(
      /one text, and gets a pair/,
    );
    expect(await failure('predict', '--model', model, '--top-k', '3', 'a')).toMatch(
      /--top-k is for fill-mask/,
    );
    const finetune = [
      'finetune',
      '--model',
      model,
      '--output',
      'no',
      '--train',
      file('token-classification'),
    ];
    expect(await failure(...finetune, '--problem-type', 'regression')).toMatch(
      /--problem-type is for text-classification/,
    );
    const choices = ['--train', file('multiple-choice'), '--task', 'multiple-choice', '--output', 'no'];
    expect(await failure('finetune', '--model', model, ...choices, '--head', 'new')).toMatch(/--head is for/);
    expect(await failure('finetune', '--model', model, ...choices, '--label-column', '9')).toMatch(
      /has no column '9' · columns: /,
    );
    const question = join(fixtures, 'tasks/question-answering');
    expect(await failure('predict', '--model', question, 'Who?')).toMatch(/takes a question and a text/);
  });
});
