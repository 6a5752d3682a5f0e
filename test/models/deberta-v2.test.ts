/** What DeBERTa has of its own: distances in logarithmic buckets, two heads of masked language modelling. */
import { expect, it } from 'vitest';
import {
  AutoConfig,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
} from '../../src/models/auto.ts';
import { logBucket } from '../../src/models/common/disentangled.ts';
import { parseConfig } from '../../src/models/config.ts';
import { DebertaV2Model } from '../../src/models/deberta-v2.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();
const configOf = (values: object = {}) =>
  AutoConfig.forModel('deberta-v2', {
    vocabSize: 31,
    hiddenSize: 12,
    numHiddenLayers: 2,
    numAttentionHeads: 3,
    intermediateSize: 10,
    maxPositionEmbeddings: 16,
    relativeAttention: true,
    positionBuckets: 4,
    normRelEbd: 'layer_norm',
    posAttType: ['c2p', 'p2c'],
    ...values,
  });

const EXPECTED = {
  0: 0,
  1: 1,
  5: 5,
  127: 127,
  128: 128,
  129: 129,
  130: 130,
  131: 131,
  140: 137,
  150: 143,
  181: 160,
  200: 169,
  255: 192,
  256: 192,
  300: 207,
  362: 224,
  400: 233,
  450: 244,
  500: 254,
  510: 255,
  511: 255,
};

it('sorts distances into the buckets of transformers', () => {
  // make_log_bucket_position(torch.tensor([…]), 256, 512): those of version 3.
  const buckets = Object.entries(EXPECTED).map(([distance, bucket]) => [Number(distance), bucket] as const);
  for (const [distance, bucket] of buckets) {
    expect(logBucket(distance, 256, 512), String(distance)).toBe(bucket);
    expect(logBucket(-distance, 256, 512) + bucket, String(-distance)).toBe(0);
  }
});

it('thaws the embeddings of distances with the first layer', async () => {
  const model = await AutoModelForSequenceClassification.fromConfig(configOf(), { device: device.current });
  expect(model.layerGroups().map((group) => group.map((part) => part.constructor.name))).toEqual([
    ['ContextPooler', 'Linear', 'Dropout'],
    ['EncoderLayer'],
    ['EncoderLayer', 'Embedding', 'LayerNorm'],
    ['DebertaEmbeddings'],
  ]);
  model.dispose();
});

it('has the head that the config asks for', async () => {
  for (const legacy of [true, false]) {
    const model = await AutoModelForMaskedLM.fromConfig(configOf({ legacy }), { device: device.current });
    const names = [...model.stateDict().keys()].filter((name) => !name.startsWith('deberta.'));
    expect(
      names.every((name) => name.startsWith(legacy ? 'cls.predictions.' : 'lm_predictions.lm_head.')),
    ).toBe(true);
    expect(names).toHaveLength(legacy ? 7 : 5);
    model.dispose();
  }
});

it('refuses what it lacks', () => {
  const read = (values: object) => parseConfig({ model_type: 'deberta-v2', ...values }, 'config.json');
  expect(() => read({ conv_kernel_size: 3 })).toThrow(/conv_kernel_size.*a convolution is not supported/);
  expect(() => read({ pos_att_type: ['c2c'] })).toThrow(/pos_att_type/);
  const made = (values: object) => new DebertaV2Model(configOf(values), { device: device.current });
  for (const [name, value] of Object.entries({
    embeddingSize: 128,
    attentionHeadSize: 5,
    poolerHiddenSize: 7,
  }))
    expect(() => made({ [name]: value })).toThrow(
      /(embedding_size 128|head_size 5|pooler_hidden_size 7) is not/,
    );
  made({ poolerHiddenSize: 12, attentionHeadSize: 4 }).dispose();
});
