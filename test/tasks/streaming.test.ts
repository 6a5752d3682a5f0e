/** Training files of every task, read anew each epoch: the batches of data in memory, and few rows held. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { DataLoader } from '../../src/data/loader.ts';
import { type StreamDataset, StreamLoader } from '../../src/data/stream.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { withOverrides } from '../../src/models/config.ts';
import { loadConfig } from '../../src/models/files/load.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import { taskNamed } from '../../src/tasks/registry.ts';
import { streamFiles } from '../../src/tasks/stream.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import { useDevice } from '../support/device.ts';
import { fixtures } from '../support/fixtures.ts';

const device = useDevice();
const scratch = mkdtempSync(join(tmpdir(), 'dawngrad-streams-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const ROWS = 120;
/** A text of up to 30 words, so that some need windows. */
const text = (at: number, most = 30): string =>
  Array.from(
    { length: 1 + ((at * 7) % most) },
    (_, k) => 'ann sang in oslo today'.split(' ')[(at + k) % 5]!,
  ).join(' ');
const json = (make: (at: number) => object): string =>
  Array.from({ length: ROWS }, (_, at) => JSON.stringify(make(at))).join('\n');
const table = (head: string, make: (at: number) => string): string =>
  [head, ...Array.from({ length: ROWS }, (_, at) => make(at))].join('\n');
const words = (at: number): string[] => text(at).split(' ');

const cases: Record<string, { task: string; file: string; content: string }> = {
  'columns of words': {
    task: 'token-classification',
    file: 'a.conll',
    content: Array.from({ length: ROWS }, (_, at) =>
      words(at)
        .map((word) => `${word} ${word === 'ann' ? 'B-PER' : word === 'oslo' ? 'B-LOC' : 'O'}\n`)
        .join(''),
    ).join('\n'),
  },
  'words and tags': {
    task: 'token-classification',
    file: 'a.jsonl',
    content: json((at) => ({
      tokens: words(at),
      tags: words(at).map((word) => (word === 'ann' ? 'B-PER' : 'O')),
    })),
  },
  questions: {
    task: 'question-answering',
    file: 'b.jsonl',
    content: json((at) => ({
      question: 'who sang',
      context: text(at),
      answers: at % 5 === 0 ? [{ text: words(at)[0], answer_start: 0 }] : [],
    })),
  },
  articles: {
    task: 'question-answering',
    file: 'squad.json',
    content: JSON.stringify({
      data: Array.from({ length: ROWS / 4 }, (_, at) => ({
        title: `t${at}`,
        paragraphs: [0, 1].map((one) => ({
          context: text(at + one),
          qas: [0, 1].map((id) => ({
            id: `${at}-${one}-${id}`,
            question: 'who',
            answers: [{ text: words(at + one)[0], answer_start: 0 }],
          })),
        })),
      })),
    }),
  },
  choices: {
    task: 'multiple-choice',
    file: 'c.csv',
    content: table(
      'sent1,ending0,ending1,label',
      (at) => `${text(at)},${text(at + 1)},${text(at + 2)},${at % 2}`,
    ),
  },
  'scored pairs': {
    task: 'sentence-similarity',
    file: 'd.tsv',
    content: table('sentence1\tsentence2\tscore', (at) => `${text(at)}\t${text(at + 1)}\t${at % 6}`),
  },
  triplets: {
    task: 'sentence-similarity',
    file: 'd.jsonl',
    content: json((at) => ({ anchor: text(at), positive: text(at + 1), negative: text(at + 2) })),
  },
  'texts with classes for vectors': {
    task: 'sentence-similarity',
    file: 'e.tsv',
    content: table('text\tlabel', (at) => `${text(at)}\t${['b', 'a', 'c'][at % 3]}`),
  },
  passages: { task: 'fill-mask', file: 'f.txt', content: table('ann sang', text) },
  classes: {
    task: 'text-classification',
    file: 'g.tsv',
    content: table('text\tlabel', (at) => `${text(at)}\t${['no', 'yes'][at % 2]}`),
  },
  'several classes: names': {
    task: 'text-classification',
    file: 'h.jsonl',
    content: json((at) => ({
      text: text(at),
      label: at % 4 === 0 ? [] : at % 2 === 0 ? ['1'] : ['0', '1', '7'],
    })),
  },
  'several classes: indicators': {
    task: 'text-classification',
    file: 'h.tsv',
    content: table('text\tlabel', (at) => `${text(at)}\t${at % 2} ${at % 3 === 0 ? 1 : 0} 0`),
  },
  // Batches of these alone look like numbers of classes.
  'several classes: indicators in lists': {
    task: 'text-classification',
    file: 'i.jsonl',
    content: json((at) => ({ text: text(at), label: at === 0 ? [1, 1] : [at % 2, 1 - (at % 2)] })),
  },
  'a column for each class': {
    task: 'text-classification',
    file: 'i.tsv',
    content: table('text\tsad\tgay', (at) => `${text(at)}\t${at % 2}\t${at % 3 === 0 ? 1 : 0}`),
  },
};

