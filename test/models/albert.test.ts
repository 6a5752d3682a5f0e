/** What ALBERT has of its own: layers that share weights. */
import { describe, expect, it } from 'vitest';
import { AlbertForSequenceClassification, AlbertModel } from '../../src/models/albert.ts';
import {
  AutoConfig,
  AutoModelForPreTraining,
  AutoModelForSequenceClassification,
} from '../../src/models/auto.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { resolveArguments } from '../../src/train/argument-checks.ts';
import { applyFreezing } from '../../src/train/freeze.ts';
import { useDevice } from '../support/device.ts';
import {
  type FixtureInputs,
  int32,
  modelInputs,
  models,
  readJson,
  readTensors,
  relativeError,
} from '../support/fixtures.ts';
import { tinySizes } from '../support/toy.ts';
import { weightsOf } from '../support/weights.ts';

const device = useDevice();
const tiny = { ...tinySizes, embeddingSize: 7 };
const made = (values: object) =>
  new AlbertModel(AutoConfig.forModel('albert', { ...tiny, ...values }), { device: device.current });

describe('layers', () => {
  it('cost weights by the group, not by the layer', () => {
    const [one, twelve] = [made({}), made({ numHiddenLayers: 12 })];
    expect(twelve.numParameters()).toBe(one.numParameters());
    expect(twelve.stateDict().size).toBe(one.stateDict().size);
    for (const model of [one, twelve]) model.dispose();
  });

  it('come in the order of transformers', () => {
    const cases: [layers: number, groups: number, inner: number, order: string][] = [
      [3, 2, 1, '0.0 0.0 1.0'],
      [5, 3, 1, '0.0 0.0 1.0 1.0 2.0'],
      [2, 1, 2, '0.0 0.1 0.0 0.1'],
      [1, 2, 1, '0.0'],
    ];
    for (const [numHiddenLayers, numHiddenGroups, innerGroupNum, order] of cases) {
      const model = made({ numHiddenLayers, numHiddenGroups, innerGroupNum });
      const nameOf = new Map(
        model.encoder.albert_layer_groups.flatMap(({ albert_layers }, group) =>
          albert_layers.map((layer, inner) => [layer, `${group}.${inner}`]),
        ),
      );
      expect(model.encoder.order().map((layer) => nameOf.get(layer))).toEqual(order.split(' '));
      model.dispose();
    }
  });

  it('drop nothing after the feed-forward part', () => {
    const model = made({ hiddenDropoutProb: 0.3, attentionProbsDropoutProb: 0.2 });
    const [layer] = model.encoder.order();
    expect([layer!.attention.output.dropout.p, layer!.output.dropout.p]).toEqual([0.3, 0]);
    model.dispose();
  });

  it('thaw by the group', async () => {
    const config = AutoConfig.forModel('albert', { ...tiny, numHiddenLayers: 4, numHiddenGroups: 2 });
    const model = await AutoModelForSequenceClassification.fromConfig(config, { device: device.current });
    expect(model.layerGroups().map((group) => group.map((part) => part.constructor.name))).toEqual([
      ['Dropout', 'Linear', 'Pooler'],
      ['AlbertLayerGroup'],
      ['AlbertLayerGroup'],
      ['AlbertEmbeddings'],
    ]);
    const [, ...groups] = model.layerGroups();
    const names = groups.map(([part]) => {
      const own = new Set(part!.parameters());
      return model.namedParameters().find(([, tensor]) => own.has(tensor))![0];
    });
    expect(names.map((name) => name.split('.').slice(1, 4).join('.'))).toEqual([
      'encoder.albert_layer_groups.1',
      'encoder.albert_layer_groups.0',
      'embeddings.word_embeddings.weight',
    ]);
    model.dispose();
  });
});

describe('gradients of shared layers', () => {
  const folder = `${models}albert-single`;
  interface Case {
    inputs: FixtureInputs;
    labels: { labels: number[] };
  }

  // Groups thaw from the top: the classifier, then group 1, group 0, embeddings.
  it.each([1, 2, 3, 4])('are those of PyTorch with %i groups learning, in their places', async (learning) => {
    const { inputs, labels } = await readJson<Case>(`${folder}/expected.json`);
    const expected = await readTensors(`${folder}/expected.safetensors`);
    const model = await AutoModelForSequenceClassification.fromPretrained(folder, { device: device.current });
    const args = resolveArguments({ outputDir: 'x', freezeEncoderEpochs: 1, unfreezeLayersPerEpoch: 1 });
    applyFreezing(model, learning - 1, args, new Set());
    const optimizer = new AdamW(model.parameters(), { lr: 0 });
    // Twice: the second time, places hold the gradients of the first.
    for (const times of [1, 2]) {
      using _scope = device.current.scope();
      const given = { ...modelInputs(device.current, inputs), labels: int32(device.current, labels.labels) };
      for (let i = 0; i < times; i += 1) model.forward(given).loss!.backward();
      for (const [name, { tensor, gradient }] of weightsOf(model)) {
        const reference = expected.get(`grad.${name}`)!;
        const actual = await gradient();
        expect(actual !== null, name).toBe(tensor.requiresGrad);
        // The gradient of a key's bias is rounding noise.
        if (actual !== null && !name.endsWith('key.bias'))
          expect(
            relativeError(
              actual.map((value) => value / times),
              reference,
            ),
            name,
          ).toBeLessThan(1e-3);
      }
      optimizer.step();
      optimizer.zeroGrad();
    }
    optimizer.dispose();
    model.dispose();
  });
});

describe('pre-training on pairs', () => {
  it('has a loss if tokens and pairs have labels', async () => {
    const model = await AutoModelForPreTraining.fromPretrained(`${models}albert-pairs`, {
      device: device.current,
    });
    using _scope = device.current.scope();
    const inputIds = int32(device.current, [[5, 6, 7]]);
    const labels = int32(device.current, [[-100, 6, -100]]);
    const run = (more: object) => noGrad(() => model.forward({ inputIds, ...more } as never)) as object;
    expect(Object.keys(run({}))).toEqual(['predictionLogits', 'sopLogits']);
    expect(run({ labels })).not.toHaveProperty('loss');
    expect(run({ labels, sentenceOrderLabel: int32(device.current, [1]) })).toHaveProperty('loss');
    expect(() => run({ nextSentenceLabel: labels })).toThrow("there is no option 'nextSentenceLabel'");
    model.dispose();
  });
});

it('is what AutoModel gives', async () => {
  const model = await AutoModelForSequenceClassification.fromPretrained(`${models}albert-single`, {
    device: device.current,
  });
  expect(model).toBeInstanceOf(AlbertForSequenceClassification);
  model.dispose();
});
