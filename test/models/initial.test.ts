/**
 * No weight keeps what an older tensor left in its memory: every buffer of the pool comes with a mark, and
 * none may be found.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AutoModelForMaskedLM } from '../../src/models/auto.ts';
import { BertModel } from '../../src/models/bert.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { makeConfig } from '../../src/models/config.ts';
import { writeSafetensors } from '../../src/models/files/safetensors-writer.ts';
import { type ModelType, families as registry } from '../../src/models/registry.ts';
import { Embedding, LayerNorm, Linear, parameter } from '../../src/nn/layers.ts';
import type { Module } from '../../src/nn/module.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor } from '../../src/optim/clip.ts';
import { type Device, requestDevice } from '../../src/tensor/device.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { families, heads } from '../support/families.ts';
import { weightsOf } from '../support/weights.ts';

const MARK = 1011.25;
const device = useDevice();
let scratch = '';

/** From now on every buffer that the device lends holds a value that nobody wrote there. */
function poison({ gpu: { pool, recorder } }: Device, value: number): void {
  const acquire = pool.acquire.bind(pool);
  pool.acquire = (bytes) => {
    const buffer = acquire(bytes);
    recorder.write(buffer, 0, new Float32Array(buffer.size / 4).fill(value));
    return buffer;
  };
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
  poison(device.current, MARK);
});
afterAll(() => rm(scratch, { recursive: true }));
beforeEach(() => device.current.manualSeed(3));

/** Names of weights that hold the mark anywhere. */
async function marked(model: Module): Promise<string[]> {
  const found: string[] = [];
  for (const [name, tensor] of model.stateDict())
    if ((await tensor.float32Data()).includes(MARK)) found.push(name);
  return found;
}

it('the mark is there where nothing was written', async () => {
  using _scope = device.current.scope();
  expect(await device.current.empty([3]).float32Data()).toEqual(new Float32Array(3).fill(MARK));
});

const configs = (type: ModelType) =>
  [64, 24].flatMap((hiddenSize) =>
    [true, false].map((tieWordEmbeddings) =>
      makeConfig(type, {
        vocabSize: 31,
        hiddenSize,
        numHiddenLayers: 1,
        numAttentionHeads: 2,
        intermediateSize: 20,
        maxPositionEmbeddings: 12,
        padTokenId: 1,
        tieWordEmbeddings,
        // None of the numbers drawn may come near the mark.
        initializerRange: 0.5,
      }),
    ),
  );

describe.each(families)('%s', (type) => {
  it.each(Object.entries(heads))('%s: from a config', async (_, auto) => {
    for (const config of configs(type)) {
      const model = await auto.fromConfig(config, { device: device.current });
      expect(await marked(model)).toEqual([]);
      expect(model.numParameters()).toBeGreaterThan(1000);
      model.dispose();
    }
  });

  it.each(Object.entries(heads))('%s: from a file that has one weight of it', async (_, auto) => {
    for (const [at, config] of configs(type).entries()) {
      const donor = await auto.fromConfig(config, { device: device.current });
      const folder = join(scratch, `${type}-${at}-${donor.architecture}`);
      await donor.savePretrained(folder);
      const [name, { shape, values }] = [...weightsOf(donor)].find(
        ([key, weight]) => /layers?\.0\..*weight$/.test(key) && weight.shape.length === 2,
      )!;
      const parts: Uint8Array[] = [];
      await writeSafetensors({ write: async (bytes) => void parts.push(bytes.slice()) }, [
        { name, shape, dtype: 'F32', read: values },
      ]);
      await writeFile(join(folder, 'model.safetensors'), Buffer.concat(parts));
      const model = await auto.fromPretrained(folder, { device: device.current, onReport: () => {} });
      expect(await marked(model)).toEqual([]);
      donor.dispose();
      model.dispose();
    }
  });

  it('any single weight missing, or of another shape, is drawn', async () => {
    const config = configs(type)[3]!;
    const donor = await AutoModelForMaskedLM.fromConfig(config, { device: device.current });
    const folder = join(scratch, `${type}-without`);
    await donor.savePretrained(folder);
    const all = [...weightsOf(donor)];
    for (const [left, lacking] of all) {
      for (const wrong of [false, true]) {
        const tensors = all
          .filter(([name]) => wrong || name !== left)
          .map(([name, { shape, values }]) => ({
            name,
            shape: name === left ? [...shape, 1] : shape,
            dtype: 'F32' as const,
            read: values,
          }));
        const parts: Uint8Array[] = [];
        await writeSafetensors({ write: async (bytes) => void parts.push(bytes.slice()) }, tensors);
        await writeFile(join(folder, 'model.safetensors'), Buffer.concat(parts));
        const model = await AutoModelForMaskedLM.fromPretrained(folder, {
          device: device.current,
          ignoreMismatchedSizes: true,
          onReport: () => {},
        });
        const fresh = weightsOf(model).get(left)!;
        expect((await fresh.values()).includes(MARK), left).toBe(false);
        expect(fresh.shape).toEqual(lacking.shape);
        model.dispose();
      }
    }
    donor.dispose();
  });
});

