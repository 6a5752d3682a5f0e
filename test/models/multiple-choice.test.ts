/** Choices: several texts to a question. Values are held against transformers in transformers.test.ts. */
import { describe, expect, it } from 'vitest';
import { AutoModelForMultipleChoice } from '../../src/models/auto.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { families } from '../support/families.ts';
import { type FixtureInputs, maxDifference, modelInputs, models, readJson } from '../support/fixtures.ts';

const device = useDevice();

async function loaded(family: string) {
  const folder = `${models}${family}-choice`;
  const { inputs } = await readJson<{ inputs: FixtureInputs }>(`${folder}/expected.json`);
  return {
    model: await AutoModelForMultipleChoice.fromPretrained(folder, { device: device.current }),
    inputs,
  };
}

describe.each(families)('%s', (family) => {
  it('rates a text by itself, whatever the other choices, and their padding', async () => {
    const { model, inputs } = await loaded(family);
    using _scope = device.current.scope();
    const given = modelInputs(device.current, inputs);
    const all = noGrad(() => model.forward(given)).logits;
    expect(all.shape).toEqual([2, 3]);
    const padded = noGrad(() => model.forward({ ...given, skipPadding: false })).logits;
    expect(maxDifference(await padded.float32Data(), await all.float32Data())).toBeLessThan(1e-5);
    // The same six texts as three questions of two choices.
    const regrouped = Object.fromEntries(
      Object.entries(inputs).map(([name, rows]) => {
        const flat = (rows as number[][][]).flat();
        return [name, [0, 2, 4].map((at) => flat.slice(at, at + 2))];
      }),
    ) as unknown as FixtureInputs;
    const pairs = noGrad(() => model.forward(modelInputs(device.current, regrouped))).logits;
    expect(pairs.shape).toEqual([3, 2]);
    expect(maxDifference(await pairs.float32Data(), await all.float32Data())).toBeLessThan(1e-5);
    model.dispose();
  });
});

describe('inputs that do not fit', () => {
  const zeros = (shape: number[]): Tensor => device.current.zeros(shape, 'int32');

  it('are refused by name', async () => {
    const { model } = await loaded('bert');
    using _scope = device.current.scope();
    const inputIds = zeros([2, 3, 4]);
    const name = 'BertForMultipleChoice.forward: ';
    const cases: [object, string][] = [
      [{ inputIds: zeros([2, 4]) }, 'inputIds [2,4] must be [batch, choices, length]'],
      [{ inputIds, attentionMask: zeros([3, 2, 4]) }, 'attentionMask [3,2,4] does not fit inputIds [2,3,4]'],
      [{ inputIds, labels: [0, 1] }, 'labels is an array'],
      [{ inputIds: [[[1]]] }, 'inputIds is an array'],
      [{ inputIds, choices: 3 }, "there is no option 'choices'"],
      [{}, 'inputIds are missing'],
    ];
    for (const [given, message] of cases)
      expect(() => model.forward(given as never), message).toThrow(name + message);
    expect(() => model.forward(undefined as never)).toThrow('there are no inputs by name');
    expect(() => model.forward({ inputIds, labels: zeros([3]) })).toThrow('crossEntropy');
    model.dispose();
  });
});