describe.each(Object.entries(cases))('%s', (name, { task: taskName, file, content }) => {
  it('are decided from, and make the batches, as if they were in memory', async () => {
    const path = join(scratch, file);
    writeFileSync(path, content);
    const task = taskNamed(taskName);
    const options = name === 'a column for each class' ? { labelColumn: ['sad', 'gay'] } : {};
    const [whole, survey] = [await task.read(path, options), await task.survey(path, options)];
    expect(survey.about).toEqual(whole.about);
    expect(survey.examples).toHaveLength(whole.examples.length);
    // Of the examples of the first pass only few are objects of their own.
    expect(new Set(survey.examples).size).toBeLessThan(40);
    const decision = task.decide(whole, {});
    expect(task.decide(survey, {})).toEqual(decision);
    expect(task.pairs(survey.examples)).toBe(task.pairs(whole.examples));

    const vectors = taskName === 'sentence-similarity';
    const folder = vectors ? `${fixtures}sentence/model` : `${fixtures}tasks/question-answering`;
    const tokenizer = await AutoTokenizer.fromPretrained(folder);
    const config = withOverrides(await loadConfig(folder), decision.config);
    const model = vectors
      ? await SentenceTransformer.fromPretrained(folder, { device: device.current })
      : null;
    const bound = task.bind(
      tokenizer,
      config,
      { maxLength: vectors ? 12 : 24, docStride: 4 },
      model as unknown as PreTrainedModel,
    );
    const stream = await streamFiles(task, bound, {
      surveys: [survey],
      count: survey.examples.length,
      bufferSize: 1,
    });
    const features = bound.encode(whole.examples);
    expect(stream.length).toBe(features.length);
    if (task.windows === true) expect(features.length).toBeGreaterThan(whole.examples.length);
    const { collate } = bound;
    const inMemory = [];
    for await (const batch of new DataLoader(features, { batchSize: 8, collate, shuffle: false }).batches())
      inMemory.push(batch);
    // A buffer of one row draws them in their order.
    const { counted, counts } = counting(stream);
    const streamed = [];
    for await (const batch of new StreamLoader(counted, { batchSize: 8, collate } as never).batches())
      streamed.push(batch);
    expect(streamed).toEqual(inMemory);
    // The buffer, a batch, and the row that is read.
    expect(counts.most).toBeLessThanOrEqual(1 + 8 + 1);
    model?.dispose();
  });
});

/** Counts the rows that were read and not yet encoded. */
function counting(stream: StreamDataset<unknown, unknown>) {
  const counts = { held: 0, most: 0 };
  const counted: StreamDataset<unknown, unknown> = {
    ...stream,
    async *rows() {
      for await (const row of stream.rows()) {
        counts.held += 1;
        counts.most = Math.max(counts.most, counts.held);
        yield row;
      }
    },
    encode(rows) {
      counts.held -= rows.length;
      return stream.encode(rows);
    },
  };
  return { counted, counts };
}
