/** Embeddings in place of ids, of every model, as transformers takes them. */
import { describe, expect, it } from 'vitest';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import type { ModelInputs } from '../../src/models/common/inputs.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { families, heads } from '../support/families.ts';
import {
  type FixtureInputs,
  int32,
  maxDifference,
  modelInputs,
  models,
  readJson,
  readTensors,
  relativeError,
} from '../support/fixtures.ts';

const device = useDevice();

/** The inputs with the word embeddings of their ids in place of them. */
function embedded(model: PreTrainedModel, { inputIds, ...others }: ModelInputs): ModelInputs {
  return { ...others, inputsEmbeds: noGrad(() => model.base.wordEmbeddings.forward(inputIds!)) };
}

async function valuesOf(outputs: object): Promise<Float32Array[]> {
  const tensors = Object.values(outputs).filter((value) => value instanceof Tensor);
  return Promise.all(tensors.map((tensor) => tensor.float32Data()));
}

describe.each(families)('%s', (family) => {
  it('gives the logits and gradients of transformers', async () => {
    const folder = `${models}${family}-single`;
    const { inputs, labels, loss } = await readJson<{
      inputs: FixtureInputs;
      labels: { labels: number[] };
      loss: number;
    }>(`${folder}/embeds.json`);
    const expected = await readTensors(`${folder}/embeds.safetensors`);
    const model = await AutoModelForSequenceClassification.fromPretrained(folder, { device: device.current });
    model.eval();
    using _scope = device.current.scope();
    const given = embedded(model, modelInputs(device.current, inputs));
    given.inputsEmbeds!.requiresGrad = true;
    const output = model.forward({ ...given, labels: int32(device.current, labels.labels) });
    output.loss!.backward();
    expect(maxDifference(await output.logits.float32Data(), expected.get('logits')!)).toBeLessThan(1e-4);
    expect(Math.abs((await output.loss!.item()) / loss - 1)).toBeLessThan(1e-5);
    const gradient = await given.inputsEmbeds!.grad!.float32Data();
    expect(relativeError(gradient, expected.get('grad')!)).toBeLessThan(1e-3);
    // No word was looked up.
    expect(model.base.wordEmbeddings.weight.grad).toBeNull();
    model.dispose();
  });

  it.each(Object.entries(heads))('%s: computes the bits that ids give', async (task, auto) => {
    const folder = `${models}${family}-${task}`;
    const model = (await auto.fromPretrained(folder, { device: device.current })).eval();
    using _scope = device.current.scope();
    const choices = task === 'choice';
    const ids = [
      [7, 9, 11, 5, 8],
      [6, 12, 30, 31, 6],
    ];
    const inputIds = int32(device.current, choices ? [ids] : ids);
    const run = (inputs: ModelInputs) => noGrad(() => model.forward(inputs));
    const inputs = embedded(model, { inputIds });
    expect(await valuesOf(run(inputs))).toEqual(await valuesOf(run({ inputIds })));
    const half = (given: ModelInputs) => autocast(() => run(given));
    expect(await valuesOf(half(inputs))).toEqual(await valuesOf(half({ inputIds })));
    model.dispose();
  });
});

describe('rejects', () => {
  type Make = (width: number) => ModelInputs;
  const zeros = (shape: number[]) => device.current.zeros(shape);
  const cases: Record<string, Make> = {
    'ids beside embeddings': (width) => ({
      inputIds: device.current.zeros([1, 3], 'int32'),
      inputsEmbeds: zeros([1, 3, width]),
    }),
    'another width': (width) => ({ inputsEmbeds: zeros([1, 3, width + 1]) }),
    'numbers for a whole token': () => ({ inputsEmbeds: zeros([1, 3, 1]) }),
    integers: (width) => ({ inputsEmbeds: device.current.zeros([1, 3, width], 'int32') }),
    'one text alone': (width) => ({ inputsEmbeds: zeros([3, width]) }),
    'a mask of another length': (width) => ({
      inputsEmbeds: zeros([1, 3, width]),
      attentionMask: device.current.zeros([1, 2], 'int32'),
    }),
    'too long a text': (width) => ({ inputsEmbeds: zeros([1, 60, width]) }),
  };
  it.each(Object.entries(cases))('%s', async (_, make) => {
    for (const folder of ['albert-single', 'roberta-single']) {
      const model = await AutoModelForSequenceClassification.fromPretrained(models + folder, {
        device: device.current,
      });
      using _scope = device.current.scope();
      const width = model.base.wordEmbeddings.weight.shape[1]!;
      expect(() => noGrad(() => model.forward(make(width)))).toThrowErrorMatchingSnapshot(folder);
      model.dispose();
    }
  });

  it('choices of one text', async () => {
    const model = await heads.choice.fromPretrained(`${models}bert-choice`, { device: device.current });
    using _scope = device.current.scope();
    expect(() => model.forward({ inputsEmbeds: zeros([2, 3, 32]) })).toThrowErrorMatchingSnapshot();
    model.dispose();
  });
});
