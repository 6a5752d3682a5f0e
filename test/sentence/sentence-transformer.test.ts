/** Vectors, folders and cross-encoders beside sentence-transformers' own, from test/reference/fixtures/sentence/. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CrossEncoder } from '../../src/sentence/cross-encoder.ts';
import type { PoolingMode } from '../../src/sentence/pooling.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import type { SimilarityFunction } from '../../src/sentence/similarity.ts';
import type { Device } from '../../src/tensor/device.ts';
import { useDevice } from '../support/device.ts';

const fixtures = new URL('../reference/fixtures/sentence/', import.meta.url).pathname;
const folder = join(fixtures, 'model');

interface Expected {
  texts: string[];
  vectors: Record<string, number[][]>;
  normalized: number[][];
  prompted: Record<'included' | 'excluded', number[][]>;
  similarity: Record<SimilarityFunction, number[][]>;
  crossEncoder: {
    pairs: [string, string][];
    scores: number[];
    ranks: { corpusId: number; score: number }[];
  };
}

const expected = JSON.parse(await readFile(join(fixtures, 'expected.json'), 'utf8')) as Expected;
const opened = useDevice();
let device: Device;
let work: string;

beforeAll(async () => {
  device = opened.current;
  work = await mkdtemp(join(tmpdir(), 'sentence-'));
});
afterAll(async () => {
  await rm(work, { recursive: true });
});

function expectRows(actual: readonly Float32Array[], rows: readonly (readonly number[])[]): void {
  expect(actual.length).toBe(rows.length);
  for (const [at, row] of rows.entries()) {
    expect(actual[at]!.length).toBe(row.length);
    const worst = Math.max(...row.map((value, i) => Math.abs(value - actual[at]![i]!)));
    expect(worst, `row ${at}`).toBeLessThan(1e-5 * Math.max(1, ...row.map(Math.abs)));
  }
}

async function edited(name: string, file: string, change: (json: Record<string, unknown>) => unknown) {
  const target = join(work, name);
  await cp(folder, target, { recursive: true });
  const path = join(target, file);
  const json = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  await writeFile(path, JSON.stringify(change(json)));
  return target;
}

it('gives back its memory, with what it kept for texts of a length', async () => {
  const { live } = device.statistics();
  const poolingMode: PoolingMode[] = ['weightedmean', 'mean'];
  const model = await SentenceTransformer.fromPretrained(folder, { device, poolingMode });
  for (let times = 0; times < 3; times += 1) await model.encode(expected.texts[0]!);
  model.dispose();
  expect(device.statistics().live).toBe(live);
});

describe('encode', () => {
  it.each(Object.keys(expected.vectors))('gives the vectors of %s pooling', async (modes) => {
    const poolingMode = modes.split('+') as PoolingMode[];
    const model = await SentenceTransformer.fromPretrained(folder, {
      device,
      poolingMode,
      normalize: false,
      maxSeqLength: 12,
    });
    // Batches of two, so that texts of unlike lengths are in several.
    expectRows(await model.encode(expected.texts, { batchSize: 2 }), expected.vectors[modes]!);
    expect(model.embeddingDimension).toBe(24 * poolingMode.length);
    model.dispose();
  });

  it('reads a saved folder, its length limit and its prompts', async () => {
    const model = await SentenceTransformer.fromPretrained(folder, { device });
    expect(model.maxSeqLength).toBe(12);
    expect(model.settings.prompts).toEqual({ document: '', passage: 'passage : ', query: 'query : ' });
    expectRows(await model.encode(expected.texts), expected.normalized);
    expectRows([await model.encode(expected.texts[1]!)], [expected.normalized[1]!]);
    expect(await model.encode([])).toEqual([]);
    const [cut] = await model.encode(expected.texts.slice(0, 1), {
      truncateDim: 5,
      normalizeEmbeddings: true,
    });
    expect(cut!.length).toBe(5);
    expect(Math.hypot(...cut!)).toBeCloseTo(1, 6);
    await expect(model.encode(['a'], { promptName: 'question' })).rejects.toThrow(
      "there is no prompt 'question' · use document, passage, query",
    );
    await expect(model.encode([7 as unknown as string])).rejects.toThrow('text 0 is a number');
    model.dispose();
  });

  it.each(['included', 'excluded'] as const)('prompts: their tokens %s', async (what) => {
    const model = await SentenceTransformer.fromPretrained(folder, {
      device,
      poolingMode: ['weightedmean'],
      includePrompt: what === 'included',
    });
    expectRows(await model.encode(expected.texts, { promptName: 'query' }), expected.prompted[what]);
    expectRows(await model.encodeQuery(expected.texts), expected.prompted[what]);
    model.dispose();
  });

  it.each(Object.keys(expected.similarity) as SimilarityFunction[])('compares by %s', async (name) => {
    const model = await SentenceTransformer.fromPretrained(folder, { device, similarityFnName: name });
    const vectors = await model.encode(expected.texts.slice(0, 4));
    const [a, b] = [vectors.slice(0, 2), vectors.slice(2)];
    expectRows(model.similarity(a, b), expected.similarity[name]);
    const diagonal = expected.similarity[name].map((row, at) => row[at]!);
    expectRows([model.similarityPairwise(a, b)], [diagonal]);
    model.dispose();
  });
});

describe('folders', () => {
  it('saves what it loads again', async () => {
    const model = await SentenceTransformer.fromPretrained(folder, { device });
    const saved = join(work, 'saved');
    await model.savePretrained(saved);
    model.dispose();
    const again = await SentenceTransformer.fromPretrained(saved, { device });
    expect(again.settings).toEqual({ ...model.settings, maxSeqLength: 12 });
    expectRows(await again.encode(expected.texts), expected.normalized);
    again.dispose();
    const pooling = JSON.parse(await readFile(join(saved, '1_Pooling/config.json'), 'utf8')) as unknown;
    expect(pooling).toEqual({
      word_embedding_dimension: 24,
      pooling_mode_cls_token: false,
      pooling_mode_max_tokens: false,
      pooling_mode_mean_tokens: true,
      pooling_mode_mean_sqrt_len_tokens: false,
      pooling_mode_weightedmean_tokens: false,
      pooling_mode_lasttoken: false,
      include_prompt: true,
    });
    const modules = JSON.parse(await readFile(join(saved, 'modules.json'), 'utf8')) as { type: string }[];
    expect(modules.map(({ type }) => type)).toEqual(
      ['Transformer', 'Pooling', 'Normalize'].map((name) => `sentence_transformers.models.${name}`),
    );
  });

  it('gives a folder of transformers mean pooling', async () => {
    const target = await edited('plain', 'modules.json', (json) => json);
    await rm(join(target, 'modules.json'));
    const model = await SentenceTransformer.fromPretrained(target, { device });
    expectRows(await model.encode(expected.texts), expected.vectors.mean!);
    model.dispose();
  });

  it('refuses what is not built, by name', async () => {
    const modules = await edited('dense', 'modules.json', (json) => [
      ...(json as unknown as object[]).slice(0, 2),
      { idx: 2, name: '2', path: '2_Dense', type: 'sentence_transformers.models.Dense' },
    ]);
    await expect(SentenceTransformer.fromPretrained(modules, { device })).rejects.toThrow(
      'a Dense with the activation torch.nn.modules.activation.Tanh is not supported',
    );
    const pooling = await edited('pooling', '1_Pooling/config.json', () => ({
      word_embedding_dimension: 24,
      pooling_mode_attention: true,
    }));
    await expect(SentenceTransformer.fromPretrained(pooling, { device })).rejects.toThrow(
      "'pooling_mode_attention' is not supported",
    );
    const similarity = await edited('similarity', 'config_sentence_transformers.json', () => ({
      similarity_fn_name: 'hamming',
    }));
    await expect(SentenceTransformer.fromPretrained(similarity, { device })).rejects.toThrow(
      "'similarity_fn_name'",
    );
  });
});

describe('CrossEncoder', () => {
  it('scores and ranks as Python does', async () => {
    const model = await CrossEncoder.fromPretrained(join(fixtures, 'cross-encoder'), { device });
    const { pairs, scores, ranks } = expected.crossEncoder;
    expectRows([await model.predict(pairs, { batchSize: 3 })], [scores]);
    const documents = pairs.map(([, text]) => text);
    const found = await model.rank(pairs[0]![0], documents, { topK: 3, returnDocuments: true });
    expect(found.map(({ corpusId }) => corpusId)).toEqual(ranks.map(({ corpusId }) => corpusId));
    expectRows([Float32Array.from(found, ({ score }) => score)], [ranks.map(({ score }) => score)]);
    expect(found[0]!.text).toBe(documents[found[0]!.corpusId]);
    model.dispose();
  });
});
