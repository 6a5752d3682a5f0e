/** Leaving padding out of all computing changes nothing but the states of padding. */
import { expect, it } from 'vitest';
import {
  AutoModel,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from '../../src/models/auto.ts';
import { Packing } from '../../src/models/common/packing.ts';
import { makeConfig } from '../../src/models/config.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();

const LENGTH = 9;
const shape = [3, LENGTH];
const maskOf = (lengths: readonly number[]): Int32Array =>
  Int32Array.from(lengths.flatMap((n) => Array.from({ length: LENGTH }, (_, i) => +(i < n))));
/** 14 real tokens, which is not a multiple of eight. */
const mask = maskOf([9, 4, 1]);

const config = makeConfig('bert', {
  vocabSize: 100,
  hiddenSize: 64,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  intermediateSize: 72,
  maxPositionEmbeddings: 16,
  hiddenDropoutProb: 0,
  attentionProbsDropoutProb: 0,
  numLabels: 3,
});

const inputs = (seen: Int32Array) => ({
  inputIds: device.current.tensor(
    seen.map((one, i) => (one === 1 ? 5 + ((i * 7) % 90) : 0)),
    shape,
  ),
  attentionMask: device.current.tensor(seen, shape),
});

function difference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}

it.each([12, 13, 15, 16])(
  'gives the same loss and gradients for %d tokens, of sequences and of tokens',
  async (tokens) => {
    const { current } = device;
    const mask = maskOf([9, 2, tokens - 11]);
    const tokenLabels = Int32Array.from(mask, (seen, i) => (seen === 1 ? i % 3 : -100));
    const cases = [
      [AutoModelForSequenceClassification, current.tensor(Int32Array.of(2, 0, 1))],
      [AutoModelForTokenClassification, current.tensor(tokenLabels, shape)],
    ] as const;
    for (const [auto, labels] of cases) {
      const model = await auto.fromConfig(config, { device: current });
      const results: Float32Array[][] = [];
      for (const skipPadding of [false, true]) {
        const { loss } = model.forward({ ...inputs(mask), labels, skipPadding });
        loss!.backward();
        const gradients = model.parameters().flatMap(({ grad }) => (grad === null ? [] : [grad]));
        results.push(await Promise.all([loss!, ...gradients].map((tensor) => tensor.float32Data())));
        model.zeroGrad();
      }
      expect(results[0]!.length).toBeGreaterThan(20);
      for (const [at, padded] of results[0]!.entries()) {
        const scale = Math.max(1e-3, ...padded.map(Math.abs));
        expect(difference(padded, results[1]![at]!) / scale).toBeLessThan(1e-4);
      }
      model.dispose();
    }
  },
);

it('gives the same states, and zeros for padding; also of each layer', async () => {
  const { current } = device;
  const model = (await AutoModel.fromConfig(config, { device: current })).eval();
  const [padded, packed] = [false, true].map((skipPadding) =>
    noGrad(() => model.forward({ ...inputs(mask), skipPadding, outputHiddenStates: true })),
  );
  expect(packed!.hiddenStates!.length).toBe(3);
  for (const [layer, state] of packed!.hiddenStates!.entries()) {
    const [a, b] = [await padded!.hiddenStates![layer]!.float32Data(), await state.float32Data()];
    const worst = a.reduce(
      (most, value, i) => Math.max(most, Math.abs((mask[Math.floor(i / 64)] === 1 ? value : 0) - b[i]!)),
      0,
    );
    expect(worst).toBeLessThan(1e-5);
  }
  model.dispose();
});

it('fills tokens up to a multiple of eight', () => {
  const { current } = device;
  for (const [values, tokens] of [
    [[1, 0], 8],
    [[1, 1, 1, 1, 1, 1, 1, 1, 0], 8],
    [[1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 16],
  ] as const) {
    const packing = Packing.of(current.tensor(Int32Array.from(values), [1, values.length]))!;
    const x = current.ones([1, values.length, 2]);
    expect(packing.pack(x).shape).toEqual([tokens, 2]);
  }
});

it('computes one text of one token', async () => {
  const { current } = device;
  const model = (await AutoModel.fromConfig(config, { device: current })).eval();
  const inputIds = current.tensor(Int32Array.of(7, 0), [1, 2]);
  const attentionMask = current.tensor(Int32Array.of(1, 0), [1, 2]);
  const [padded, packed] = [false, true].map((skipPadding) =>
    noGrad(() => model.forward({ inputIds, attentionMask, skipPadding })),
  );
  const [a, b] = [await padded!.lastHiddenState.float32Data(), await packed!.lastHiddenState.float32Data()];
  expect(difference(a.subarray(0, 64), b.subarray(0, 64))).toBeLessThan(1e-5);
  model.dispose();
});

it('packs only what it may', () => {
  const { current } = device;
  const packs = (values: number[]): boolean =>
    Packing.of(current.tensor(Int32Array.from(values), [2, 3])) !== null;
  expect(packs([1, 1, 1, 1, 0, 0])).toBe(true);
  expect(packs([1, 0, 1, 1, 1, 1])).toBe(true);
  expect(packs([1, 1, 1, 1, 1, 1])).toBe(false);
  expect(packs([1, 1, 1, 0, 1, 1])).toBe(false);
  expect(Packing.of(current.full([2, 3], 0, 'int32'))).toBeNull();
  expect(Packing.of(undefined)).toBeNull();
});
