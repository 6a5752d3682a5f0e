/**
 * Hidden states, attention weights and positions of the caller's, of every model, as transformers gives them.
 */
import { describe, expect, it, vi } from 'vitest';
import {
  AutoModel,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
} from '../../src/models/auto.ts';
import type { ModelInputs } from '../../src/models/common/inputs.ts';
import { makeConfig } from '../../src/models/config.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { families, heads } from '../support/families.ts';
import {
  type FixtureInputs,
  type Ids,
  int32,
  maxDifference,
  modelInputs,
  models,
  readJson,
  readTensors,
  relativeError,
} from '../support/fixtures.ts';
import { tinySizes } from '../support/toy.ts';
import { weightsOf } from '../support/weights.ts';

const device = useDevice();

/** transformers' names of results beside ours. */
const results = {
  last_hidden_state: 'lastHiddenState',
  pooler_output: 'poolerOutput',
  logits: 'logits',
  start_logits: 'startLogits',
  end_logits: 'endLogits',
  hidden_states: 'hiddenStates',
  attentions: 'attentions',
} as const;
type Outputs = Partial<Record<(typeof results)[keyof typeof results], Tensor | Tensor[]>>;
type Run = FixtureInputs & { position_ids?: Ids };

/** Every result of ours by transformers' name, lists by number. */
async function named(outputs: Outputs): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for (const [theirs, ours] of Object.entries(results)) {
    const value = outputs[ours];
    if (value === undefined) continue;
    const list = Array.isArray(value) ? value : [value];
    for (const [at, tensor] of list.entries())
      found.set(Array.isArray(value) ? `${theirs}.${at}` : theirs, await tensor.float32Data());
  }
  return found;
}

describe.each(families)('%s', (family) => {
  it.each(Object.entries(heads))('%s: with positions of its own', async (task, auto) => {
    const folder = `${models}${family}-${task}`;
    const expected = await readTensors(`${folder}/outputs.safetensors`);
    const runs = await readJson<Record<string, Run>>(`${folder}/outputs.json`);
    const model = await auto.fromPretrained(folder, { device: device.current });
    for (const [name, run] of Object.entries(runs)) {
      using _scope = device.current.scope();
      const asked = { outputHiddenStates: true, outputAttentions: true };
      const plain: ModelInputs = { ...modelInputs(device.current, run), ...asked };
      const placed = run.position_ids && {
        ...plain,
        positionIds: int32(device.current, run.position_ids),
      };
      // transformers ignores positions in a model that knows distances only.
      const refuses = placed !== undefined && family === 'deberta-v2';
      if (refuses) expect(() => model.forward(placed)).toThrow('this model knows distances only');
      const inputs = refuses ? plain : (placed ?? plain);
      const got = await named(noGrad(() => model.forward(inputs)) as Outputs);
      const theirs = [...expected].filter(([key]) => key.startsWith(`${name}.`));
      expect([...got.keys()].sort()).toEqual(theirs.map(([key]) => key.slice(name.length + 1)).sort());
      for (const [key, values] of theirs)
        expect(maxDifference(got.get(key.slice(name.length + 1))!, values), key).toBeLessThan(1e-4);
      // The fused way computes the same.
      const fused = await named(
        noGrad(() => model.forward({ ...inputs, outputAttentions: false })) as Outputs,
      );
      expect([...fused.keys()]).toEqual([...got.keys()].filter((key) => !key.startsWith('attentions')));
      for (const [key, values] of fused) expect(maxDifference(values, got.get(key)!), key).toBeLessThan(1e-4);
    }
    model.dispose();
  });

  it('gives the gradients through attention weights in memory', async () => {
    const folder = `${models}${family}-single`;
    const { inputs, labels, loss } = await readJson<{
      inputs: FixtureInputs;
      labels: { labels: number[] };
      loss: number;
    }>(`${folder}/expected.json`);
    const tensors = await readTensors(`${folder}/expected.safetensors`);
    const model = await AutoModelForSequenceClassification.fromPretrained(folder, { device: device.current });
    using _scope = device.current.scope();
    const output = model.forward({
      ...modelInputs(device.current, inputs),
      labels: int32(device.current, labels.labels),
      outputAttentions: true,
    });
    expect(Math.abs((await output.loss!.item()) / loss - 1)).toBeLessThan(1e-5);
    output.loss!.backward();
    let compared = 0;
    for (const [name, weight] of weightsOf(model)) {
      const reference = tensors.get(`grad.${name}`)!;
      const gradient = await weight.gradient();
      if (gradient === null || Math.hypot(...reference) < 1e-6) continue;
      compared += 1;
      expect(relativeError(gradient, reference), name).toBeLessThan(1e-3);
    }
    // All but those of the keys' biases and what nothing of a bare encoder reads.
    expect(compared).toBeGreaterThan(weightsOf(model).size * 0.8);
    model.dispose();
  });
});

