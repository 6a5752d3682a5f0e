/** Losses of embeddings and their gradients beside sentence-transformers' own, and trainings by them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { dataCollatorWithPadding } from '../../src/data/collate.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import type { SentenceLoss, SentenceLossInputs } from '../../src/sentence/losses/loss.ts';
import { MatryoshkaLoss } from '../../src/sentence/losses/matryoshka.ts';
import {
  CachedMultipleNegativesRankingLoss,
  MultipleNegativesRankingLoss,
} from '../../src/sentence/losses/ranking.ts';
import { CoSENTLoss, CosineSimilarityLoss } from '../../src/sentence/losses/scored-pairs.ts';
import { BatchAllTripletLoss, TripletLoss } from '../../src/sentence/losses/triplets.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import type { Device } from '../../src/tensor/device.ts';
import { toTensors } from '../../src/train/inputs.ts';
import { useDevice } from '../support/device.ts';

const fixtures = new URL('../reference/fixtures/sentence/', import.meta.url).pathname;

interface Case {
  shape: [number, number, number];
  embeddings: number[];
  labels: number[] | null;
  loss: number;
  gradient: number[];
}

const expected = JSON.parse(await readFile(join(fixtures, 'expected.json'), 'utf8')) as {
  texts: string[];
  losses: Record<string, Case>;
  trainings: Record<string, { columns: number; labels: number[] | null; losses: number[] }>;
};
const opened = useDevice();
let device: Device;
let model: SentenceTransformer;

beforeAll(async () => {
  device = opened.current;
  model = await SentenceTransformer.fromPretrained(join(fixtures, 'model'), { device });
});

const losses: Record<string, (model: SentenceTransformer) => SentenceLoss> = {
  CosineSimilarityLoss: (m) => new CosineSimilarityLoss(m),
  CoSENTLoss: (m) => new CoSENTLoss(m),
  'CoSENTLoss scale 5': (m) => new CoSENTLoss(m, { scale: 5 }),
  'MultipleNegativesRankingLoss pairs': (m) => new MultipleNegativesRankingLoss(m),
  'MultipleNegativesRankingLoss two negatives': (m) => new CachedMultipleNegativesRankingLoss(m),
  'MultipleNegativesRankingLoss dot': (m) =>
    new MultipleNegativesRankingLoss(m, { scale: 2, similarityFct: 'dotScore' }),
  'TripletLoss euclidean': (m) => new TripletLoss(m, { tripletMargin: 1 }),
  'TripletLoss cosine': (m) => new TripletLoss(m, { distanceMetric: 'cosine', tripletMargin: 0.3 }),
  'TripletLoss manhattan': (m) => new TripletLoss(m, { distanceMetric: 'manhattan', tripletMargin: 2 }),
  BatchAllTripletLoss: (m) => new BatchAllTripletLoss(m, { margin: 1 }),
  'MatryoshkaLoss ranking': (m) => matryoshka(m, new MultipleNegativesRankingLoss(m), [9, 4], [1, 0.5]),
  'MatryoshkaLoss cosent': (m) => matryoshka(m, new CoSENTLoss(m), [9, 4], [1, 0.5]),
};

function matryoshka(m: SentenceTransformer, loss: SentenceLoss, dims: number[], weights: number[]) {
  return new MatryoshkaLoss(m, loss, { matryoshkaDims: dims, matryoshkaWeights: weights });
}

describe('losses', () => {
  it.each(Object.keys(expected.losses))('%s, and its gradient', async (name) => {
    const { shape, embeddings, labels, loss, gradient } = expected.losses[name]!;
    using _scope = device.scope();
    const x = device.tensor(embeddings, shape);
    x.requiresGrad = true;
    const classes = name === 'BatchAllTripletLoss';
    const y = labels && device.tensor(classes ? Int32Array.from(labels) : Float32Array.from(labels));
    const value = losses[name]!(model).computeLossFromEmbeddings(x, y ?? undefined);
    value.backward();
    expect(await value.item()).toBeCloseTo(loss, 5);
    const actual = await x.grad!.float32Data();
    const scale = Math.max(...gradient.map(Math.abs));
    const worst = Math.max(...gradient.map((one, at) => Math.abs(one - actual[at]!)));
    expect(worst / scale).toBeLessThan(2e-5);
  });

  it('refuse data that do not fit, and options that are not there', () => {
    const x = device.zeros([2, 3, 4]);
    expect(() => new CoSENTLoss(model).computeLossFromEmbeddings(x)).toThrow(
      'CoSENTLoss takes 2 columns of texts and a score; there are 3, with no labels',
    );
    const mistaken = { miniBatchSize: 4 } as object;
    expect(() => new MultipleNegativesRankingLoss(model, mistaken)).toThrow(
      'CachedMultipleNegativesRankingLoss has it',
    );
    expect(() => matryoshka(model, new CoSENTLoss(model), [25], [1])).toThrow('from 1 to the model');
    x.dispose();
  });
});

/** A batch [examples, columns, length] of texts by number. */
function batchOf(rows: number[][], labels: number[] | null): SentenceLossInputs {
  const pad = dataCollatorWithPadding({ padTokenId: 0 });
  const texts = rows.flat().map((at) => {
    const { inputIds, tokenTypeIds } = model.tokenize(expected.texts[at]!);
    return { inputIds, tokenTypeIds };
  });
  const batch = pad(texts, [...texts.keys()]);
  const inputs = toTensors(device, {
    ...batch,
    shape: [rows.length, rows[0]!.length, batch.shape[1]],
    ...(labels && { labels: Float32Array.from(labels), shapes: { labels: [labels.length] } }),
  });
  return inputs as unknown as SentenceLossInputs;
}

