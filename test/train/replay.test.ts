/** A batch of a shape seen before is replayed, and gives the bits that the model gives. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { DeviceLostError, DisposedError, ShapeError } from '../../src/errors.ts';
import { AutoModel, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { BertForSequenceClassification } from '../../src/models/bert.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import type { TaskOutput } from '../../src/models/common/tasks.ts';
import { makeConfig } from '../../src/models/config.ts';
import type { ModelType } from '../../src/models/registry.ts';
import { LayerNorm, type Linear } from '../../src/nn/layers.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import type { SentenceSettings } from '../../src/sentence/folder.ts';
import type { PoolingMode } from '../../src/sentence/pooling.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import { type Device, requestDevice } from '../../src/tensor/device.ts';
import { scale } from '../../src/tensor/ops/elementwise.ts';
import { type PredictOptions, predictBatches, type TrainableModel } from '../../src/train/predict.ts';
import { useDevice } from '../support/device.ts';
import { families, heads } from '../support/families.ts';
import { liveBesideTables } from '../support/live.ts';

const device = useDevice();

const sizes = {
  vocabSize: 100,
  hiddenSize: 32,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  intermediateSize: 40,
  maxPositionEmbeddings: 24,
};

function textOf(length: number, seed: number, rows = 1) {
  const inputIds = Int32Array.from({ length: rows * length }, (_, i) => 5 + ((i * 7 + seed * 31) % 90));
  // The ids that every text has, so that a model accepts all of them once it has accepted one.
  inputIds[0] = 2;
  inputIds[1] = 99;
  return { inputIds, attentionMask: new Int32Array(rows * length).fill(1), shape: [rows, length] };
}

type Text = ReturnType<typeof textOf>;

/** The outputs' values by name, and whether they were replayed. */
async function predict(model: PreTrainedModel, text: Text, options: PredictOptions = {}) {
  const replays = vi.spyOn(model.device.gpu.recorder, 'replay').mockClear();
  for await (const { outputs } of predictBatches(model as TrainableModel, [text], options))
    return {
      values: Object.entries(outputs).map(([name, { values, shape }]) => [name, [...shape], [...values]]),
      replayed: replays.mock.calls.length > 0,
    };
  throw new Error('there was no batch');
}

/** Predicts as usual, and without replaying, which must give the same bits. */
async function check(model: PreTrainedModel, text: Text, replayed: boolean, fp16 = false): Promise<void> {
  const made = await predict(model, text, { fp16 });
  expect(made.replayed).toBe(replayed);
  const expected = await predict(model, text, { fp16, reads: () => true });
  expect(expected.replayed).toBe(false);
  expect(made.values).toEqual(expected.values);
}

const makeModel = (on: Device = device.current) =>
  AutoModelForSequenceClassification.fromConfig(makeConfig('bert', sizes), { device: on });

beforeEach(() => {
  vi.restoreAllMocks();
  device.current.manualSeed(1);
});

/** Families whose first text of a length makes a table, by writing, so that only the second is recorded. */
const tabled: readonly ModelType[] = ['deberta-v2', 'modernbert', 'mpnet'];

describe.each(families)('%s', (family) => {
  it.each(Object.entries(heads))('replays %s', async (name, auto) => {
    const inputOf = (...of: Parameters<typeof textOf>): Text => {
      const text = textOf(...of);
      return name === 'choice' ? { ...text, shape: [1, ...text.shape] } : text;
    };
    const posAttType: ('c2p' | 'p2c')[] = ['c2p', 'p2c'];
    const distances = family === 'deberta-v2' && { relativeAttention: true, posAttType };
    const model = await auto.fromConfig(makeConfig(family, { ...sizes, ...distances, padTokenId: 1 }), {
      device: device.current,
    });
    const live = liveBesideTables(model);
    for (let made = 0; made < (tabled.includes(family) ? 2 : 1); made += 1) {
      await check(model, inputOf(9, 1), false);
      await check(model, inputOf(5, 2), false);
    }
    await check(model, inputOf(9, 3), true);
    await check(model, inputOf(5, 4), true);
    await check(model, inputOf(9, 5, 2), false);
    await check(model, inputOf(9, 6), true);
    expect(liveBesideTables(model)).toBe(live);
    model.dispose();
  });
});

