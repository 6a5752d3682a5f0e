/** Positions by distance. Logits and gradients are held against Python's in transformers.test.ts. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AutoConfig, AutoModel, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { autocast } from '../../src/tensor/autocast.ts';
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
import { tinySizes } from '../support/toy.ts';

const device = useDevice();
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

describe.each(['bert-relative_key', 'bert-relative_key_query', 'electra-relative_key_query'])(
  '%s',
  (fixture) => {
    const load = () =>
      AutoModelForSequenceClassification.fromPretrained(models + fixture, { device: device.current });
    const inputsOf = async () =>
      modelInputs(
        device.current,
        (await readJson<{ inputs: FixtureInputs }>(`${models}${fixture}/expected.json`)).inputs,
      );

    it('comes back from disk as it was, every tensor', async () => {
      const model = await load();
      const folder = join(scratch, fixture);
      await model.savePretrained(folder);
      expect(await readTensors(`${folder}/model.safetensors`)).toEqual(
        await readTensors(`${models}${fixture}/model.safetensors`),
      );
      expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toMatchObject({
        position_embedding_type: model.config.positionEmbeddingType,
      });
      model.dispose();
    });

    it('gives the weights of attention, with the same logits', async () => {
      const model = await load();
      using _scope = device.current.scope();
      const inputs = await inputsOf();
      const [plain, shown] = noGrad(() => [
        model.forward(inputs),
        model.forward({ ...inputs, outputAttentions: true }),
      ]);
      expect(plain!.attentions).toBeUndefined();
      expect(shown!.attentions!.map(({ shape }) => shape)).toEqual(
        model.base.encoder.order().map(() => [5, model.config.numAttentionHeads, 9, 9]),
      );
      const logits = await Promise.all([plain!, shown!].map((output) => output.logits.float32Data()));
      expect(maxDifference(logits[1]!, logits[0]!)).toBeLessThan(1e-5);
      model.dispose();
    });

    it('depends on distances, not on places', async () => {
      const model = await load();
      using _scope = device.current.scope();
      const given = (pads: number, total: number) => {
        const row = Array.from({ length: total }, (_, at) =>
          at < pads || at >= pads + 4 ? 0 : 7 + at - pads,
        );
        const mask = int32(device.current, [row.map((id) => (id === 0 ? 0 : 1))]);
        return { inputIds: int32(device.current, [row]), attentionMask: mask, skipPadding: false };
      };
      const states = async (pads: number) => {
        const { lastHiddenState } = noGrad(() => model.base.forward(given(pads, 13)));
        const width = model.config.hiddenSize;
        return (await lastHiddenState.float32Data()).slice(pads * width, (pads + 4) * width);
      };
      const first = await states(0);
      for (const pads of [1, 4, 9]) expect(maxDifference(await states(pads), first)).toBeLessThan(1e-4);
      // One token alone.
      const alone = noGrad(() => model.base.forward({ inputIds: int32(device.current, [[7]]) }));
      expect((await alone.lastHiddenState.float32Data()).every(Number.isFinite)).toBe(true);
      model.dispose();
    });

    it('has no places for positions of the caller', async () => {
      const model = await load();
      using _scope = device.current.scope();
      const [inputIds, positionIds] = [int32(device.current, [[5, 6]]), int32(device.current, [[1, 0]])];
      expect(() => model.forward({ inputIds, positionIds })).toThrow(
        'positionIds: this model knows distances only',
      );
      expect(() =>
        model.forward({ inputIds: int32(device.current, [Array.from({ length: 14 }, () => 5)]) }),
      ).toThrow("longer than the model's 13 positions");
      model.dispose();
    });

    it('computes in mixed precision', async ({ skip }) => {
      skip(!device.current.gpu.float16, 'the adapter has no float16');
      const model = await load();
      using _scope = device.current.scope();
      const inputs = await inputsOf();
      const [whole, half] = noGrad(() => [
        model.forward(inputs).logits,
        autocast(() => model.forward(inputs)).logits,
      ]);
      const values = await whole!.float32Data();
      const largest = Math.max(...values.map(Math.abs));
      expect(maxDifference(await half!.float32Data(), values)).toBeLessThan(0.03 * largest);
      model.dispose();
    });
  },
);

it('starts from drawn distances', async () => {
  const config = AutoConfig.forModel('roberta', { ...tinySizes, positionEmbeddingType: 'relative_key' });
  const model = await AutoModel.fromConfig(config, { device: device.current });
  const table = model.stateDict().get('encoder.layer.0.attention.self.distance_embedding.weight')!;
  expect(table.shape).toEqual([31, 12]);
  const values = await table.float32Data();
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length);
  expect(deviation).toBeGreaterThan(0.01);
  expect(deviation).toBeLessThan(0.03);
  model.dispose();
});
