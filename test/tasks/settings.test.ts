/** What each task tells a checkpoint of its features: what a training on them depends on. */
import { expect, it } from 'vitest';
import { AutoConfig } from '../../src/models/auto.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import { tasks } from '../../src/tasks/registry.ts';
import type { EncodingOptions } from '../../src/tasks/task.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import { useDevice } from '../support/device.ts';
import { fixtures } from '../support/fixtures.ts';

const device = useDevice({ adapter: 'null' });
const windows = { maxLength: 9, docStride: 128 };
const masks = { maxLength: 9, mlmProbability: 0.15, wholeWordMask: false };
const vectors = { maxLength: 9, loss: 'CoSENTLoss', matryoshkaDims: null };
const set = { kind: 'scored', texts: ['a', 'b'], label: 1, place: 'a file' };

/** By task: an example, the settings by default, and what options change. */
const cases: Record<string, [object[], object, [Partial<EncodingOptions>, object][]]> = {
  'text-classification': [[], { maxLength: 9 }, [[{ truncation: false }, {}]]],
  'token-classification': [[], windows, [[{ docStride: 3 }, { docStride: 3 }]]],
  'question-answering': [[], windows, [[{ docStride: 3, nBest: 2 }, { docStride: 3 }]]],
  'multiple-choice': [[], { maxLength: 9 }, []],
  'fill-mask': [
    [],
    masks,
    [
      [{ mlmProbability: 0.3 }, { mlmProbability: 0.3 }],
      [{ wholeWordMask: true, topK: 2 }, { wholeWordMask: true }],
    ],
  ],
  'sentence-similarity': [
    [set],
    vectors,
    [
      [{ loss: 'CoSENTLoss', miniBatchSize: 3 }, {}],
      [{ loss: 'CosineSimilarityLoss' }, { loss: 'CosineSimilarityLoss' }],
      // It does not fit, and is not what is computed.
      [{ loss: 'TripletLoss' }, {}],
      [{ matryoshkaDims: [8, 4] }, { matryoshkaDims: [8, 4] }],
    ],
  ],
};

it('there is a case of each task', () => {
  expect(Object.keys(cases).sort()).toEqual(tasks.map(({ name }) => name).sort());
});

it.each(Object.entries(cases))('%s', async (name, [examples, usual, changes]) => {
  const tokenizer = await AutoTokenizer.fromPretrained(`${fixtures}tasks/fill-mask`);
  const model = await SentenceTransformer.fromPretrained(`${fixtures}sentence/model`, {
    device: device.current,
  });
  const config = AutoConfig.forModel('bert', { id2label: { 0: 'a', 1: 'b' } });
  const task = tasks.find((one) => one.name === name)!;
  const settings = (options: Partial<EncodingOptions>) =>
    task.bind(tokenizer, config, { maxLength: 9, ...options }, model).settings(examples);
  expect(settings({})).toEqual(usual);
  for (const [options, differing] of changes) expect(settings(options)).toEqual({ ...usual, ...differing });
  expect(settings({ maxLength: 8 })).toEqual({ ...usual, maxLength: 8 });
  model.dispose();
});