describe('trainings', () => {
  it.each(Object.keys(expected.trainings))('by %s follow the curve of PyTorch', async (name) => {
    const { columns, labels, losses: curve } = expected.trainings[name]!;
    const trained = await SentenceTransformer.fromPretrained(join(fixtures, 'model'), { device });
    trained.train();
    const loss =
      name === 'MatryoshkaLoss'
        ? matryoshka(trained, new MultipleNegativesRankingLoss(trained), [24, 8], [1, 2])
        : (losses[name] ?? losses['MultipleNegativesRankingLoss pairs'])!(trained);
    const optimizer = new AdamW(trained.parameters(), { lr: 1e-3, weightDecay: 0 });
    const found: number[] = [];
    for (const step of curve.keys()) {
      using _scope = device.scope();
      const rows = [0, 1, 2].map((example) =>
        Array.from({ length: columns }, (_, column) => ((step % 2) + example + 2 * column) % 6),
      );
      const { loss: value } = loss.forward(batchOf(rows, labels));
      value.backward();
      found.push(await value.item());
      optimizer.step();
      optimizer.zeroGrad();
    }
    for (const [step, value] of curve.entries())
      expect(Math.abs(found[step]! - value) / Math.max(value, 0.1), `step ${step}`).toBeLessThan(1e-3);
    optimizer.dispose();
    trained.dispose();
  });

  it.each([1, 2, 4, 100])(
    'the cached loss, %i texts at once, has the gradients of the other',
    async (size) => {
      const rows = [
        [0, 1, 2],
        [3, 4, 5],
        [6, 2, 0],
      ];
      const gradients = async (loss: SentenceLoss): Promise<[number, Float32Array[]]> => {
        model.train();
        using _scope = device.scope();
        const { loss: value } = loss.forward(batchOf(rows, null));
        value.backward();
        const grads = model.parameters().map(({ grad }) => grad?.float32Data() ?? new Float32Array());
        const result = [await value.item(), await Promise.all(grads)] as [number, Float32Array[]];
        model.zeroGrad();
        return result;
      };
      const [plain, cached] = [
        await gradients(new MultipleNegativesRankingLoss(model)),
        await gradients(new CachedMultipleNegativesRankingLoss(model, { miniBatchSize: size })),
      ];
      expect(cached[0]).toBeCloseTo(plain[0], 6);
      expect(cached[1].filter(({ length }) => length > 0).length).toBeGreaterThan(20);
      for (const [at, gradient] of plain[1].entries()) {
        expect(cached[1][at]!.length).toBe(gradient.length);
        const scale = Math.max(1e-4, ...gradient.map(Math.abs));
        const worst = Math.max(0, ...gradient.map((one, i) => Math.abs(one - cached[1][at]![i]!)));
        expect(worst / scale, model.namedParameters()[at]![0]).toBeLessThan(1e-4);
      }
    },
  );

  it('the cached loss repeats the dropout of the first time', async () => {
    const dropped = await SentenceTransformer.fromPretrained(join(fixtures, 'model'), {
      device,
      hiddenDropoutProb: 0.3,
    });
    dropped.train();
    const run = async (): Promise<Float32Array> => {
      device.manualSeed(5);
      using _scope = device.scope();
      const loss = new CachedMultipleNegativesRankingLoss(dropped, { miniBatchSize: 2 });
      const { loss: value } = loss.forward(
        batchOf(
          [
            [0, 1],
            [2, 3],
          ],
          null,
        ),
      );
      value.backward();
      const before = await value.item();
      const { grad } = dropped.transformer.wordEmbeddings.weight;
      const gradient = await grad!.float32Data();
      dropped.zeroGrad();
      return Float32Array.of(before, ...gradient);
    };
    const first = await run();
    expect(await run()).toEqual(first);
    // Along the gradient, the loss of the same masks has the gradient's slope.
    const { weight } = dropped.transformer.wordEmbeddings;
    const norm = Math.hypot(...first.subarray(1));
    const values = await weight.float32Data();
    const lossAt = async (step: number): Promise<number> => {
      weight.write(values.map((value, at) => value + (step * first[at + 1]!) / norm));
      return (await run())[0]!;
    };
    const slope = ((await lossAt(0.002)) - (await lossAt(-0.002))) / 0.004;
    expect(slope / norm).toBeCloseTo(1, 2);
    dropped.dispose();
  });
});