describe('vectors of texts', () => {
  const made = async (poolingMode: PoolingMode[], more: Partial<SentenceSettings> = {}) =>
    new SentenceTransformer(
      await AutoModel.fromConfig(makeConfig('bert', sizes), { device: device.current }),
      { poolingMode, ...more },
    ).eval();

  const modes: PoolingMode[][] = [['mean'], ['cls', 'lasttoken'], ['max'], ['mean', 'max'], ['weightedmean']];
  it.each(modes.map((mode) => [mode.join(), mode] as const))('%s: are replayed', async (_, mode) => {
    const model = await made(mode, { normalize: true });
    const live = liveBesideTables(model);
    // The first text of a length makes the weights of its tokens, but for the largest numbers.
    for (let first = 0; first < (mode.join() === 'max' ? 1 : 2); first += 1) {
      await check(model, textOf(9, 1), false);
      await check(model, textOf(5, 2), false);
    }
    await check(model, textOf(9, 3), true);
    await check(model, textOf(5, 4), true);
    await check(model, textOf(9, 5, 2), false);
    await check(model, textOf(9, 6), true);
    expect(liveBesideTables(model)).toBe(live);
    model.dispose();
  });

  it('are computed anew with other settings, and with a prompt that is not pooled', async () => {
    const model = await made(['mean']);
    for (const replayed of [false, false, true]) await check(model, textOf(9, 1), replayed);
    model.settings.normalize = true;
    for (const replayed of [false, true]) await check(model, textOf(9, 1), replayed);
    (model.settings.poolingMode as PoolingMode[])[0] = 'cls';
    for (const replayed of [false, false, true]) await check(model, textOf(9, 1), replayed);
    const poolingMask = Int32Array.from({ length: 9 }, (_, at) => Number(at > 2));
    for (let again = 0; again < 2; again += 1)
      await check(model, { ...textOf(9, 1), poolingMask } as Text, false);
    model.dispose();
  });
});

it('replays two batches in flight', async () => {
  const model = await makeModel();
  const texts = [1, 2, 3, 4].map((seed) => textOf(7, seed));
  const expected = await Promise.all(texts.map((text) => predict(model, text, { reads: () => true })));
  const made: unknown[] = [];
  for await (const { logits } of predictBatches(model as TrainableModel, texts)) made.push([...logits]);
  expect(made).toEqual(expected.map(({ values }) => values[0]![2]));
  model.dispose();
});

