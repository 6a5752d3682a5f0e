/** What ELECTRA has of its own: embeddings of another width, replaced tokens, the summary of a choice. */
import { describe, expect, it } from 'vitest';
import { DtypeError } from '../../src/errors.ts';
import {
  AutoConfig,
  AutoModel,
  AutoModelForMultipleChoice,
  AutoModelForPreTraining,
  AutoModelForSequenceClassification,
} from '../../src/models/auto.ts';
import { ElectraForPreTraining } from '../../src/models/electra.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { useDevice } from '../support/device.ts';
import { type FixtureInputs, type Ids, int32, modelInputs, models, readJson } from '../support/fixtures.ts';
import { tinySizes } from '../support/toy.ts';

const device = useDevice();

describe('embeddings', () => {
  it('are projected if they have another width, and only then', async () => {
    for (const [embeddingSize, projected] of [
      [7, true],
      [24, false],
    ] as const) {
      const config = AutoConfig.forModel('electra', { ...tinySizes, embeddingSize });
      const model = await AutoModel.fromConfig(config, { device: device.current });
      const state = model.stateDict();
      expect(state.get('embeddings.word_embeddings.weight')!.shape).toEqual([41, embeddingSize]);
      expect(state.get('embeddings_project.weight')?.shape).toEqual(projected ? [24, 7] : undefined);
      model.dispose();
    }
  });

  it('thaw last, with their projection', async () => {
    const config = AutoConfig.forModel('electra', { ...tinySizes, embeddingSize: 7 });
    const model = await AutoModelForSequenceClassification.fromConfig(config, { device: device.current });
    const groups = model.layerGroups();
    expect(groups.map((group) => group.map((part) => part.constructor.name))).toEqual([
      ['ClassificationHead'],
      ['EncoderLayer'],
      ['ElectraEmbeddings'],
    ]);
    const last = new Set(groups.at(-1)!.flatMap((part) => part.parameters()));
    expect(last.has(model.stateDict().get('electra.embeddings_project.bias')!)).toBe(true);
    model.dispose();
  });
});

describe('replaced tokens', () => {
  const folder = `${models}electra-replaced`;
  const load = () => AutoModelForPreTraining.fromPretrained(folder, { device: device.current });

  it('count if the mask shows them; without a mask, all', async () => {
    const model = await load();
    expect(model).toBeInstanceOf(ElectraForPreTraining);
    const { inputs, labels } = await readJson<{ inputs: FixtureInputs; labels: { labels: Ids } }>(
      `${folder}/expected.json`,
    );
    using _scope = device.current.scope();
    const given = modelInputs(device.current, inputs);
    const lossOf = (values: Ids, more = given) =>
      noGrad(() => model.forward({ ...more, labels: int32(device.current, values) })).loss!.item();
    const mask = inputs.attention_mask as Ids;
    const hidden = labels.labels.map((row, b) => row.map((one, at) => (mask[b]![at] === 1 ? one : -100)));
    expect(await lossOf(hidden)).toBe(await lossOf(labels.labels));
    const bare = { inputIds: given.inputIds };
    const ones = {
      ...bare,
      attentionMask: int32(
        device.current,
        mask.map((row) => row.map(() => 1)),
      ),
    };
    expect(await lossOf(labels.labels, bare)).toBeCloseTo(await lossOf(labels.labels, ones), 6);
    model.dispose();
  });

  it('are 0 and 1, on the CPU', async () => {
    const model = await load();
    using _scope = device.current.scope();
    const inputIds = int32(device.current, [[5, 6, 7]]);
    const name = 'ElectraForPreTraining.forward: ';
    const run = (labels: Ids) => () => model.forward({ inputIds, labels: int32(device.current, labels) });
    expect(run([[0, 2, 1]])).toThrow(`${name}label 2 is neither 0 (as it was) nor 1 (replaced)`);
    expect(run([[0, 1]])).toThrow(`${name}labels [1,2] do not fit inputIds [1,3]`);
    expect(() => model.forward({ inputIds, labels: device.current.zeros([1, 3]) })).toThrow(
      `${name}labels came from the GPU`,
    );
    expect(() => model.forward({ inputIds, labels: [0, 1, 0] as never })).toThrow(DtypeError);
    model.dispose();
  });

  it('have masked language modelling in their place in families trained so', async () => {
    const model = await AutoModelForPreTraining.fromPretrained(`${models}roberta-mlm`, {
      device: device.current,
    });
    expect(model.architecture).toBe('RobertaForMaskedLM');
    model.dispose();
  });
});

describe('the summary of a choice', () => {
  const make = (values: object) =>
    AutoModelForMultipleChoice.fromConfig(
      AutoConfig.forModel('electra', { ...tinySizes, embeddingSize: 7, ...values }),
      { device: device.current },
    );

  it('is projected and activated as the config says', async () => {
    const model = await make({ summaryUseProj: false, summaryActivation: null });
    expect(model.stateDict().has('sequence_summary.summary.weight')).toBe(false);
    model.dispose();
  });

  it('of other tokens than the first is refused', async () => {
    await expect(make({ summaryType: 'mean' })).rejects.toThrow("summary_type 'mean' is not supported");
  });
});
