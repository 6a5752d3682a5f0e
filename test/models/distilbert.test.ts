/** What DistilBERT has of its own: two dropouts, sinusoidal positions, no token types. */
import { describe, expect, it } from 'vitest';
import {
  AutoModel,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
} from '../../src/models/auto.ts';
import { DistilBertForSequenceClassification } from '../../src/models/distilbert.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { useDevice } from '../support/device.ts';
import {
  type FixtureInputs,
  int32,
  maxDifference,
  modelInputs,
  models,
  readJson,
  readTensors,
} from '../support/fixtures.ts';

const device = useDevice();
const folder = `${models}distilbert-`;
/** Nearly: probability 1 is refused. */
const ALL = 0.999999;
const positions = 'embeddings.position_embeddings.weight';
const inputsOf = async (task: string) =>
  (await readJson<{ inputs: FixtureInputs }>(`${folder}${task}/expected.json`)).inputs;

describe('dropout of the head', () => {
  // If all is dropped, only the last bias is left; in eval mode nothing is dropped.
  it('of classification is seq_classif_dropout', async () => {
    const model = await AutoModelForSequenceClassification.fromPretrained(`${folder}single`, {
      device: device.current,
      seqClassifDropout: ALL,
    });
    expect(model).toBeInstanceOf(DistilBertForSequenceClassification);
    using _scope = device.current.scope();
    const inputs = modelInputs(device.current, await inputsOf('single'));
    const bias = await model.classLayer!.bias!.float32Data();
    const kept = await noGrad(() => model.forward(inputs)).logits.float32Data();
    expect(kept.slice(0, 3)).not.toEqual(bias);
    model.train();
    const dropped = await noGrad(() => model.forward(inputs)).logits.float32Data();
    expect(dropped).toEqual(Float32Array.of(...bias, ...bias, ...bias));
    model.dispose();
  });

  it('of question answering is qa_dropout', async () => {
    const model = await AutoModelForQuestionAnswering.fromPretrained(`${folder}qa`, {
      device: device.current,
      qaDropout: ALL,
    });
    model.train();
    using _scope = device.current.scope();
    const inputs = modelInputs(device.current, await inputsOf('qa'));
    const { startLogits, endLogits } = noGrad(() => model.forward(inputs));
    const [start, end] = await model.stateDict().get('qa_outputs.bias')!.float32Data();
    expect(new Set(await startLogits.float32Data())).toEqual(new Set([start]));
    expect(new Set(await endLogits.float32Data())).toEqual(new Set([end]));
    model.dispose();
  });
});

describe('sinusoidal positions', () => {
  it("start as transformers' do, and learn", async () => {
    const expected = await readTensors(`${folder}base/sinusoidal.safetensors`);
    const loaded = await AutoModel.fromPretrained(`${folder}base`, {
      device: device.current,
      sinusoidalPosEmbds: true,
    });
    const drawn = await AutoModel.fromConfig(loaded.config, { device: device.current });
    const weight = drawn.stateDict().get(positions)!;
    expect(maxDifference(await weight.float32Data(), expected.get(positions)!)).toBeLessThan(1e-6);
    expect(weight.requiresGrad).toBe(true);
    // A checkpoint's are taken as they are.
    const own = await readTensors(`${folder}base/model.safetensors`);
    expect(await loaded.stateDict().get(positions)!.float32Data()).toEqual(own.get(positions));
    const plain = await AutoModel.fromPretrained(`${folder}base`, { device: device.current });
    const random = await AutoModel.fromConfig(plain.config, { device: device.current });
    expect((await random.stateDict().get(positions)!.float32Data())[0]).not.toBe(0);
    for (const model of [loaded, drawn, plain, random]) model.dispose();
  });

  it('start so in a head over a base checkpoint that lacks them', async () => {
    const expected = await readTensors(`${folder}base/sinusoidal.safetensors`);
    const model = await AutoModelForSequenceClassification.fromPretrained(`${folder}single`, {
      device: device.current,
      sinusoidalPosEmbds: true,
      maxPositionEmbeddings: 12,
      ignoreMismatchedSizes: true,
      onReport: () => {},
    });
    const values = await model.stateDict().get(`distilbert.${positions}`)!.float32Data();
    expect(maxDifference(values, expected.get(positions)!.subarray(0, values.length))).toBeLessThan(1e-6);
    model.dispose();
  });
});

it('ignores token types, as transformers does', async () => {
  const inputs = await inputsOf('base');
  const model = await AutoModel.fromPretrained(`${folder}base`, { device: device.current });
  using _scope = device.current.scope();
  const given = modelInputs(device.current, inputs);
  const tokenTypeIds = int32(
    device.current,
    inputs.input_ids.map((row) => row.map((_, at) => at % 2)),
  );
  const [plain, typed] = noGrad(() => [model.forward(given), model.forward({ ...given, tokenTypeIds })]);
  expect(await typed!.lastHiddenState.float32Data()).toEqual(await plain!.lastHiddenState.float32Data());
  model.dispose();
});

it('thaws from the top: heads, layers, embeddings', async () => {
  const model = await AutoModelForSequenceClassification.fromPretrained(`${folder}single`, {
    device: device.current,
  });
  const groups = model.layerGroups().map((group) => group.map((part) => part.constructor.name));
  expect(groups).toEqual([
    ['Linear', 'Linear', 'Dropout'],
    ['EncoderLayer'],
    ['EncoderLayer'],
    ['Embeddings'],
  ]);
  expect(model.layerGroups()[1]![0]).toBe(model.base.encoder.order()[1]);
  model.dispose();
});