const config = makeConfig('bert', {
  vocabSize: 60,
  hiddenSize: 32,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  intermediateSize: 24,
  maxPositionEmbeddings: 8,
  hiddenDropoutProb: 0,
  attentionProbsDropoutProb: 0.5,
});
const ids = () => device.current.tensor(Int32Array.of(2, 7, 9, 3, 2, 8, 3, 0), [2, 4]);
const mask = () => device.current.tensor(Int32Array.of(1, 1, 1, 1, 1, 1, 1, 0), [2, 4]);

describe('attention weights', () => {
  it('are those after dropout while training, and sum to one in eval mode', async () => {
    const model = await AutoModel.fromConfig(config, { device: device.current });
    using _scope = device.current.scope();
    const run = () => model.forward({ inputIds: ids(), attentionMask: mask(), outputAttentions: true });
    const dropped = await run().attentions![0]!.float32Data();
    expect(dropped.filter((value) => value === 0).length).toBeGreaterThan(10);
    model.eval();
    const weights = await run().attentions![0]!.float32Data();
    for (let row = 0; row < 16; row += 1) {
      const sum = weights.subarray(row * 4, row * 4 + 4).reduce((total, value) => total + value, 0);
      expect(sum).toBeCloseTo(1, 5);
    }
    // The last token of the second text is padding: no token looks at it.
    expect(weights.filter((_, i) => i >= 32 && i % 4 === 3)).toEqual(new Float32Array(8));
    model.dispose();
  });

  it('are the same for a mask that only the GPU knows', async () => {
    const model = (await AutoModel.fromConfig(config, { device: device.current })).eval();
    using _scope = device.current.scope();
    const run = async (attentionMask: Tensor) =>
      model.forward({ inputIds: ids(), attentionMask, outputAttentions: true }).attentions![1]!.float32Data();
    const known = mask();
    const unknown = device.current.zeros([2, 4], 'int32');
    device.current.assign(unknown, known);
    const before = await run(known);
    // The values on the CPU are no longer told.
    unknown.overwritten();
    expect(maxDifference(await run(unknown), before)).toBe(0);
    model.dispose();
  });

  it('take as many uploads in two layers as in one', async () => {
    for (const type of ['bert', 'modernbert'] as const) {
      const uploads: number[] = [];
      for (const numHiddenLayers of [1, 2]) {
        const layerTypes = new Array<'sliding_attention'>(numHiddenLayers).fill('sliding_attention');
        const local = type === 'modernbert' && { localAttention: 2, layerTypes };
        const own = makeConfig(type, { ...tinySizes, numHiddenLayers, ...local });
        const model = (await AutoModel.fromConfig(own, { device: device.current })).eval();
        using _scope = device.current.scope();
        const inputs = { inputIds: ids(), attentionMask: mask(), outputAttentions: true };
        const writes = vi.spyOn(device.current.gpu.recorder, 'write');
        noGrad(() => model.forward(inputs));
        uploads.push(writes.mock.calls.length);
        writes.mockRestore();
        model.dispose();
      }
      expect(uploads[1], type).toBe(uploads[0]);
    }
  });

  it('in mixed precision are float32, near those of float32', async ({ skip }) => {
    skip(!device.current.gpu.float16, 'the adapter has no float16');
    const folder = `${models}bert-base`;
    const { rows } = await readJson<{ rows: Run }>(`${folder}/outputs.json`);
    const expected = await readTensors(`${folder}/outputs.safetensors`);
    const model = await AutoModel.fromPretrained(folder, { device: device.current });
    using _scope = device.current.scope();
    const inputs = {
      ...modelInputs(device.current, rows),
      positionIds: int32(device.current, rows.position_ids!),
      outputAttentions: true,
    };
    const { attentions, lastHiddenState } = noGrad(() => autocast(() => model.forward(inputs)));
    for (const [layer, weights] of attentions!.entries()) {
      expect(weights.dtype).toBe('float32');
      const theirs = expected.get(`rows.attentions.${layer}`)!;
      expect(maxDifference(await weights.data(), theirs)).toBeLessThan(0.02);
    }
    const states = expected.get('rows.hidden_states.2')!;
    expect(relativeError(await lastHiddenState.data(), states)).toBeLessThan(0.01);
    model.dispose();
  });

  it('leave no tensor behind', async () => {
    const model = await AutoModelForSequenceClassification.fromConfig(config, { device: device.current });
    const before = device.current.statistics().live;
    {
      using _scope = device.current.scope();
      const labels = device.current.tensor(Int32Array.of(0, 1));
      const { loss } = model.forward({ inputIds: ids(), labels, outputAttentions: true });
      loss!.backward();
    }
    model.zeroGrad();
    expect(device.current.statistics().live).toBe(before);
    model.dispose();
  });
});

