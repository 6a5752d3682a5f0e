/** Each task from the command line, as the README shows it: train, evaluate, predict; and wrong files. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dawngrad } from '../support/command.ts';
import { fixtures } from '../support/fixtures.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-tasks-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function run(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await dawngrad(args);
  expect(code, stderr).toBe(0);
  return { stdout, stderr };
}

const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

interface Case {
  data: string;
  /** What the evaluation shows. */
  metrics: RegExp;
  /** More options of the training. */
  more?: string[];
  /** What `predict` gets, and keys of what it gives. */
  input: string[];
  keys: string[];
}

const cases: Record<string, Case> = {
  'token-classification': {
    data: 'data.conll',
    metrics: /F1 +\d\.\d{4}.*type +precision +recall +F1 +number.*PER/s,
    input: ['Ann Bo saw New York .'],
    keys: ['text', 'entities'],
  },
  'question-answering': {
    data: 'data.json',
    metrics: /F1 +\d+\.\d{4}.*exact match/s,
    more: ['--max-length', '40', '--doc-stride', '8'],
    input: ['Who sings?', '--pair', 'Ann sings near Oslo.'],
    keys: ['question', 'answer', 'score', 'start', 'end'],
  },
  'multiple-choice': {
    data: 'data.csv',
    metrics: /accuracy +\d\.\d{4}/,
    input: ['--data', join(fixtures, 'tasks/multiple-choice/data.csv')],
    keys: ['prompt', 'label', 'choice', 'score', 'scores'],
  },
  'fill-mask': {
    data: 'data.txt',
    metrics: /perplexity +\d+\.\d{4}/,
    more: ['--whole-word-mask'],
    input: ['Ann [MASK] near Oslo'],
    keys: ['text', 'fills'],
  },
};

describe.each(Object.entries(cases))('%s', (task, { data, metrics, more = [], input, keys }) => {
  it('trains, evaluates and predicts', async () => {
    const model = join(fixtures, 'tasks', task);
    const file = join(model, data);
    const out = join(scratch, task);
    const saved = join(scratch, `${task}.jsonl`);
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
    const predicts = task === 'fill-mask' ? [] : ['--predictions', saved];
    const trained = await run(...trains, ...options, ...more, ...predicts);
    expect(trained.stderr).toMatch(/training on 8 \w+, evaluating on 4/);
    expect(trained.stdout).toMatch(metrics);
    expect(trained.stdout).toContain(`npx dawngrad predict --model ${out}`);
    if (predicts.length > 0) {
      const rows = lines(await readFile(saved, 'utf8'));
      expect(rows.length).toBe(4);
      for (const row of rows) expect(Object.keys(row)).toEqual(expect.arrayContaining(keys));
    }
    const evaluated = await run('evaluate', '--model', out, '--data', file, '--json');
    expect(Object.keys(lines(evaluated.stdout)[0]!)).toContain('eval_loss');
    const predicted = await run('predict', '--model', out, ...input, '--json');
    expect(Object.keys(lines(predicted.stdout)[0]!)).toEqual(keys);
  });
});

describe('wrong input', () => {
  async function failure(...args: string[]): Promise<string> {
    const { code, stderr } = await dawngrad(args);
    expect(code).toBe(1);
    return stderr.split('\n').find((line) => line.startsWith('error: ')) ?? stderr;
  }
  const file = (task: string): string => join(fixtures, 'tasks', task, cases[task]!.data);

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
