/** What ModernBERT has of its own: local attention, rotary positions, initial weights, and what it refuses. */
import { describe, expect, it } from 'vitest';
import {
  AutoConfig,
  AutoModelForMaskedLM,
  AutoModelForMultipleChoice,
  AutoModelForSequenceClassification,
} from '../../src/models/auto.ts';
import { gatherPositions } from '../../src/models/common/heads.ts';
import { parseConfig } from '../../src/models/config.ts';
import { ModernBertModel } from '../../src/models/modernbert.ts';
import { reshape } from '../../src/tensor/ops/view.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { maxDifference } from '../support/fixtures.ts';

const device = useDevice();
const tiny = {
  vocabSize: 61,
  padTokenId: 0,
  hiddenSize: 24,
  numHiddenLayers: 3,
  numAttentionHeads: 3,
  intermediateSize: 20,
  maxPositionEmbeddings: 64,
  localAttention: 7,
  globalAttnEveryNLayers: 3,
};
const configOf = (values: object = {}) => AutoConfig.forModel('modernbert', { ...tiny, ...values });

describe('padding', () => {
  const LENGTH = 21;
  /** The tokens that the mask shows have the same ids; others are anything. */
  const batch = (mask: Int32Array) => {
    const inputIds = Int32Array.from(mask, (seen, i) => (seen === 1 ? 3 + ((i * 7) % 50) : 0));
    const shape = [mask.length / LENGTH, LENGTH];
    return {
      inputIds: device.current.tensor(inputIds, shape),
      attentionMask: device.current.tensor(mask, shape),
    };
  };
  const lengths = (...of: number[]) =>
    Int32Array.from(of.flatMap((n) => Array.from({ length: LENGTH }, (_, i) => +(i < n))));

  it.each([
    ['at the end', lengths(21, 12, 1)],
    ['between tokens', lengths(21, 18).fill(0, 24, 29)],
    ['at the start', lengths(21, 21).fill(0, 21, 30)],
  ])('%s changes nothing that is seen, packed or not', async (_, mask) => {
    device.current.manualSeed(2);
    const model = new ModernBertModel(configOf({ initializerRange: 0.3 }), { device: device.current });
    using _scope = device.current.scope();
    const states = async (more: object) =>
      noGrad(() => model.forward({ ...batch(mask), ...more })).lastHiddenState.float32Data();
    const [plain, packed, computed] = [
      await states({ outputAttentions: true }),
      await states({ skipPadding: true }),
      await states({ skipPadding: false }),
    ];
    for (const [at, seen] of mask.entries()) {
      if (seen === 0) continue;
      const row = (of: Float32Array) => of.subarray(at * 24, (at + 1) * 24);
      expect(maxDifference(row(packed), row(plain))).toBeLessThan(1e-5);
      expect(maxDifference(row(computed), row(plain))).toBeLessThan(1e-5);
    }
    model.dispose();
  });

  it('before the first token of a choice is not what rates it', async () => {
    const model = await AutoModelForMultipleChoice.fromConfig(configOf(), { device: device.current });
    model.eval();
    using _scope = device.current.scope();
    const logits = async (from: number) => {
      const mask = new Int32Array(8).fill(1).fill(0, 0, from);
      const ids = Int32Array.from(mask, (seen, i) => (seen === 1 ? 5 + ((i - from) % 5) : 0)).fill(
        0,
        from + 5,
      );
      mask.fill(0, from + 5);
      const shape = [1, 1, 8];
      const inputs = { inputIds: device.current.tensor(ids, shape) };
      const attentionMask = device.current.tensor(mask, shape);
      return noGrad(() => model.forward({ ...inputs, attentionMask })).logits.float32Data();
    };
    // Distances between tokens are what they were.
    expect(maxDifference(await logits(3), await logits(0))).toBeLessThan(1e-5);
    model.dispose();
  });
});