describe('what the config says', () => {
  it('holds where the inputs do not say otherwise', async () => {
    for (const [auto, folder] of [
      [AutoModel, 'bert-base'],
      [AutoModelForQuestionAnswering, 'bert-qa'],
      [AutoModelForSequenceClassification, 'roberta-single'],
    ] as const) {
      const model = await auto.fromPretrained(models + folder, {
        device: device.current,
        outputHiddenStates: true,
        outputAttentions: true,
      });
      using _scope = device.current.scope();
      const inputIds = device.current.tensor(Int32Array.of(5, 6, 7), [1, 3]);
      const output = noGrad(() => model.forward({ inputIds }));
      expect([output.hiddenStates?.length, output.attentions?.length]).toEqual([3, 2]);
      const bare = noGrad(() =>
        model.forward({ inputIds, outputHiddenStates: false, outputAttentions: false }),
      );
      expect([bare.hiddenStates, bare.attentions]).toEqual([undefined, undefined]);
      model.dispose();
    }
  });
});

describe('without a pooler', () => {
  it('the layer is neither made nor loaded, and reported as transformers does', async () => {
    const reported = await readJson<Record<string, { missing: string[]; unexpected: string[] }>>(
      `${models}loading.json`,
    );
    for (const [title, folder, addPoolingLayer] of [
      ['base without pooler', 'bert-base', false],
      ['tokens to base', 'roberta-token', true],
    ] as const) {
      let report: { missing: string[]; unexpected: string[] } | undefined;
      const model = await AutoModel.fromPretrained(models + folder, {
        device: device.current,
        addPoolingLayer,
        onReport: (given) => (report = given),
      });
      expect([...report!.missing].sort()).toEqual(reported[title]!.missing);
      expect([...report!.unexpected].sort()).toEqual(reported[title]!.unexpected);
      using _scope = device.current.scope();
      const inputIds = device.current.tensor(Int32Array.of(5, 6, 7), [1, 3]);
      const output = noGrad(() => model.forward({ inputIds }));
      expect('poolerOutput' in output).toBe(addPoolingLayer);
      expect(model.layerGroups()[0]!.length).toBe(addPoolingLayer ? 1 : 0);
      model.dispose();
    }
    const made = await AutoModel.fromConfig(config, { device: device.current, addPoolingLayer: false });
    expect(made.pooler).toBeNull();
    made.dispose();
  });
});

