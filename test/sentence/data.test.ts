/** Files of texts that belong together, their metrics, and the `SentenceTransformerTrainer`. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTextSets } from '../../src/data/text-sets.ts';
import { neighborMetrics, retrievalMetrics, similarityMetrics } from '../../src/sentence/evaluation.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import { SentenceTransformerTrainer } from '../../src/sentence/trainer.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-sentence-'));
});
afterAll(() => rm(scratch, { recursive: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(scratch, name);
  await writeFile(path, content);
  return path;
}

describe('readTextSets', () => {
  it.each([
    ['texts', 'text\nx\ny\n', ['x'], null],
    ['labelled', 'text\tlabel\nx\tred\ny\tblue\n', ['x'], 0],
    ['scored', 'index\tsentence1\tsentence2\tscore\n0\tx\ty\t4.5\n1\ty\tx\t0\n', ['x', 'y'], 0.9],
    ['pairs', 'query\tpositive\nx\ty\n', ['x', 'y'], null],
    ['triplets', 'anchor\tpositive\tnegative_1\tnegative_2\nx\ty\tz\tw\n', ['x', 'y', 'z', 'w'], null],
  ])('tells %s by the columns', async (kind, content, texts, label) => {
    const found = await readTextSets(await file(`${kind}.tsv`, content));
    expect(found.kind).toBe(kind);
    expect(found.sets[0]).toMatchObject({ kind, texts, label });
  });

  it('reads lines of text, chosen columns, and no labels if asked not to', async () => {
    const plain = await readTextSets(await file('plain.txt', 'one text\n\nanother\n'));
    expect(plain.sets.map(({ texts }) => texts[0])).toEqual(['one text', 'another']);
    const path = await file('chosen.tsv', 'a\tb\tscore\nx\ty\t1\n');
    const chosen = await readTextSets(path, { textColumn: 'a', textPairColumn: 1 });
    expect(chosen).toMatchObject({ kind: 'scored', columns: ['a', 'b', 'score'], scale: 1 });
    expect((await readTextSets(path, { textColumn: 'b', readLabels: false })).kind).toBe('texts');
  });

  it('refuses what it cannot tell', async () => {
    const strange = await file('strange.tsv', 'one\ttwo\nx\ty\n');
    await expect(readTextSets(strange)).rejects.toThrow('cannot tell which column holds the text');
    await expect(readTextSets(strange, { textColumn: 'three' })).rejects.toThrow("no column 'three'");
    const words = await file('words.tsv', 'sentence1\tsentence2\tlabel\nx\ty\tentailment\n');
    await expect(readTextSets(words)).rejects.toThrow(
      "line 2: the score 'entailment' in 'label' is no number",
    );
    const large = await file('large.tsv', 'sentence1\tsentence2\tscore\nx\ty\t250\n');
    await expect(readTextSets(large)).rejects.toThrow('scores go from 250 to 250');
    const half = await file('half.tsv', 'sentence1\tscore\nx\t0.5\n');
    await expect(readTextSets(half)).rejects.toThrow(
      "there are scores ('score'), and one text ('sentence1')",
    );
  });
});

describe('metrics', () => {
  // Anchors at 0°, 90°; matches at 10°, 30°; others at 60°, 80°.
  const degrees = [0, 10, 60, 90, 30, 80];
  const values = Float32Array.from(
    degrees.flatMap((degree) => [Math.cos((degree * Math.PI) / 180), Math.sin((degree * Math.PI) / 180)]),
  );

  it('of retrieval count the ranks of matches', () => {
    const metrics = retrievalMetrics(
      values,
      [2, 3, 2],
      [
        ['a', 'p', 'n'],
        ['b', 'q', 'm'],
      ],
    );
    // The first match is first; the second comes after 80° and 60°.
    expect(metrics).toEqual({
      'cosine_recall@1': 0.5,
      'cosine_recall@5': 1,
      'cosine_recall@10': 1,
      'cosine_mrr@10': (1 + 1 / 3) / 2,
      'cosine_ndcg@10': (1 + 1 / 2) / 2,
      cosine_accuracy: 0.5,
    });
    // Of an anchor with two matches, half is found first.
    const twice = retrievalMetrics(
      values,
      [3, 2, 2],
      [
        ['a', 'p'],
        ['b', 'q'],
        ['a', 'r'],
      ],
    );
    expect(twice['cosine_recall@1']).toBeCloseTo(0.25, 12);
  });

  it('of similarity are correlations, and of classes the nearest text', () => {
    // The pairs are 10°, 30° and 50° apart.
    const metrics = similarityMetrics(values, [3, 2, 2], [0.9, 0.2, 0.5]);
    expect(metrics.spearman_cosine).toBeCloseTo(0.5, 12);
    expect(neighborMetrics(values, [6, 1, 2], [0, 0, 1, 1, 1, 1])).toEqual({ neighbor_accuracy: 5 / 6 });
  });
});

describe('SentenceTransformerTrainer', () => {
  const folder = new URL('../reference/fixtures/sentence/model', import.meta.url).pathname;
  const rows = [
    { anchor: 'a man is playing', positive: 'the man is playing the guitar' },
    { anchor: 'a dog runs', positive: 'the dog runs in the park' },
    { anchor: 'the cat sleeps', positive: 'a cat sleeps on the mat' },
    { anchor: 'a woman is eating', positive: 'the woman is eating food' },
  ];

  it('learns from rows, and saves a folder of sentence-transformers', async () => {
    const model = await SentenceTransformer.fromPretrained(folder, { device: device.current });
    const outputDir = join(scratch, 'trained');
    const trainer = new SentenceTransformerTrainer({
      model,
      trainDataset: rows,
      evalDataset: rows,
      args: {
        outputDir,
        maxSteps: 12,
        perDeviceTrainBatchSize: 4,
        learningRate: 2e-3,
        saveStrategy: 'steps',
        saveSteps: 12,
      },
    });
    const before = (await trainer.evaluate()).metrics.eval_loss!;
    await trainer.train();
    const after = (await trainer.evaluate()).metrics.eval_loss!;
    expect(after).toBeLessThan(before * 0.7);
    const vectors = await model.encode(rows.map(({ anchor }) => anchor));
    const again = await SentenceTransformer.fromPretrained(outputDir, { device: device.current });
    expect(await again.encode(rows.map(({ anchor }) => anchor))).toEqual(vectors);
    const modules = JSON.parse(await readFile(join(outputDir, 'checkpoint-12/modules.json'), 'utf8')) as [];
    expect(modules.length).toBe(3);
    again.dispose();
    model.dispose();
  });

  it('refuses rows that no loss takes', async () => {
    const model = await SentenceTransformer.fromPretrained(folder, { device: device.current });
    const trainerOf = (trainDataset: Record<string, string | number>[]) => () =>
      new SentenceTransformerTrainer({ model, trainDataset, args: { outputDir: scratch } });
    expect(trainerOf([{ text: 'a' }])).toThrow('single texts say nothing about each other');
    expect(trainerOf([{ label: 1 }])).toThrow('row 0 has no text');
    expect(trainerOf([{ text: 'a', label: 'red' }])).toThrow("the label 'red' is no number");
    model.dispose();
  });
});
