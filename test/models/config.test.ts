/** config.json: read, changed and written back, against files that transformers wrote. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { ConfigError, UnsupportedModelError } from '../../src/errors.ts';
import { AutoConfig, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { configToJson, parseConfig, withOverrides } from '../../src/models/config.ts';
import { type ModelType, modelTypes } from '../../src/models/registry.ts';
import { parsePythonJson } from '../../src/python-json.ts';
import { useDevice } from '../support/device.ts';
import { families } from '../support/families.ts';
import { models, readJson } from '../support/fixtures.ts';

const device = useDevice();
const bert = { model_type: 'bert' };

describe.each(families)('a %s config that transformers wrote', (family) => {
  const folder = `${models}configs/${family}`;

  it('is read', async () => {
    const config = await AutoConfig.fromPretrained(folder);
    expect(config.id2label).toEqual({ 0: 'negative', 1: 'neutral', 2: 'positive, perhaps' });
    const own: Partial<Record<ModelType, object>> = {
      distilbert: { qaDropout: 0.3, seqClassifDropout: 0.25 },
      albert: { classifierDropout: 0.3, embeddingSize: 10, numHiddenGroups: 2 },
      electra: { summaryLastDropout: 0.3, embeddingSize: 10 },
      'deberta-v2': {
        poolerDropout: 0.3,
        classifierDropout: 0.25,
        positionBuckets: 6,
        posAttType: ['p2c', 'c2p'],
        shareAttKey: true,
        positionBiasedInput: false,
      },
      modernbert: {
        hiddenDropoutProb: 0,
        attentionProbsDropoutProb: 0.15,
        mlpDropout: 0.05,
        embeddingDropout: 0.3,
        classifierDropout: 0.25,
        layerTypes: ['full_attention', 'sliding_attention', 'full_attention'],
      },
      mpnet: { relativeAttentionNumBuckets: 32, typeVocabSize: 0 },
    };
    const heads = own[family] ?? { classifierDropout: 0.3 };
    expect(config).toMatchObject({ modelType: family, numLabels: 3, hiddenDropoutProb: 0.15, ...heads });
  });

  it('comes back with every key as it was', async () => {
    const before = await readJson<Record<string, unknown>>(`${folder}/config.json`);
    // The type is that of the weights written, not of those read.
    const after = JSON.parse(configToJson(await AutoConfig.fromPretrained(folder), 'X')) as unknown;
    expect(after).toEqual({ ...before, architectures: ['X'], dtype: 'float32' });
  });

  it("writes whole numbers of Python's floats with a fraction, and no others", async () => {
    const whole = (text: string): string[] => text.match(/^ +"\w+": -?\d+(\.0)?(?=,?$)/gm) ?? [];
    const source = `${models}${family}-single`;
    const written = whole(configToJson(await AutoConfig.fromPretrained(source), 'X'));
    expect(written.sort()).toEqual(whole(await readFile(`${source}/config.json`, 'utf8')).sort());
    const drawn = AutoConfig.forModel(family, { initializerRange: 1 });
    expect(configToJson(drawn, 'X')).toContain('"initializer_range": 1.0,');
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
    for (const type of ['xlm-roberta', 'camembert'] as const)
      expect(AutoConfig.forModel(type)).toMatchObject({ vocabSize: 30522, padTokenId: 1, typeVocabSize: 2 });
    expect(JSON.parse(configToJson(AutoConfig.forModel('distilbert'), 'X'))).toMatchObject({
      activation: 'gelu',
      attention_dropout: 0.1,
      dim: 768,
      dropout: 0.1,
      hidden_dim: 3072,
      max_position_embeddings: 512,
      n_heads: 12,
      n_layers: 6,
      pad_token_id: 0,
      qa_dropout: 0.1,
      seq_classif_dropout: 0.2,
      sinusoidal_pos_embds: false,
      vocab_size: 30522,
    });
    expect(AutoConfig.forModel('deberta-v2')).toMatchObject({
      vocabSize: 128100,
      hiddenSize: 1536,
      layerNormEps: 1e-7,
      typeVocabSize: 0,
      relativeAttention: false,
      maxRelativePositions: -1,
      positionBuckets: -1,
      positionBiasedInput: true,
      posAttType: [],
      legacy: true,
      poolerHiddenAct: 'gelu',
    });
    expect(AutoConfig.forModel('modernbert')).toMatchObject({
      vocabSize: 50368,
      padTokenId: 50283,
      numHiddenLayers: 22,
      intermediateSize: 1152,
      maxPositionEmbeddings: 8192,
      layerNormEps: 1e-5,
      localAttention: 128,
      globalAttnEveryNLayers: 3,
      globalRopeTheta: 160000,
      localRopeTheta: 10000,
      attentionProbsDropoutProb: 0,
      decoderBias: true,
      normBias: false,
    });
    expect(AutoConfig.forModel('mpnet')).toMatchObject({
      vocabSize: 30527,
      padTokenId: 1,
      layerNormEps: 1e-12,
      relativeAttentionNumBuckets: 32,
    });
    expect(AutoConfig.forModel('albert')).toMatchObject({
      vocabSize: 30000,
      embeddingSize: 128,
      hiddenSize: 4096,
      numAttentionHeads: 64,
      intermediateSize: 16384,
      numHiddenGroups: 1,
      innerGroupNum: 1,
      hiddenAct: 'gelu_new',
      hiddenDropoutProb: 0,
      attentionProbsDropoutProb: 0,
      classifierDropout: 0.1,
    });
    expect(AutoConfig.forModel('electra')).toMatchObject({
      embeddingSize: 128,
      hiddenSize: 256,
      numAttentionHeads: 4,
      intermediateSize: 1024,
      summaryLastDropout: 0.1,
      summaryActivation: 'gelu',
    });
    expect(AutoConfig.forModel('bert').id2label).toEqual({ 0: 'LABEL_0', 1: 'LABEL_1' });
  });
});

describe("a family's own keys", () => {
  it('are set by name, and those that it lacks are refused', () => {
    const config = AutoConfig.forModel('distilbert', { qaDropout: 0.4, hiddenSize: 24 });
    expect(JSON.parse(configToJson(config, 'X'))).toMatchObject({ qa_dropout: 0.4, dim: 24 });
    expect(() => AutoConfig.forModel('distilbert', { typeVocabSize: 2 })).toThrow('typeVocabSize');
    expect(() => AutoConfig.forModel('bert', { qaDropout: 0.4 })).toThrow('qaDropout');
    expect(() => parseConfig({ model_type: 'distilbert', dim: 768, n_heads: 5 }, 'x')).toThrow(
      'x: dim 768 is not a multiple of n_heads 5',
    );
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

describe('class names', () => {
  it('may be numbers, and are written back as they were', () => {
    const json = { ...bert, id2label: { 0: 0, 1: 5 }, label2id: { 0: 0, 5: 1 } };
    const config = parseConfig(json, 'x');
    expect(config).toMatchObject({ numLabels: 2, id2label: { 0: '0', 1: '5' }, label2id: { 0: 0, 5: 1 } });
    expect(JSON.parse(configToJson(config, 'X'))).toMatchObject(json);
    const renamed = withOverrides(config, { id2label: { 0: 'a', 1: 'b' } });
    expect(JSON.parse(configToJson(renamed, 'X'))).toMatchObject({
      id2label: { 0: 'a', 1: 'b' },
      label2id: { a: 0, b: 1 },
    });
  });

  it('with two numbers for one name are refused; others, which nobody reads, are not', () => {
    const id2label = { 0: 'positive', 1: 'negative' };
    expect(() => parseConfig({ ...bert, id2label, label2id: { positive: 1, negative: 0 } }, 'x')).toThrow(
      "x: 'label2id' gives 'positive' the number 1, 'id2label' the number 0",
    );
    for (const label2id of [
      { negative: 1, positive: 0 },
      { positive: '0', negative: '1' },
      { positive: 0 },
      { LABEL_0: 0, LABEL_1: 1 },
      null,
      'x',
    ])
      expect(parseConfig({ ...bert, id2label, label2id }, 'x').id2label).toEqual(id2label);
  });

  it('that stand in label2id alone are lost, as in transformers, which is said', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const config = parseConfig({ ...bert, label2id: { no: 0, yes: 1 } }, 'x');
    expect(config.id2label).toEqual({ 0: 'LABEL_0', 1: 'LABEL_1' });
    expect(warn.mock.calls).toEqual([[expect.stringContaining("'label2id' without 'id2label'")]]);
    parseConfig({ ...bert, label2id: { LABEL_0: 0, LABEL_1: 1 } }, 'x');
    expect(warn.mock.calls).toHaveLength(1);
    warn.mockRestore();
  });

  it('with integer keys, a list of names, in any order', () => {
    const names = { 0: 'no', 1: 'yes' };
    const config = parseConfig(bert, 'x');
    expect(withOverrides(config, { id2label: names }).id2label).toEqual(names);
    expect(withOverrides(config, { id2label: ['no', 'yes'] as never }).id2label).toEqual(names);
    expect(parseConfig({ ...bert, id2label: { 1: 'yes', 0: 'no' } }, 'x').id2label).toEqual(names);
  });

  it('give way to num_labels where the two disagree, as in transformers', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const config = parseConfig({ ...bert, id2label: { 0: 'no', 1: 'yes' }, num_labels: 3 }, 'x');
    expect(warn.mock.calls).toMatchInlineSnapshot(`
      [
        [
          "x: num_labels is 3, id2label names 2 classes: the model gets 3, without names",
        ],
      ]
    `);
    warn.mockRestore();
    expect(config.id2label).toEqual({ 0: 'LABEL_0', 1: 'LABEL_1', 2: 'LABEL_2' });
  });
});

describe("Python's numbers", () => {
  it('are read bare, and as transformers 5 writes them', () => {
    const text = `{"a": NaN, "b": [Infinity, -Infinity], "c": {"__float__": "-Infinity"},
      "NaN": "Infinity and \\"NaN\\"", "d": {"__float__": "1"}, "e": {"__float__": "NaN", "f": 1}}`;
    expect(parsePythonJson(text)).toEqual({
      a: Number.NaN,
      b: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
      c: Number.NEGATIVE_INFINITY,
      NaN: 'Infinity and "NaN"',
      d: { __float__: '1' },
      e: { __float__: 'NaN', f: 1 },
    });
  });

  it.each([
    '{"a": -NaN}',
    '{"a": NaNs}',
    '{"a": +Infinity}',
    '{NaN: 1}',
    '[Infinity1]',
    '{"a": nan}',
    '"NaN',
  ])('are no excuse for %s', (text) => {
    expect(() => parsePythonJson(text)).toThrow(SyntaxError);
  });

  it('are written back where the engine has no use for them', () => {
    const config = parseConfig(parsePythonJson('{"model_type": "bert", "x": NaN, "y": [-Infinity]}'), 'x');
    const text = configToJson(config, 'X');
    expect(parsePythonJson(text)).toMatchObject({ x: Number.NaN, y: [Number.NEGATIVE_INFINITY] });
    expect(JSON.parse(text)).toMatchObject({ x: { __float__: 'NaN' }, y: [{ __float__: '-Infinity' }] });
  });

  it('are refused by name where it has', () => {
    const json = parsePythonJson('{"model_type": "bert", "initializer_range": NaN}');
    expect(() => parseConfig(json, 'folder/config.json')).toThrow(
      /^folder\/config\.json: 'initializer_range'.*NaN/,
    );
  });
});

describe('values', () => {
  it('mean what transformers takes them for', () => {
    const read = (json: object) => parseConfig({ ...bert, ...json }, 'x');
    expect(read({ initializer_range: 0 }).initializerRange).toBe(0.02);
    expect(read({ initializer_range: null }).initializerRange).toBe(0.02);
    expect(read({ pruned_heads: {}, quantization_config: null, is_decoder: false }).hiddenSize).toBe(768);
    expect(read({ position_embedding_type: null }).positionEmbeddingType).toBe('absolute');
    expect(JSON.parse(configToJson(read({}), 'X'))).not.toHaveProperty('position_embedding_type');
    const outputs = read({ output_attentions: true, output_hidden_states: true });
    expect(outputs).toMatchObject({ outputAttentions: true, outputHiddenStates: true });
    expect(JSON.parse(configToJson(outputs, 'X'))).toMatchObject({ output_attentions: true });
    expect(JSON.parse(configToJson(read({}), 'X'))).not.toHaveProperty('output_attentions');
    const off = withOverrides(outputs, { outputAttentions: false });
    expect(JSON.parse(configToJson(off, 'X'))).toMatchObject({ output_attentions: false });
  });

  it('that are undefined are not given', () => {
    const config = AutoConfig.forModel('bert', { hiddenSize: undefined as never, numLabels: 4 });
    expect(config).toMatchObject({ hiddenSize: 768, numLabels: 4 });
  });

  it('keep the name of an activation', () => {
    for (const name of ['swish', 'gelu_new', 'gelu_pytorch_tanh', 'quick_gelu']) {
      const config = parseConfig({ ...bert, hidden_act: name }, 'x');
      expect(JSON.parse(configToJson(config, 'X'))).toMatchObject({ hidden_act: name });
    }
  });
});

describe('what cannot be used', () => {
  const cases: Record<string, unknown> = {
    'a list': [],
    'a size that is no number': { ...bert, hidden_size: '768' },
    'heads that do not divide': { ...bert, hidden_size: 100 },
    'a probability above 1': { ...bert, hidden_dropout_prob: 1.5 },
    'an activation we do not have': { ...bert, hidden_act: 'relu6' },
    'relative positions': { model_type: 'distilbert', position_embedding_type: 'relative_key' },
    'relative positions of ALBERT': { model_type: 'albert', position_embedding_type: 'relative_key' },
    'positions of another kind': { ...bert, position_embedding_type: 'rotary' },
    'a decoder': { ...bert, is_decoder: true },
    'pruned heads': { ...bert, pruned_heads: { 0: [1] } },
    'quantized weights': { ...bert, quantization_config: { load_in_8bit: true } },
    'layers that differ': { ...bert, per_layer_config: { 0: { hidden_size: 8 } } },
    'padding outside the vocabulary': { ...bert, vocab_size: 50, pad_token_id: 50 },
    'one class of many': { ...bert, problem_type: 'single_label_classification', id2label: { 0: 'a' } },
    'a class without a name': { ...bert, id2label: { 0: 'a', 1: null } },
    'a class that is no number': { ...bert, id2label: { 0: 'a', x: 'b' } },
    'ties that are null': { ...bert, tie_word_embeddings: null },
    'a deviation below zero': { ...bert, initializer_range: -1 },
    'layers by number': { ...bert, output_hidden_states: 1 },
    'a gap in the labels': { ...bert, id2label: { 0: 'a', 2: 'c' } },
  };
  it.each(Object.entries(cases))('%s', (_, json) => {
    expect(() => parseConfig(json, 'folder/config.json')).toThrowErrorMatchingSnapshot();
  });

  it('a family that is not named, or not known', () => {
    const known = modelTypes.join(', ');
    expect(() => parseConfig({}, 'x')).toThrow(
      new ConfigError("x: 'model_type' is missing", { remedy: `it must be one of ${known}` }),
    );
    const unknown = new UnsupportedModelError("x: model_type 'gpt2' is not supported", {
      remedy: `supported: ${known}`,
    });
    expect(() => parseConfig({ model_type: 'gpt2' }, 'x')).toThrow(unknown);
    expect(() => AutoConfig.forModel('gpt2' as ModelType)).toThrow(UnsupportedModelError);
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
