/** Adapters of models of vectors beside sentence-transformers', from test/reference/fixtures/sentence/adapter. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { LoraConfig } from '../../src/models/peft/config.ts';
import { PeftModel } from '../../src/models/peft/peft-model.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { sentenceCollator } from '../../src/sentence/collate.ts';
import type { SentenceLossInputs } from '../../src/sentence/losses/loss.ts';
import { MultipleNegativesRankingLoss } from '../../src/sentence/losses/ranking.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import { SetFitModel, SetFitTrainer } from '../../src/sentence/setfit.ts';
import { SentenceTransformerTrainer, sentenceDataset } from '../../src/sentence/trainer.ts';
import { toTensors } from '../../src/train/inputs.ts';
import { useDevice } from '../support/device.ts';
import { fixtures, readTensors } from '../support/fixtures.ts';

const [theirs, plain] = ['adapter', 'model'].map((name) => join(fixtures, 'sentence', name)) as [
  string,
  string,
];
const { texts, adapter: expected } = JSON.parse(
  await readFile(join(fixtures, 'sentence/expected.json'), 'utf8'),
) as { texts: string[]; adapter: { vectors: number[][]; losses: number[] } };
const device = useDevice();
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-vectors-'));
});
afterAll(() => rm(scratch, { recursive: true }));

const load = (folder: string) => SentenceTransformer.fromPretrained(folder, { device: device.current });

/** The largest difference of a number in two lists of vectors. */
const difference = (a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number =>
  Math.max(...a.flatMap((row, at) => Array.from(row, (value, i) => Math.abs(value - b[at]![i]!))));

it('gives the vectors of a folder that Python saved, and learns as there', async () => {
  const { current } = device;
  const { live } = current.statistics();
  const model = await load(theirs);
  expect(difference(await model.encode(texts), expected.vectors)).toBeLessThan(1e-5);
  model.train();
  model.adapters!.train();
  const learning = model.parameters().filter(({ requiresGrad }) => requiresGrad);
  expect(learning.length).toBe(8);
  const optimizer = new AdamW(learning, { lr: 1e-2, weightDecay: 0 });
  const loss = new MultipleNegativesRankingLoss(model);
  const collate = sentenceCollator({ padTokenId: model.tokenizer!.padTokenId, paddingSide: 'right' });
  for (const [step, wanted] of expected.losses.entries()) {
    const scope = current.scope();
    const rows = [0, 1, 2].map((example) =>
      Object.fromEntries(
        [0, 1, 2].map((column) => [`${column}`, texts[((step % 2) + example + 2 * column) % 6]!]),
      ),
    );
    const dataset = sentenceDataset(model, rows);
    const batch = collate(
      [0, 1, 2].map((at) => dataset.get(at)),
      [0, 1, 2],
    );
    const { matchLabels: _, ...inputs } = toTensors(current, batch) as Record<string, unknown>;
    const { loss: value } = loss.forward(inputs as unknown as SentenceLossInputs);
    value.backward();
    optimizer.step();
    optimizer.zeroGrad();
    expect(Math.abs((await value.item()) / wanted - 1), `step ${step}`).toBeLessThan(1e-3);
    scope.close();
  }
  optimizer.dispose();
  model.dispose();
  await current.sync();
  expect(current.statistics().live).toBe(live);
});

it('is saved as Python saves it, read again, and merged', async () => {
  const model = await load(plain);
  const before = await model.encode(texts);
  await model.addAdapter(new LoraConfig({ r: 4, targetModules: ['query', 'value'] }));
  await expect(model.addAdapter(new LoraConfig())).rejects.toThrow(ConfigError);
  expect(difference(await model.encode(texts), before)).toBe(0);
  device.current.manualSeed(4);
  for (const tensor of model.parameters())
    if (tensor.requiresGrad) device.current.fillNormal(tensor, { std: 0.2 });
  const vectors = await model.encode(texts);
  expect(difference(vectors, before)).toBeGreaterThan(1e-2);
  const folder = join(scratch, 'saved');
  await model.savePretrained(folder);
  const files = await readdir(folder, { recursive: true });
  const wanted = await readdir(theirs, { recursive: true });
  expect(wanted.filter((name) => !files.includes(name))).toEqual([]);
  // Python would look for the whole model beside a config.
  for (const name of ['model.safetensors', 'config.json']) expect(files).not.toContain(name);
  const sizes = async (path: string) =>
    [...(await readTensors(join(path, 'adapter_model.safetensors')))].map(
      ([name, { length }]) => `${name} ${length}`,
    );
  expect((await sizes(folder)).sort()).toEqual((await sizes(theirs)).sort());
  const settings = JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8')) as object;
  expect(settings).toMatchObject({ base_model_name_or_path: plain, r: 4, peft_type: 'LORA' });
  const again = await load(folder);
  expect(difference(await again.encode(texts), vectors)).toBe(0);
  new PeftModel(again.transformer).mergeAndUnload();
  expect(again.adapters).toBeNull();
  expect(difference(await again.encode(texts), vectors)).toBeLessThan(1e-5);
  await again.savePretrained(join(scratch, 'merged'));
  const merged = await load(join(scratch, 'merged'));
  expect(difference(await merged.encode(texts), vectors)).toBeLessThan(1e-5);
  for (const one of [model, again, merged]) one.dispose();
});

it('trains over a base of float16, and of a few-shot classifier', async () => {
  const { current } = device;
  const halves = current.gpu.float16 ? ({ baseDtype: 'float16' } as const) : {};
  const rows = texts.slice(0, 6).map((text, at) => ({ text, label: at % 2 }));
  const model = await load(plain);
  await model.addAdapter(new LoraConfig({ targetModules: 'all-linear' }));
  const trained = join(scratch, 'trained');
  const common = { numTrainEpochs: 2, learningRate: 1e-2, saveStrategy: 'no', ...halves } as const;
  await new SentenceTransformerTrainer({
    model,
    trainDataset: rows.map(({ text }) => ({ anchor: text, positive: `the ${text}` })),
    args: { ...common, outputDir: trained },
  }).train();
  const vectors = await model.encode(texts);
  const again = await load(trained);
  expect(difference(await again.encode(texts), vectors)).toBeLessThan(5e-3);

  const few = await SetFitModel.fromPretrained(plain, { device: current, id2label: { 0: 'a', 1: 'b' } });
  await few.body.addAdapter(new LoraConfig({ targetModules: ['query', 'value'] }));
  const outputDir = join(scratch, 'few');
  await new SetFitTrainer({ model: few, trainDataset: rows, args: { ...common, outputDir } }).train();
  expect(await readdir(outputDir)).toContain('adapter_model.safetensors');
  const read = await SetFitModel.fromPretrained(outputDir, { device: current });
  expect(read.adapters).not.toBeNull();
  expect(read.config.id2label).toEqual({ 0: 'a', 1: 'b' });
  const [found, wanted] = [await read.predictProba(texts), await few.predictProba(texts)];
  expect(difference(found, wanted)).toBeLessThan(1e-2);
  expect(await read.predict(rows.map(({ text }) => text))).toEqual(
    await few.predict(rows.map(({ text }) => text)),
  );
  for (const one of [model, again, few, read]) one.dispose();
});
