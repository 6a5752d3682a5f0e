/** Several files, patterns, and data that are held out. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AutoConfig, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { dataFiles, holdOut, readAll } from '../../src/tasks/read.ts';
import { taskNamed } from '../../src/tasks/registry.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();
const folder = mkdtempSync(join(tmpdir(), 'dawngrad-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, rows: readonly (readonly [string, string])[]): string => {
  const path = join(folder, name);
  writeFileSync(path, `text\tlabel\n${rows.map((row) => row.join('\t')).join('\n')}\n`);
  return path;
};
const one = file('part-1.tsv', [
  ['a', 'x'],
  ['b', 'y'],
  ['c', 'x'],
]);
const two = file('part-2.tsv', [
  ['d', 'z'],
  ['e', 'y'],
  ['f', 'z'],
]);
file('other.tsv', [
  ['g', 'x'],
  ['h', 'y'],
]);
const task = taskNamed('text-classification');
interface Row {
  row: { text: string; label: string };
}
const textsOf = ({ examples }: { examples: readonly unknown[] }) =>
  (examples as readonly Row[]).map(({ row }) => row.text).join('');

describe('several files', () => {
  it('are named one by one or by a pattern, and decide together', async () => {
    expect(await dataFiles(join(folder, 'part-?.tsv'))).toEqual([one, two]);
    expect(await dataFiles([two, join(folder, '*-1.tsv')])).toEqual([two, one]);
    const all = await readAll(task, join(folder, 'part*'), {});
    expect(textsOf(all)).toBe('abcdef');
    expect(task.decide(all, {}).config.id2label).toEqual({ 0: 'x', 1: 'y', 2: 'z' });
  });

  it('are named in messages', async () => {
    await expect(dataFiles(join(folder, 'none*.tsv'))).rejects.toThrow(
      /no file is called '.*none\*\.tsv' · check the pattern/,
    );
    const tokenizer = await AutoTokenizer.fromPretrained(
      new URL('../../examples/sentiment/model', import.meta.url).pathname,
    );
    const small = { hiddenSize: 4, numHiddenLayers: 1, numAttentionHeads: 1, intermediateSize: 4 };
    const config = AutoConfig.forModel('bert', { ...small, id2label: { 0: 'x', 1: 'y' } });
    const model = await AutoModelForSequenceClassification.fromConfig(config, { device: device.current });
    const all = await readAll(task, [one, two], {});
    const bound = task.bind(tokenizer, config, { maxLength: 9 }, model);
    expect(() => bound.encode(all.examples)).toThrow(/part-2.tsv: line 2 has the label 'z'/);
    const pairs = join(folder, 'pairs.tsv');
    writeFileSync(pairs, 'sentence1\tsentence2\tlabel\na\tb\tx\n');
    await expect(readAll(task, [one, pairs], {})).rejects.toThrow(/has pairs of texts, .* single texts/);
  });
});

describe('held out', () => {
  const rows = Array.from({ length: 90 }, (_, at) => [`${at},`, at % 3 === 0 ? 'rare' : 'usual'] as const);

  it('is the same share of each class, the same for a seed, in the order of the file', async () => {
    const whole = await readAll(task, file('whole.tsv', rows), {});
    const [train, held] = holdOut(task, whole, 0.2, 7);
    const count = (examples: readonly unknown[], label: string) =>
      (examples as readonly Row[]).filter(({ row }) => row.label === label).length;
    expect([count(held.examples, 'rare'), count(held.examples, 'usual')]).toEqual([6, 12]);
    expect([count(train.examples, 'rare'), count(train.examples, 'usual')]).toEqual([24, 48]);
    const numbers = textsOf(held).split(',').slice(0, -1).map(Number);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(textsOf(holdOut(task, whole, 0.2, 7)[1])).toBe(textsOf(held));
    expect(textsOf(holdOut(task, whole, 0.2, 8)[1])).not.toBe(textsOf(held));
  });

  it.each([
    [5, 0.1],
    [10, 0.25],
    [15, 0.1],
    [7, 0.9],
  ])('of %d examples and a share of %d is the rounded number', async (size, share) => {
    const whole = await readAll(task, file(`some-${size}-${share}.tsv`, rows.slice(0, size)), {});
    expect(holdOut(task, whole, share, 1)[1].examples).toHaveLength(Math.round(size * share));
  });

  it('is spread over values by their size', async () => {
    const values = Array.from({ length: 100 }, (_, at) => [`${at}`, `${(at * 37) % 100}.5`] as const);
    const whole = await readAll(task, file('values.tsv', values), {});
    const [, held] = holdOut(task, whole, 0.1, 3);
    const found = (held.examples as readonly Row[]).map(({ row }) => Number(row.label)).sort((a, b) => a - b);
    expect(found.map((value) => Math.floor(value / 10))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it.each([
    [
      'questions by their article',
      'question-answering',
      (at: number) => ({ question: `q${at}`, title: `t${at % 5}`, context: `c${at % 10}`, answers: [] }),
    ],
    [
      'questions by their context',
      'question-answering',
      (at: number) => ({ question: `q${at}`, context: `c${at % 5}`, answers: [] }),
    ],
    [
      'choices by their text',
      'multiple-choice',
      (at: number) => ({ prompt: `p${at % 5}`, choices: [`${at}`, 'b'], label: 0 }),
    ],
    [
      'pairs by their first text',
      'text-classification',
      (at: number) => ({ premise: `p${at % 5}`, hypothesis: `h${at}`, label: at % 2 === 0 ? 'x' : 'y' }),
    ],
  ] as const)('keeps %s', async (name, named, record) => {
    const path = join(folder, `${name}.jsonl`);
    writeFileSync(path, Array.from({ length: 40 }, (_, at) => `${JSON.stringify(record(at))}\n`).join(''));
    const own = taskNamed(named);
    const [train, held] = holdOut(own, await readAll(own, path, {}), 0.4, 3);
    const groups = ({ examples }: { examples: readonly unknown[] }) =>
      new Set(examples.map((one) => own.group!(one)));
    expect([train.examples.length, held.examples.length]).toEqual([24, 16]);
    expect([groups(train).size, groups(held).size]).toEqual([3, 2]);
    expect([...groups(held)].filter((group) => groups(train).has(group))).toEqual([]);
    expect(() => holdOut(own, held, 0.01, 3)).toThrow(/there are 2 contexts/);
  });

  it("keeps an article of SQuAD's format together", async () => {
    const path = join(folder, 'squad.json');
    const article = (title: string) => ({
      title,
      paragraphs: [0, 1].map((at) => ({
        context: `${title} ${at}`,
        qas: [{ id: `${title}${at}`, question: 'q', answers: [] }],
      })),
    });
    writeFileSync(path, JSON.stringify({ version: '2.0', data: ['a', 'b', 'c', 'd'].map(article) }));
    const own = taskNamed('question-answering');
    const [, held] = holdOut(own, await readAll(own, path, {}), 0.25, 1);
    const ids = (held.examples as readonly { id: string }[]).map(({ id }) => id);
    expect(ids).toHaveLength(2);
    expect(ids[0]![0]).toBe(ids[1]![0]);
  });

  it.each([0, 1, 0.001])('of %d is refused', async (share) => {
    const whole = await readAll(task, one, {});
    expect(() => holdOut(task, whole, share, 1)).toThrowErrorMatchingSnapshot();
  });
});
