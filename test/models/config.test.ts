/** config.json: read, changed and written back, against files that transformers wrote. */
import { describe, expect, it } from 'vitest';
import { AutoConfig, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { configToJson, parseConfig, withOverrides } from '../../src/models/config.ts';
import { useDevice } from '../support/device.ts';
import { models, readJson } from '../support/fixtures.ts';

const device = useDevice();
const bert = { model_type: 'bert' };

describe.each(['bert', 'roberta'])('a %s config that transformers wrote', (family) => {
  const folder = `${models}configs/${family}`;

  it('is read', async () => {
    const config = await AutoConfig.fromPretrained(folder);
    expect(config.id2label).toEqual({ 0: 'negative', 1: 'neutral', 2: 'positive, perhaps' });
    expect(config).toMatchObject({ modelType: family, numLabels: 3, classifierDropout: 0.3 });
  });

  it('comes back with every key as it was', async () => {
    const before = await readJson<Record<string, unknown>>(`${folder}/config.json`);
    // The type is that of the weights written, not of those read.
    const after = JSON.parse(configToJson(await AutoConfig.fromPretrained(folder), 'X')) as unknown;
    expect(after).toEqual({ ...before, architectures: ['X'], dtype: 'float32' });
  });
});

describe('defaults', () => {
  it("are transformers' own", () => {
    expect(AutoConfig.forModel('bert')).toMatchObject({
      vocabSize: 30522,
      layerNormEps: 1e-12,
      padTokenId: 0,
    });
    expect(AutoConfig.forModel('roberta')).toMatchObject({ vocabSize: 50265, padTokenId: 1 });
    expect(AutoConfig.forModel('bert').id2label).toEqual({ 0: 'LABEL_0', 1: 'LABEL_1' });
  });
});

describe('labels', () => {
  it('follow numLabels, or name the classes', () => {
    const config = parseConfig({ ...bert, id2label: { 0: 'no', 1: 'yes' } }, 'x');
    expect(withOverrides(config, { numLabels: 2 }).id2label).toEqual({ 0: 'no', 1: 'yes' });
    expect(withOverrides(config, { numLabels: 1 }).id2label).toEqual({ 0: 'LABEL_0' });
    const named = withOverrides(config, { id2label: { 0: 'a', 1: 'b', 2: 'c' } });
    expect(named).toMatchObject({ numLabels: 3, label2id: { a: 0, b: 1, c: 2 } });
    expect(() =>
      withOverrides(config, { numLabels: 2, id2label: { 0: 'a' } }),
    ).toThrowErrorMatchingSnapshot();
  });
});

describe('what cannot be used', () => {
  const cases: Record<string, unknown> = {
    'a list': [],
    'no model_type': {},
    'an unknown model_type': { model_type: 'gpt2' },
    'a size that is no number': { ...bert, hidden_size: '768' },
    'heads that do not divide': { ...bert, hidden_size: 100 },
    'a probability above 1': { ...bert, hidden_dropout_prob: 1.5 },
    'an activation we do not have': { ...bert, hidden_act: 'quick_gelu' },
    'relative positions': { ...bert, position_embedding_type: 'relative_key' },
    'a decoder': { ...bert, is_decoder: true },
    'a gap in the labels': { ...bert, id2label: { 0: 'a', 2: 'c' } },
  };
  it.each(Object.entries(cases))('%s', (_, json) => {
    expect(() => parseConfig(json, 'folder/config.json')).toThrowErrorMatchingSnapshot();
  });
});

describe('initial weights', () => {
  it('are drawn as transformers draws them', async () => {
    device.current.manualSeed(1);
    const config = AutoConfig.forModel('bert', {
      vocabSize: 500,
      hiddenSize: 64,
      numAttentionHeads: 2,
      numHiddenLayers: 1,
      intermediateSize: 128,
    });
    const model = await AutoModelForSequenceClassification.fromConfig(config, { device: device.current });
    expect(model.training).toBe(true);
    for (const [name, tensor] of model.namedParameters()) {
      const values = await tensor.float32Data();
      if (name.endsWith('bias'))
        expect(
          values.every((value) => value === 0),
          name,
        ).toBe(true);
      else if (name.includes('LayerNorm'))
        expect(
          values.every((value) => value === 1),
          name,
        ).toBe(true);
      else if (values.length > 1000) {
        const std = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length);
        expect(Math.abs(std / 0.02 - 1), name).toBeLessThan(0.05);
      }
    }
    const words = await model.base.embeddings.word_embeddings.weight.float32Data();
    expect(words.subarray(0, 64).every((value) => value === 0)).toBe(true);
    model.dispose();
  });
});