describe('inputs that cannot be used', () => {
  const refused: Record<string, (inputIds: Tensor) => object> = {
    'a name from Python': (inputIds) => ({ input_ids: inputIds }),
    'a name there is not': (inputIds) => ({ inputIds, positionId: inputIds }),
    'a label of a bare encoder': (inputIds) => ({ inputIds, labels: inputIds }),
    'no ids': () => ({}),
    'an array': () => ({ inputIds: [[1, 2, 3]] }),
    'null for a mask': (inputIds) => ({ inputIds, attentionMask: null }),
    'ids of floats': () => ({ inputIds: device.current.zeros([1, 3]) }),
    'a mask of floats': (inputIds) => ({ inputIds, attentionMask: device.current.ones([1, 3]) }),
    'a text alone': () => ({ inputIds: device.current.tensor(Int32Array.of(1, 2)) }),
    'a mask of another length': (inputIds) => ({
      inputIds,
      attentionMask: device.current.zeros([1, 2], 'int32'),
    }),
    'positions of another batch': (inputIds) => ({
      inputIds,
      positionIds: device.current.zeros([2, 3], 'int32'),
    }),
    'a position past the last': (inputIds) => ({
      inputIds,
      positionIds: device.current.tensor(Int32Array.of(0, 8, 1), [1, 3]),
    }),
    'a third type of token': (inputIds) => ({
      inputIds,
      tokenTypeIds: device.current.tensor(Int32Array.of(0, 2, 1), [1, 3]),
    }),
    'layers by number': (inputIds) => ({ inputIds, outputHiddenStates: [1] }),
  };
  it.each(Object.entries(refused))('%s', async (_, inputs) => {
    const model = await AutoModel.fromConfig(config, { device: device.current });
    using _scope = device.current.scope();
    const inputIds = device.current.tensor(Int32Array.of(5, 6, 7), [1, 3]);
    expect(() => model.forward(inputs(inputIds) as ModelInputs)).toThrowErrorMatchingSnapshot();
    model.dispose();
  });

  it('of heads', async () => {
    using _scope = device.current.scope();
    const inputIds = device.current.tensor(Int32Array.of(5, 6, 7), [1, 3]);
    const one = device.current.tensor(Int32Array.of(1));
    const qa = await AutoModelForQuestionAnswering.fromConfig(config, { device: device.current });
    expect(() => qa.forward({ inputIds, startPositions: one })).toThrowErrorMatchingSnapshot();
    expect(() => qa.forward({ inputIds, labels: one } as ModelInputs)).toThrowErrorMatchingSnapshot();
    const classifier = await AutoModelForSequenceClassification.fromConfig(config, {
      device: device.current,
    });
    expect(() =>
      classifier.forward({ inputIds, positions: one } as ModelInputs),
    ).toThrowErrorMatchingSnapshot();
    for (const model of [qa, classifier]) model.dispose();
  });

  it('a type of token that RoBERTa does not have', async () => {
    const model = await AutoModel.fromPretrained(`${models}roberta-base`, { device: device.current });
    using _scope = device.current.scope();
    const inputIds = device.current.tensor(Int32Array.of(5, 6, 7), [1, 3]);
    const tokenTypeIds = device.current.tensor(Int32Array.of(0, 0, 1), [1, 3]);
    expect(() => model.forward({ inputIds, tokenTypeIds })).toThrowErrorMatchingSnapshot();
    model.forward({ inputIds, tokenTypeIds: device.current.zeros([1, 3], 'int32') });
    model.dispose();
  });
});

it('takes a text past the last position where positions are given', async () => {
  const model = (await AutoModel.fromConfig(config, { device: device.current })).eval();
  using _scope = device.current.scope();
  const inputIds = device.current.full([1, 20], 7, 'int32');
  expect(() => model.forward({ inputIds })).toThrow('longer than the model');
  const positionIds = device.current.tensor(
    Int32Array.from({ length: 20 }, (_, i) => i % 8),
    [1, 20],
  );
  const { lastHiddenState } = noGrad(() => model.forward({ inputIds, positionIds }));
  const states = await lastHiddenState.float32Data();
  expect(maxDifference(states.subarray(0, 32), states.subarray(8 * 32, 9 * 32))).toBeLessThan(1e-5);
  model.dispose();
});
