/** Old names, prefixes, shards, 16-bit weights, and reports of what did not fit. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForMultipleChoice,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from '../../src/models/auto.ts';
import type { LoadReport } from '../../src/models/files/load.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { useDevice } from '../support/device.ts';
import {
  type FixtureInputs,
  maxDifference,
  modelInputs,
  models,
  readJson,
  readTensors,
} from '../support/fixtures.ts';

const device = useDevice();
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

async function baseStates(folder: string): Promise<{ states: Float32Array; report: LoadReport }> {
  let report: LoadReport | undefined;
  const options = { device: device.current, onReport: (r: LoadReport) => (report = r) };
  const model = await AutoModel.fromPretrained(folder, options);
  const { inputs } = await readJson<{ inputs: FixtureInputs }>(`${models}bert-base/expected.json`);
  using scope = device.current.scope();
  const output = noGrad(() => model.forward(modelInputs(device.current, inputs)));
  const states = await output.lastHiddenState.float32Data();
  model.dispose();
  scope.close();
  return { states, report: report! };
}

describe('the same weights in other forms', () => {
  it.each(['bert-old', 'bert-old-prefixed', 'bert-sharded'])('%s', async (name) => {
    const expected = await readTensors(`${models}bert-base/expected.safetensors`);
    const { states, report } = await baseStates(models + name);
    expect(report).toMatchObject({ missing: [], unexpected: [], mismatched: [], text: '' });
    expect(maxDifference(states, expected.get('last_hidden_state')!)).toBeLessThan(1e-4);
  });

  it('bf16 as torch widens it', async () => {
    const expected = await readTensors(`${models}bert-bf16/expected.safetensors`);
    const { states } = await baseStates(`${models}bert-bf16`);
    expect(maxDifference(states, expected.get('last_hidden_state')!)).toBeLessThan(1e-4);
  });

  it('f16 close to f32', async () => {
    const expected = await readTensors(`${models}bert-base/expected.safetensors`);
    const { states } = await baseStates(`${models}bert-f16`);
    expect(maxDifference(states, expected.get('last_hidden_state')!)).toBeLessThan(0.02);
  });
});

describe('reports', () => {
  const cases = [
    ['base to sequence classification', AutoModelForSequenceClassification, 'bert-base'],
    ['masked LM to sequence classification', AutoModelForSequenceClassification, 'bert-mlm'],
    ['pretraining to base', AutoModel, 'bert-pretraining'],
    ['roberta masked LM to token classification', AutoModelForTokenClassification, 'roberta-mlm'],
    ['distilbert masked LM to sequence classification', AutoModelForSequenceClassification, 'distilbert-mlm'],
    ['distilbert sequence classification to base', AutoModel, 'distilbert-single'],
    [
      'electra pretraining to sequence classification',
      AutoModelForSequenceClassification,
      'electra-replaced',
    ],
    ['electra masked LM to multiple choice', AutoModelForMultipleChoice, 'electra-mlm'],
    ['albert pretraining to sequence classification', AutoModelForSequenceClassification, 'albert-pairs'],
    ['albert sequence classification to masked LM', AutoModelForMaskedLM, 'albert-single'],
    ['camembert base to token classification', AutoModelForTokenClassification, 'camembert-base'],
  ] as const;
  it.each(cases)('%s, as transformers reports it', async (title, auto, folder) => {
    const expected = await readJson<Record<string, { missing: string[]; unexpected: string[] }>>(
      `${models}loading.json`,
    );
    let report: LoadReport | undefined;
    const model = await auto.fromPretrained(models + folder, {
      device: device.current,
      onReport: (r) => (report = r),
    });
    expect([...report!.missing].sort()).toEqual(expected[title]!.missing);
    expect([...report!.unexpected].sort()).toEqual(expected[title]!.unexpected);
    model.dispose();
  });

  it('names a weight that does not fit, or draws it anew', async () => {
    const folder = `${models}bert-single`;
    const options = { device: device.current, numLabels: 7 };
    await expect(AutoModelForSequenceClassification.fromPretrained(folder, options)).rejects.toThrow(
      /tensor 'classifier\.(weight|bias)' is \[3(,32)?\] in '.*model\.safetensors', \[7(,32)?\] in the model's config/,
    );
    let report: LoadReport | undefined;
    const model = await AutoModelForSequenceClassification.fromPretrained(folder, {
      ...options,
      ignoreMismatchedSizes: true,
      onReport: (r) => (report = r),
    });
    expect(report!.mismatched.map(({ name }) => name).sort()).toEqual([
      'classifier.bias',
      'classifier.weight',
    ]);
    expect(report!.text).toContain('mismatched  classifier.weight: [3,32] → [7,32], drawn anew');
    const weight = await model.stateDict().get('classifier.weight')!.float32Data();
    expect(weight.some((value) => value !== 0)).toBe(true);
    model.dispose();
  });
});

describe('saving', () => {
  it('names the type of the weights it wrote, whatever they were read as', async () => {
    const model = await AutoModel.fromPretrained(`${models}bert-f16`, { device: device.current });
    const folder = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    const dtype = async () =>
      (JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as { dtype: string }).dtype;
    await model.savePretrained(folder);
    expect(await dtype()).toBe('float32');
    await model.savePretrained(folder, { dtype: 'F16' });
    expect(await dtype()).toBe('float16');
    await rm(folder, { recursive: true });
    model.dispose();
  });

  it('writes what it reads, tied weights once', async () => {
    const model = await AutoModelForMaskedLM.fromPretrained(`${models}bert-mlm`, { device: device.current });
    const folder = join(scratch, 'saved');
    await model.savePretrained(folder);
    const [ours, theirs] = [
      await readTensors(`${folder}/model.safetensors`),
      await readTensors(`${models}bert-mlm/model.safetensors`),
    ];
    expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
    for (const [name, values] of theirs) expect(ours.get(name), name).toEqual(values);
    const [written, original] = [
      await readJson<object>(`${folder}/config.json`),
      await readJson<object>(`${models}bert-mlm/config.json`),
    ];
    expect(written).toMatchObject(original);
    model.dispose();
  });

  it('writes f16 on request', async () => {
    const model = await AutoModel.fromPretrained(`${models}bert-base`, { device: device.current });
    const folder = join(scratch, 'half');
    await model.savePretrained(folder, { dtype: 'F16' });
    const theirs = await readTensors(`${models}bert-f16/model.safetensors`);
    for (const [name, values] of await readTensors(`${folder}/model.safetensors`))
      expect(values, name).toEqual(theirs.get(name));
    model.dispose();
  });
});
