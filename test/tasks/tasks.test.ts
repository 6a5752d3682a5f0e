/** Tasks from their files to their predictions, against transformers (test/reference/task_fixtures.py). */
import { describe, expect, it } from 'vitest';
import { DataLoader } from '../../src/data/loader.ts';
import { loadConfig } from '../../src/models/files/load.ts';
import { readFor, taskNamed, taskOfFile, taskOfModel } from '../../src/tasks/registry.ts';
import type { EncodingOptions, Features } from '../../src/tasks/task.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import type { TrainableModel } from '../../src/train/predict.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { fixtures, readJson } from '../support/fixtures.ts';
import { useFolders } from '../support/trainer.ts';

const device = useDevice();
const freshFolder = useFolders();
const folder = (name: string): string => `${fixtures}tasks/${name}`;
const files = {
  'token-classification': 'data.conll',
  'question-answering': 'data.json',
  'multiple-choice': 'data.csv',
  'fill-mask': 'data.txt',
};
type Name = keyof typeof files;

async function bound(name: Name, options: Partial<EncodingOptions> = {}) {
  const task = taskNamed(name);
  const tokenizer = await AutoTokenizer.fromPretrained(folder(name));
  const model = (await task.auto.fromPretrained(folder(name), {
    device: device.current,
    onReport: () => {},
  })) as TrainableModel;
  const file = await task.read(`${folder(name)}/${files[name]}`, {});
  const ready = task.bind(tokenizer, model.config, { maxLength: 48, ...options }, model);
  return { task, model, file, ready };
}

/** A trainer that takes all features in each step. */
async function trainerOf(name: Name, options: Partial<EncodingOptions> = {}) {
  const all = await bound(name, options);
  const features = all.ready.encode(all.file.examples);
  const { computeMetrics } = all.ready;
  const trainer = new Trainer({
    model: all.model,
    dataCollator: all.ready.collate,
    ...(computeMetrics && { computeMetrics }),
    trainDataset: features,
    args: {
      outputDir: freshFolder(),
      perDeviceTrainBatchSize: features.length,
      learningRate: 5e-3,
      lrSchedulerType: 'constant',
      maxSteps: 8,
      loggingSteps: 1,
      saveStrategy: 'no',
    },
  });
  return { ...all, features, trainer };
}

describe.each(Object.keys(files) as Name[])('%s', (name) => {
  it('is told from the data and from the model', async () => {
    const path = `${folder(name)}/${files[name]}`;
    expect((await taskOfFile(path, {})).task.name).toBe(name);
    expect(taskOfModel('', await loadConfig(folder(name))).name).toBe(name);
  });

  it.skipIf(name === 'fill-mask')('trains with the losses of PyTorch', async () => {
    const { losses } = await readJson<{ losses: number[] }>(`${folder(name)}/expected.json`);
    const windows = name === 'question-answering' ? { maxLength: 32, docStride: 6 } : {};
    const { trainer } = await trainerOf(name, windows);
    await trainer.train();
    const ours = trainer.state.logHistory.flatMap(({ loss }) => loss ?? []);
    expect(ours.length).toBe(8);
    for (const [at, loss] of losses.entries())
      expect(Math.abs(ours[at]! / loss - 1), `step ${at}`).toBeLessThan(1e-3);
  });
});