describe('asks the model again', () => {
  /** Whether the second of two texts is replayed if `change` happens between them; a third always is. */
  async function again(
    change: (model: BertForSequenceClassification) => unknown,
    { fp16 = false, replayed = false } = {},
  ): Promise<void> {
    const model = (await makeModel()) as BertForSequenceClassification;
    await check(model, textOf(9, 1), false, fp16);
    await change(model);
    await check(model, textOf(9, 2), replayed, fp16);
    await check(model, textOf(9, 3), true, fp16);
    model.dispose();
  }

  it('not if nothing changed', () => again(() => {}, { replayed: true }));

  it('if a weight was written', () =>
    again(({ classifier }) => classifier.weight.write(new Float32Array(64).fill(0.5))));

  it('if an optimizer moved and changed the weights', () =>
    again(async (model) => {
      model.train();
      const text = textOf(9, 1);
      const inputs = { inputIds: device.current.tensor(text.inputIds, text.shape) };
      const optimizer = new AdamW(model.parameters(), { lr: 0.1 });
      model.forward({ ...inputs, labels: device.current.tensor(Int32Array.of(1)) }).loss!.backward();
      optimizer.step();
      optimizer.zeroGrad();
    }));

  it('if a module was replaced', () =>
    again(({ bert }) => {
      const [layer] = bert.encoder.layer;
      const norm = new LayerNorm(device.current, sizes.hiddenSize, { eps: 0.5 });
      Object.assign(layer!.output, { LayerNorm: norm });
    }));

  it('if a product was measured, and measured again', async () => {
    const { gpu } = device.current;
    for (const technique of ['a', 'b', 'a']) await again(() => gpu.tuning.choose('a class', technique));
    await again(() => gpu.tuning.choose('a class', 'a'), { replayed: true });
    gpu.tuning.clear();
  });

  it('if a property was changed', () =>
    again(({ bert }) => Object.assign(bert.encoder.layer[0]!.output.LayerNorm, { eps: 0.5 })));

  it('if the configuration was changed', () =>
    again(({ config }) => Object.assign(config, { outputHiddenStates: true })));

  it('if layers were removed', () => again(({ bert }) => (bert.encoder.layer as unknown[]).pop()));

  it('if its memory was given back', () => again(() => device.current.trim()));

  it('if its memory is in use', async () => {
    const model = await makeModel();
    await check(model, textOf(9, 1), false);
    const before = await predict(model, textOf(9, 2));
    const held = Array.from({ length: 40 }, (_, i) => device.current.full([9 * 4 * (i % 33) + 1], i));
    const made = await predict(model, textOf(9, 2));
    expect(made).toEqual({ ...before, replayed: false });
    for (const [i, tensor] of held.entries()) {
      expect(new Set(await tensor.data())).toEqual(new Set([i]));
      tensor.dispose();
    }
    model.dispose();
  });

  it('if float16 copies are outdated', async (context) => {
    if (!device.current.gpu.float16) context.skip();
    await again(() => {}, { fp16: true, replayed: true });
    await again(({ classifier }) => classifier.weight.write(new Float32Array(64).fill(0.5)), { fp16: true });
  });

  it('in another precision', async (context) => {
    if (!device.current.gpu.float16) context.skip();
    const model = await makeModel();
    await check(model, textOf(9, 1), false);
    await check(model, textOf(9, 2), false, true);
    model.dispose();
  });

  it('about an id that it may refuse', async () => {
    const model = await makeModel();
    await predict(model, textOf(9, 1));
    for (const id of [-1, 100]) {
      const text = textOf(9, 2);
      text.inputIds[4] = id;
      await expect(predict(model, text)).rejects.toThrow(ShapeError);
    }
    model.dispose();
  });

  it('about padding', async () => {
    const model = await makeModel();
    await check(model, textOf(9, 1), false);
    const padded = textOf(9, 2);
    padded.attentionMask[8] = 0;
    await check(model, padded, false);
    await check(model, padded, false);
    await check(model, textOf(9, 3), true);
    model.dispose();
  });

  it('if it is disposed of', async () => {
    const model = await makeModel();
    await predict(model, textOf(9, 1));
    model.dispose();
    await expect(predict(model, textOf(9, 2))).rejects.toThrow(DisposedError);
  });

  it('if the device is gone', async () => {
    const own = await requestDevice();
    const model = await makeModel(own);
    await predict(model, textOf(9, 1));
    own.destroy();
    await expect(predict(model, textOf(9, 2))).rejects.toThrow(DeviceLostError);
  });
});

describe('always asks', () => {
  class Scaled extends BertForSequenceClassification {
    factor = { now: 1 };

    override forward(inputs: Parameters<BertForSequenceClassification['forward']>[0]): TaskOutput {
      return { logits: scale(super.forward(inputs).logits, this.factor.now) };
    }
  }

  it('a class of its own', async () => {
    const model = new Scaled(makeConfig('bert', sizes), device.current);
    await check(model, textOf(9, 1), false);
    model.factor.now = 2;
    await check(model, textOf(9, 1), false);
    model.dispose();
  });

  it('a model with a method of its own', async () => {
    const model = (await makeModel()) as BertForSequenceClassification;
    const classifier = model.classifier as Linear;
    let factor = 1;
    const { forward } = classifier;
    classifier.forward = (x) => scale(forward.call(classifier, x), factor);
    await check(model, textOf(9, 1), false);
    factor = 2;
    await check(model, textOf(9, 1), false);
    model.dispose();
  });
});
