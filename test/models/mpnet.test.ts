/** What MPNet has of its own: a bias of attention for each distance. */
import { expect, it } from 'vitest';
import { AutoConfig, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { distanceBucket, MPNetModel } from '../../src/models/mpnet.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { useDevice } from '../support/device.ts';
import { liveBesideTables } from '../support/live.ts';
import { tinySizes } from '../support/toy.ts';

const device = useDevice();
const config = AutoConfig.forModel('mpnet', { ...tinySizes, numHiddenLayers: 2 });

it('sorts distances into the buckets of transformers', () => {
  // The first distance of each bucket, as MPNetEncoder.relative_position_bucket has them.
  const first = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91];
  for (let distance = 0; distance < 600; distance += 1) {
    const bucket = first.findLastIndex((start) => start <= distance);
    expect(distanceBucket(distance)).toBe(bucket);
    if (distance > 0) expect(distanceBucket(-distance)).toBe(16 + bucket);
  }
});

it('thaws the bias with the first layer', async () => {
  const model = await AutoModelForSequenceClassification.fromConfig(config, { device: device.current });
  expect(model.layerGroups().map((group) => group.map((part) => part.constructor.name))).toEqual([
    ['ClassificationHead'],
    ['EncoderLayer'],
    ['EncoderLayer', 'Embedding'],
    ['MPNetEmbeddings'],
  ]);
  model.dispose();
});

it('keeps no weights of attention that nobody asked for', async () => {
  const model = new MPNetModel(config, { device: device.current });
  using _scope = device.current.scope();
  const inputIds = device.current.tensor(Int32Array.of(5, 6, 7), [1, 3]);
  const live = (outputAttentions: boolean) => {
    const before = liveBesideTables(model);
    const output = noGrad(() => model.forward({ inputIds, outputAttentions }));
    return [liveBesideTables(model) - before, output.attentions?.length];
  };
  expect(live(false)).toEqual([2, undefined]);
  expect(live(true)).toEqual([4, 2]);
  model.dispose();
});

it('refuses a config with fewer biases than buckets', () => {
  expect(() => AutoConfig.forModel('mpnet', { relativeAttentionNumBuckets: 8 } as object)).toThrow(
    /relative_?attention_?num_?buckets.*must be 32 or more/i,
  );
});