it('names the task that a wrong file looks like', async () => {
  const data = (name: Name): string => `${folder(name)}/${files[name]}`;
  const sentiment = new URL('../../examples/sentiment/train.tsv', import.meta.url).pathname;
  const expected: [task: string, file: string, message: RegExp][] = [
    ['text-classification', data('token-classification'), /looks like token-classification \(.* words\)/],
    ['text-classification', data('question-answering'), /looks like question-answering \(.*'paragraphs'/],
    ['token-classification', data('multiple-choice'), /looks like multiple-choice \(.*'ending0'/],
    ['question-answering', sentiment, /looks like text-classification \(.*'sentence'/],
    ['multiple-choice', data('fill-mask'), /looks like fill-mask \(it is plain text\)/],
  ];
  for (const [task, path, message] of expected) {
    const reading = readFor(taskNamed(task), path, {});
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow(/· pass --task [a-z-]+, or another file$/);
  }
  // A file of texts with labels is text for masks too, and chosen columns make texts of any file.
  expect((await readFor(taskNamed('fill-mask'), sentiment, {})).examples.length).toBe(460);
  const choices = { textColumn: 'sent1', labelColumn: 'label' };
  const chosen = await readFor(taskNamed('text-classification'), data('multiple-choice'), choices);
  expect(chosen.examples.length).toBe(9);
  await expect(readFor(taskNamed('question-answering'), data('question-answering'), choices)).rejects.toThrow(
    /--text-column says nothing about files of question-answering/,
  );
  expect(() => taskNamed('translation')).toThrow(/use question-answering, /);
});

describe('token classification', () => {
  interface Expected {
    texts: string[];
    predictions: Record<string, { type: string; score: number; start: number; end: number }[][]>;
    input_ids: number[][];
    labels: number[][];
  }
  const read = (): Promise<Expected> => readJson(`${folder('token-classification')}/expected.json`);

  it('encodes words as transformers, with a label for the first token of each', async () => {
    const { input_ids, labels } = await read();
    const { features } = await trainerOf('token-classification');
    for (const [row, ids] of input_ids.entries()) {
      const { inputIds, label } = features.get(row) as { inputIds: number[]; label: number[] };
      const length = inputIds.length;
      expect(inputIds).toEqual(ids.slice(0, length));
      expect(label).toEqual(labels[row]!.slice(0, length));
      expect(ids.slice(length).every((id) => id === 0)).toBe(true);
    }
  });

  it.each(['none', 'simple', 'first', 'average', 'max'] as const)(
    'groups entities by %s',
    async (aggregation) => {
      const { texts, predictions } = await read();
      const { task, ready, trainer } = { ...(await trainerOf('token-classification', { aggregation })) };
      const features = ready.encode(texts.map((text) => task.example({ text })));
      const { prediction } = await trainer.predict(features);
      const rows = ready.predictions(prediction, features);
      for (const [at, { json }] of rows.entries()) {
        const entities = json.entities as {
          entity?: string;
          entity_group?: string;
          score: number;
          word: string;
          start: number;
          end: number;
        }[];
        const expected = predictions[aggregation]![at]!;
        const place = ({ start, end }: { start: number; end: number }): number[] => [start, end];
        expect(
          entities.map((one) => [one.entity ?? one.entity_group, ...place(one)]),
          texts[at],
        ).toEqual(expected.map((one) => [one.type, ...place(one)]));
        for (const [i, { score, word, start, end }] of entities.entries()) {
          expect(score).toBeCloseTo(expected[i]!.score, 5);
          expect(word).toBe([...texts[at]!].slice(start, end).join(''));
        }
      }
    },
  );

  it('gives every word of a long text one label, from the window that knows it best', async () => {
    const whole = await trainerOf('token-classification');
    const cut = await trainerOf('token-classification', { maxLength: 8, docStride: 2 });
    expect(cut.features.length).toBeGreaterThan(whole.features.length);
    const labels = ({ features }: { features: Features<unknown> }): number[][] => {
      const out: number[][] = features.examples.map(() => []);
      for (let row = 0; row < features.length; row += 1) {
        const { label, example } = features.get(row) as { label: number[]; example: number };
        out[example]!.push(...label.filter((one) => one !== -100));
      }
      return out;
    };
    expect(labels(cut)).toEqual(labels(whole));
    const { metrics } = await cut.trainer.evaluate(cut.features);
    expect(metrics.eval_f1).toBeGreaterThanOrEqual(0);
    expect(metrics).toHaveProperty('eval_PER_number');
  });

  it('joins the words for a tokenizer whose tokens have the space before them', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${fixtures}tokenizers/roberta`);
    const { task, model, file } = await bound('token-classification');
    const { encode } = task.bind(tokenizer, model.config, { maxLength: 48 }, model);
    const features = encode(file.examples);
    for (const [row, example] of (file.examples as { text: string; words: [number, number][] }[]).entries()) {
      const { inputIds, words, first } = features.get(row) as {
        inputIds: number[];
        words: number[];
        first: boolean[];
      };
      const encoding = tokenizer.encode(example.text);
      expect(inputIds).toEqual(encoding.inputIds);
      // The first token of each word begins where the word does.
      const starts = first.flatMap((is, at) => (is ? [[words[at]!, encoding.offsets[at]![0]]] : []));
      expect(starts).toEqual(example.words.map(([start], word) => [word, start]));
    }
  });

  it('refuses a tag that training has not seen', async () => {
    const { file, ready } = await bound('token-classification');
    const [example] = file.examples as { tags: string[] }[];
    expect(() => ready.encode([{ ...example, tags: example!.tags.map(() => 'B-X') }])).toThrow(
      /line 1 has the tag 'B-X', which training has not seen/,
    );
  });
});

describe('question answering', () => {
  interface Ranked {
    answer: string;
    nbest: [string, number][];
  }
  interface Expected {
    input_ids: number[][];
    starts: number[];
    ends: number[];
    samples: number[];
    rankings: Record<'v1' | 'v2', Ranked[]>;
  }
  const windows = { maxLength: 32, docStride: 6 };
  const read = (): Promise<Expected> => readJson(`${folder('question-answering')}/expected.json`);

  it('encodes windows as transformers, with the tokens of the answer', async () => {
    const { input_ids, starts, ends, samples } = await read();
    const { features } = await trainerOf('question-answering', windows);
    expect(features.length).toBe(input_ids.length);
    for (const [row, ids] of input_ids.entries())
      expect(features.get(row)).toMatchObject({
        inputIds: ids,
        startPositions: starts[row],
        endPositions: ends[row],
        example: samples[row],
      });
  });

  it.each(['v1', 'v2'] as const)('ranks answers as run_qa, %s', async (version) => {
    const { rankings } = await read();
    const { file, ready, trainer } = await trainerOf('question-answering', { ...windows, nBest: 20 });
    // Questions without answers are what allows none.
    const examples = (file.examples as object[]).map((one) =>
      version === 'v2' ? one : { ...one, answers: null },
    );
    const features = ready.encode(examples);
    const { prediction } = await trainer.predict(features);
    for (const [at, { json }] of ready.predictions(prediction, features).entries()) {
      const { answer, nbest } = rankings[version][at]!;
      const ours = json.nbest as { answer: string; probability: number }[];
      expect(json.answer).toBe(answer);
      const sorted = [...ours].sort((a, b) => b.probability - a.probability);
      for (const [rank, [text, probability]] of nbest.entries()) {
        expect(sorted[rank]!.probability).toBeCloseTo(probability, 5);
        expect(sorted[rank]!.answer).toBe(text);
      }
    }
  });

  it('scores answers, and questions without one apart', async () => {
    const { features, trainer } = await trainerOf('question-answering', windows);
    const { metrics } = await trainer.evaluate(features);
    expect(metrics.eval_HasAns_total! + metrics.eval_NoAns_total!).toBe(features.examples.length);
    expect(metrics.eval_f1).toBeLessThanOrEqual(100);
    expect(metrics.eval_loss).toBeGreaterThan(0);
  });

  it('refuses a question that leaves no room', async () => {
    const { file, ready } = await bound('question-answering', { maxLength: 8 });
    expect(() => ready.encode(file.examples)).toThrow(/the question leaves no room for its text in 8 tokens/);
  });
});

it.each(['token-classification', 'multiple-choice', 'fill-mask'] as const)(
  '%s refuses longer texts without truncation',
  async (name) => {
    const { file, ready } = await bound(name, { maxLength: 6, truncation: false });
    expect(() => ready.encode(file.examples)).toThrow(
      /line \d+ has .* tokens, the model takes 6 · switch truncation on/,
    );
  },
);

describe('multiple choice', () => {
  it('goes by the lengths of all choices', async () => {
    const { features, ready } = await trainerOf('multiple-choice');
    const loader = new DataLoader(features, {
      batchSize: 2,
      groupByLength: true,
      seed: 1,
      collate: ready.collate,
    });
    expect([...loader.order(0)].sort((a, b) => a - b)).toEqual([...Array(features.length).keys()]);
  });

  it('gives the scores of transformers', async () => {
    const { scores } = await readJson<{ scores: number[][] }>(`${folder('multiple-choice')}/expected.json`);
    const { ready, trainer, features } = await trainerOf('multiple-choice');
    const { prediction, metrics } = await trainer.predict(features);
    expect(metrics.test_accuracy).toBeGreaterThanOrEqual(0);
    for (const [at, { json }] of ready.predictions(prediction, features).entries())
      for (const [i, score] of scores[at]!.entries())
        expect((json.scores as number[])[i]).toBeCloseTo(score, 5);
  });
});

describe('fill-mask', () => {
  interface Fill {
    score: number;
    token: number;
    token_str: string;
    sequence: string;
  }

  it("gives the words of transformers' pipeline", async () => {
    const { texts, fills } = await readJson<{ texts: string[]; fills: (Fill[] | Fill[][])[] }>(
      `${folder('fill-mask')}/expected.json`,
    );
    const { task, ready, trainer } = await trainerOf('fill-mask', { topK: 3 });
    const features = ready.encode(texts.map((text) => task.example({ text })));
    const { prediction } = await trainer.predict(features);
    for (const [at, { json }] of ready.predictions(prediction, features).entries()) {
      const [ours, theirs] = [(json.fills as Fill[]).flat(), fills[at]!.flat()];
      expect(ours.map(({ token, token_str }) => [token, token_str])).toEqual(
        theirs.map(({ token, token_str }) => [token, token_str]),
      );
      for (const [i, { score, sequence }] of ours.entries()) {
        expect(score).toBeCloseTo(theirs[i]!.score, 5);
        // With several masks, the pipeline shows the special tokens too.
        if (!Array.isArray(fills[at]![0])) expect(sequence).toBe(theirs[i]!.sequence);
      }
    }
  });

  it('reports the perplexity, of whole words too', async () => {
    for (const wholeWordMask of [false, true]) {
      const { trainer, features } = await trainerOf('fill-mask', { wholeWordMask });
      const { metrics } = await trainer.evaluate(features);
      expect(metrics.eval_perplexity).toBeCloseTo(Math.exp(metrics.eval_loss!), 10);
      // The same masks each time.
      expect((await trainer.evaluate(features)).metrics.eval_loss).toBe(metrics.eval_loss);
    }
  });

  it('refuses a text without a mask', async () => {
    const { task, ready } = await bound('fill-mask');
    expect(() => ready.encode([task.example({ text: 'Ann sings' })])).toThrow(
      /no mask: 'Ann sings' · write \[MASK\]/,
    );
  });
});