describe('made by hand', () => {
  it.each(registry)('$modelType', async ({ modelType, Model, tasks }) => {
    for (const config of configs(modelType)) {
      const made: PreTrainedModel[] = [
        new Model(config, { device: device.current }),
        ...Object.values(tasks).map((Class) => new Class(config, device.current)),
      ];
      for (const model of made) {
        expect(await marked(model), model.architecture).toEqual([]);
        model.dispose();
      }
    }
  });

  it('layers', async () => {
    const { current } = device;
    const layers = [
      new Linear(current, 5, 3),
      new Linear(current, 5, 3, { bias: false }),
      new Embedding(current, 7, 3, { paddingIdx: 2 }),
      new LayerNorm(current, 9),
    ];
    for (const layer of layers) {
      expect(await marked(layer)).toEqual([]);
      layer.dispose();
    }
  });
});

it('a weight that no rule draws is an error, not what lay there', async () => {
  class WithScale extends BertModel {
    readonly scale: Tensor = parameter(device.current, [4]);
  }
  const model = new WithScale(configs('bert')[0]!, { device: device.current });
  expect(() => model.initWeights()).toThrow("nothing says how to draw the weight 'scale'");
  model.dispose();
});

/**
 * Some steps of AdamW with clipping over a padded batch, one of them accumulated: every weight afterwards,
 * and the last loss.
 */
async function trained(on: Device, type: ModelType, outputAttentions: boolean): Promise<Float32Array[]> {
  on.manualSeed(5);
  const config = configs(type)[1]!;
  const model = await AutoModelForMaskedLM.fromConfig(config, { device: on });
  const params = model.parameters();
  const optimizer = new AdamW(params, { lr: 0.01, weightDecay: 0.1 });
  const seen = Int32Array.of(1, 1, 1, 1, 1, 1, 1, 0, 0, 0);
  let last: Float32Array = new Float32Array();
  for (let step = 0; step < 3; step += 1) {
    using _scope = on.scope();
    for (const part of [0, 1]) {
      const inputIds = on.tensor(
        Int32Array.from(seen, (one, i) => (one === 1 ? 4 + ((i * 3 + step + part) % 20) : 1)),
        [2, 5],
      );
      const attentionMask = on.tensor(seen, [2, 5]);
      const labels = on.tensor(
        Int32Array.from(seen, (one, i) => (one === 1 && i % 2 === 0 ? 9 : -100)),
        [2, 5],
      );
      const inputs = { inputIds, attentionMask, labels, skipPadding: step === 1, outputAttentions };
      const { loss } = model.forward(inputs);
      loss!.backward();
      last = await loss!.float32Data();
    }
    optimizer.step({ gradScale: clipFactor(params, 0.5) });
    optimizer.zeroGrad();
  }
  const values = await Promise.all(params.map((tensor) => tensor.float32Data()));
  optimizer.dispose();
  model.dispose();
  return [last, ...values];
}

describe('a training', () => {
  it.each([
    ['bert', false],
    ['bert', true],
    ['roberta', false],
  ] as const)(
    '%s gives the same bits, whatever lay in its memory (attentions: %s)',
    async (type, attentions) => {
      const results: Float32Array[][] = [];
      for (const value of [null, Number.NaN, MARK]) {
        const on = await requestDevice();
        if (value !== null) poison(on, value);
        results.push(await trained(on, type, attentions));
        on.destroy();
      }
      const [clean, ...rest] = results;
      expect(clean!.every((values) => values.every(Number.isFinite))).toBe(true);
      for (const result of rest) expect(result).toEqual(clean);
    },
  );
});