it('draws numbers within two deviations, smaller where a layer adds to the residual stream', async () => {
  device.current.manualSeed(1);
  const config = configOf({ hiddenSize: 96, intermediateSize: 64 });
  for (const auto of [AutoModelForSequenceClassification, AutoModelForMaskedLM]) {
    const model = await auto.fromConfig({ ...config, tieWordEmbeddings: false }, { device: device.current });
    for (const [name, tensor] of model.namedParameters()) {
      if (tensor.rank !== 2) continue;
      const outer = /Wo\.|^head|^decoder/.test(name) ? 0.02 / Math.sqrt(6) : 0.02;
      const std = name.startsWith('classifier') ? 96 ** -0.5 : outer;
      const values = await tensor.float32Data();
      const deviation = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length) / std;
      expect(Math.max(...values.map(Math.abs)) / std, name).toBeLessThanOrEqual(2 + 1e-6);
      // A normal number within two deviations has 0.88 of the deviation; the padding row is zero.
      expect(Math.abs(deviation - 0.88), name).toBeLessThan(tensor.size < 1000 ? 0.15 : 0.04);
    }
    model.dispose();
  }
});

it('thaws the final norm with the head', async () => {
  const model = await AutoModelForSequenceClassification.fromConfig(configOf(), { device: device.current });
  expect(model.layerGroups().map((group) => group.map((part) => part.constructor.name))).toEqual([
    ['PredictionHead', 'Dropout', 'Linear', 'LayerNorm'],
    ['ModernBertLayer'],
    ['ModernBertLayer'],
    ['ModernBertLayer'],
    ['ModernBertEmbeddings'],
  ]);
  model.dispose();
});

it('rates each choice by its first token that the mask shows, known to the host or not', async () => {
  const model = await AutoModelForMultipleChoice.fromConfig(configOf(), { device: device.current });
  const parts = model as unknown as Record<'prediction_head' | 'classifier', { forward(x: Tensor): Tensor }>;
  using _scope = device.current.scope();
  const inputIds = device.current.tensor(
    Int32Array.from({ length: 12 }, (_, at) => at + 3),
    [1, 3, 4],
  );
  // Of a choice without a token transformers takes the first.
  const mask = [0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0];
  const attentionMask = device.current.tensor(Int32Array.from(mask), [1, 3, 4]);
  const rate = () => noGrad(() => model.forward({ inputIds, attentionMask })).logits.float32Data();
  const [states, known] = await Promise.all([
    model.base.forward({ inputIds: reshape(inputIds, [3, 4]), attentionMask: reshape(attentionMask, [3, 4]) })
      .lastHiddenState,
    rate(),
  ]);
  const first = gatherPositions(states, device.current.tensor(Int32Array.of(2, 4, 8)));
  const expected = await parts.classifier.forward(parts.prediction_head.forward(first)).float32Data();
  expect(maxDifference(known, expected)).toBeLessThan(1e-6);
  attentionMask.overwritten();
  expect(await rate()).toEqual(known);
  model.dispose();
});

describe('refuses', () => {
  const read = (values: object) => parseConfig({ model_type: 'modernbert', ...values }, 'config.json');

  it('rotary positions of other kinds', () => {
    const turns = { full_attention: { rope_type: 'yarn', rope_theta: 1e4 } };
    expect(() => read({ rope_parameters: turns })).toThrow(/rope_parameters.*only 'default'/);
    expect(() => read({ rope_scaling: { type: 'linear', factor: 2 } })).toThrow(
      /rope_scaling.*not supported/,
    );
  });

  it('kinds of layers that do not fit their number, and heads of an odd size', () => {
    const made = (values: object) => () => new ModernBertModel(configOf(values), { device: device.current });
    expect(made({ layerTypes: ['full_attention'] })).toThrow('layer_types names 1 layers');
    expect(made({ hiddenSize: 15 })).toThrow('heads an odd size');
  });

  it('positions that only the GPU knows, and ones beyond the model', () => {
    const model = new ModernBertModel(configOf(), { device: device.current });
    using _scope = device.current.scope();
    const inputIds = device.current.tensor(Int32Array.of(5, 6, 7), [1, 3]);
    const positionIds = device.current.zeros([1, 3], 'int32');
    positionIds.overwritten();
    expect(() => model.forward({ inputIds, positionIds })).toThrow('positionIds came from the GPU');
    const far = device.current.tensor(Int32Array.of(0, 1, 1_000_000_000), [1, 3]);
    expect(() => model.forward({ inputIds, positionIds: far })).toThrow('positionIds: 1000000000 is outside');
    model.dispose();
  });
});
