/** Unknown options are rejected by name wherever options are accepted. */
import { describe, expect, it } from 'vitest';
import * as dawngrad from '../src/index.ts';
import { checkOptions } from '../src/options.ts';
import { resolveArguments } from '../src/train/argument-checks.ts';
import { useDevice } from './support/device.ts';
import { models } from './support/fixtures.ts';

const device = useDevice();
const d = dawngrad;

/** Calls as plain JavaScript does. */
function loosely<A extends unknown[], R>(call: (...args: A) => R): (...args: unknown[]) => R {
  return call as unknown as (...args: unknown[]) => R;
}

const make = <T>(Class: new (...args: never[]) => T, ...args: unknown[]): T =>
  new (Class as unknown as new (...args: unknown[]) => T)(...args);

const typo = { notAnOption: 1 };
const tensor = () => device.current.ones([2, 4]);
const config = () => d.AutoConfig.forModel('bert', { hiddenSize: 8, numAttentionHeads: 2, vocabSize: 9 });
const adamw = (): dawngrad.AdamW => new d.AdamW([tensor()]);
const single = `${models}bert-single`;
const tokens = new URL('../examples/sentiment/model', import.meta.url).pathname;
const sentences = new URL('./reference/fixtures/sentence/model', import.meta.url).pathname;
const sentence = () => d.SentenceTransformer.fromPretrained(sentences, { device: device.current });
const classifier = () =>
  d.AutoModelForSequenceClassification.fromConfig(config(), { device: device.current });
const tokenizer = () => d.AutoTokenizer.fromPretrained(tokens);

const calls: Record<string, () => unknown> = {
  requestDevice: () => loosely(d.requestDevice)(typo),
  'device.randn': () => loosely(device.current.randn.bind(device.current))([2], typo),
  'device.fillNormal': () => loosely(device.current.fillNormal.bind(device.current))(tensor(), typo),
  matmul: () => loosely(d.matmul)(tensor(), tensor(), typo),
  gelu: () => loosely(d.gelu)(tensor(), typo),
  clamp: () => loosely(d.clamp)(tensor(), typo),
  crossEntropy: () => loosely(d.crossEntropy)(tensor(), device.current.zeros([2], 'int32'), typo),
  mseLoss: () => loosely(d.mseLoss)(tensor(), tensor(), typo),
  bceWithLogits: () => loosely(d.bceWithLogits)(tensor(), tensor(), typo),
  attention: () => loosely(d.attention)(tensor(), tensor(), tensor(), { heads: 1, ...typo }),
  selfAttention: () => loosely(d.selfAttention)(tensor(), { heads: 1, ...typo }),
  addLayerNorm: () => loosely(d.addLayerNorm)(tensor(), tensor(), tensor(), tensor(), typo),
  Linear: () => make(d.Linear, device.current, 2, 2, typo),
  Embedding: () => make(d.Embedding, device.current, 2, 2, typo),
  LayerNorm: () => make(d.LayerNorm, device.current, 2, typo),
  copyFolder: () => loosely(d.copyFolder)(tokens, 'none', typo),
  zipFolder: async () => {
    for await (const _ of loosely(d.zipFolder)(tokens, typo) as AsyncIterable<unknown>) break;
  },
  numParameters: () => loosely(new d.Linear(device.current, 2, 2).numParameters)(typo),
  AdamW: () => make(d.AdamW, [tensor()], typo),
  Adafactor: () => make(d.Adafactor, [tensor()], typo),
  'a group of Adafactor': () => make(d.Adafactor, [{ params: [tensor()], ...typo }]),
  Lion: () => make(d.Lion, [tensor()], typo),
  'a group of Lion': () => make(d.Lion, [{ params: [tensor()], ...typo }]),
  'a group of AdamW': () => make(d.AdamW, [{ params: [tensor()], ...typo }]),
  'AdamW.step': () => {
    const optimizer = adamw();
    return loosely(optimizer.step.bind(optimizer))(typo);
  },
  clipFactor: () => loosely(d.clipFactor)([tensor()], 1, typo),
  GradScaler: () => make(d.GradScaler, device.current, typo),
  getScheduler: () => loosely(d.getScheduler)('linear', adamw(), typo),
  EarlyStoppingCallback: () => make(d.EarlyStoppingCallback, typo),
  TrainingArguments: () => resolveArguments({ outputDir: 'x', ...typo } as never),
  Trainer: () => make(d.Trainer, { model: {}, args: { outputDir: 'x' }, ...typo }),
  'Trainer.train': () => {
    const trainer = make(d.Trainer, { model: {}, args: { outputDir: 'x' } });
    return loosely(trainer.train.bind(trainer))(typo);
  },
  'Trainer.predict': () => {
    const trainer = make(d.Trainer, { model: {}, args: { outputDir: 'x' } });
    return loosely(trainer.predict.bind(trainer))(new d.ArrayDataset([]), typo);
  },
  readTaggedTexts: () => loosely(d.readTaggedTexts)('x', typo),
  readQuestions: () => loosely(d.readQuestions)('x', typo),
  readChoices: () => loosely(d.readChoices)('x', typo),
  'bind of a task': () => loosely(d.taskNamed('fill-mask').bind)({}, {}, { maxLength: 1, ...typo }),
  dataCollatorForMultipleChoice: () => loosely(d.dataCollatorForMultipleChoice)({ padTokenId: 0, ...typo }),
  'AutoConfig.fromPretrained': () => loosely(d.AutoConfig.fromPretrained)(single, typo),
  'AutoConfig.forModel': () => loosely(d.AutoConfig.forModel)('bert', typo),
  'AutoModel.fromPretrained': () => loosely(d.AutoModel.fromPretrained)(single, typo),
  'AutoModel.fromConfig': () => loosely(d.AutoModel.fromConfig)(config(), typo),
  LoraConfig: () => make(d.LoraConfig, typo),
  getPeftModel: async () => loosely(d.getPeftModel)(await classifier(), new d.LoraConfig(), typo),
  'PeftModel.fromPretrained': async () => loosely(d.PeftModel.fromPretrained)(await classifier(), 'x', typo),
  loadAdapter: async () => {
    const model = d.getPeftModel(await classifier(), new d.LoraConfig());
    return loosely(model.loadAdapter.bind(model))('x', typo);
  },
  'a pooler of a head': () =>
    loosely(d.AutoModelForSequenceClassification.fromPretrained)(single, { addPoolingLayer: false }),
  'AutoTokenizer.fromPretrained': () => loosely(d.AutoTokenizer.fromPretrained)(tokens, typo),
  encode: async () => (await tokenizer()).encode('a', undefined, typo as never),
  encodeBatch: async () => (await tokenizer()).encodeBatch(['a'], typo as never),
  pad: async () => (await tokenizer()).pad([], typo as never),
  decode: async () => (await tokenizer()).decode([1], typo as never),
  batchDecode: async () => (await tokenizer()).batchDecode([[1]], typo as never),
  exportOnnx: () => loosely(d.exportOnnx)({}, 'x', typo),
  readTable: () => loosely(d.readTable)('x.tsv', typo),
  decideTask: () => loosely(d.decideTask)({ path: 'x', rows: [] }, typo),
  inferLabels: () => loosely(d.inferLabels)({ path: 'x', rows: [] }, typo),
  encodeTable: () => loosely(d.encodeTable)({ path: 'x', rows: [] }, null, {}, typo),
  DataLoader: () => make(d.DataLoader, new d.ArrayDataset([]), { batchSize: 1, ...typo }),
  dataCollatorWithPadding: () => loosely(d.dataCollatorWithPadding)({ padTokenId: 0, ...typo }),
  dataCollatorForTokenClassification: () =>
    loosely(d.dataCollatorForTokenClassification)({ padTokenId: 0, ...typo }),
  dataCollatorForLanguageModeling: () =>
    loosely(d.dataCollatorForLanguageModeling)({ padTokenId: 0, ...typo }),
  normalize: () => loosely(d.normalize)(tensor(), typo),
  SentenceTransformer: () => make(d.SentenceTransformer, {}, typo),
  'SentenceTransformer.fromPretrained': () => loosely(d.SentenceTransformer.fromPretrained)(sentences, typo),
  'SentenceTransformer.encode': async () => loosely((await sentence()).encode)(['a'], typo),
  'SentenceTransformer.savePretrained': async () =>
    loosely((await sentence()).savePretrained)('/nowhere', typo),
  SentenceTransformerTrainer: () => make(d.SentenceTransformerTrainer, typo),
  'CrossEncoder.predict': () => loosely(d.CrossEncoder.prototype.predict)([], typo),
  'CrossEncoder.rank': () => loosely(d.CrossEncoder.prototype.rank)('a', [], typo),
  MultipleNegativesRankingLoss: () => make(d.MultipleNegativesRankingLoss, {}, typo),
  CachedMultipleNegativesRankingLoss: () => make(d.CachedMultipleNegativesRankingLoss, {}, typo),
  CoSENTLoss: () => make(d.CoSENTLoss, {}, typo),
  TripletLoss: () => make(d.TripletLoss, {}, typo),
  BatchAllTripletLoss: () => make(d.BatchAllTripletLoss, {}, typo),
  MatryoshkaLoss: () => make(d.MatryoshkaLoss, {}, {}, typo),
  readTextSets: () => loosely(d.readTextSets)('x', typo),
  savePretrained: async () => {
    const model = await d.AutoModel.fromConfig(config(), { device: device.current });
    return loosely(model.savePretrained.bind(model))('/nowhere', typo);
  },
};

describe('an option there is not', () => {
  it.each(Object.entries(calls))('%s', async (_, call) => {
    using _scope = device.current.scope();
    const error = await (async () => call())().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(d.ConfigError);
    const name = call.toString().includes('addPoolingLayer') ? 'addPoolingLayer' : 'notAnOption';
    expect((error as Error).message).toMatch(new RegExp(`: there is no option '${name}' · there are `));
  });
});

describe('names from Python', () => {
  const names = [
    'bf16',
    'learning_rate',
    'evaluationStrategy',
    'per_device_train_batch_size',
    'resumeFromCheckpoint',
    'logingSteps',
  ];
  it.each(names)('of TrainingArguments: %s', (name) => {
    expect(() => resolveArguments({ outputDir: 'x', [name]: 1 } as never)).toThrowErrorMatchingSnapshot();
  });

  it.each(['torchDtype', 'num_labels', 'deviceMap', 'attnImplementation', 'label2id'])(
    'of fromPretrained: %s',
    async (name) => {
      await expect(
        loosely(d.AutoModel.fromPretrained)(single, { [name]: 1 }),
      ).rejects.toThrowErrorMatchingSnapshot();
    },
  );

  it('tokenizer of Trainer', () => {
    expect(() => make(d.Trainer, { model: {}, args: { outputDir: 'x' }, tokenizer: {} })).toThrow(
      "Trainer: there is no option 'tokenizer' · pass it as processingClass",
    );
  });
});

describe('values there are not', () => {
  const model = () => d.AutoModel.fromConfig(config(), { device: device.current });
  const wrong: Record<string, () => unknown> = {
    'a type of numbers to save': async () =>
      loosely((await model()).savePretrained)('/nowhere', { dtype: 'float16' }),
    'what to do with a folder': async () =>
      loosely((await model()).savePretrained)('/nowhere', { existing: 'overwrite' }),
    'sizes that may differ': () =>
      loosely(d.AutoModel.fromPretrained)(single, { ignoreMismatchedSizes: 'heads' }),
    'an approximation': () => loosely(d.gelu)(tensor(), { approximate: 'erf' }),
    'an activation': () => loosely(d.linear)(tensor(), tensor(), undefined, 'gelu_new'),
    'a family of kernels': () => loosely(d.requestDevice)({ kernels: 'cuda' }),
    'one beta': () => make(d.AdamW, [tensor()], { betas: [0.9] }),
    'a schedule': () => loosely(d.getScheduler)('sawtooth', adamw(), { numTrainingSteps: 1 }),
    'no folder': () => loosely(d.AutoModel.fromPretrained)(undefined),
    'a device by name': () => loosely(d.AutoModel.fromPretrained)(single, { device: 'gpu' }),
    'names that are null': () =>
      loosely(d.AutoModel.fromPretrained)(single, { device: device.current, id2label: null }),
    'no inputs': async () => {
      const made = await model();
      return loosely(made.forward.bind(made))();
    },
    'a tensor for inputs': async () => {
      const made = await model();
      return loosely(made.forward.bind(made))(device.current.zeros([1, 2], 'int32'));
    },
    'no batch': () => loosely(d.toTensors)(device.current),
    'a batch of lists': () => loosely(d.toTensors)(device.current, { input_ids: [[1]] }),
    'no norm': () => loosely(d.clipGradNorm)([tensor()]),
    'no model': () => make(d.Trainer, { args: { outputDir: 'x' } }),
    'no config': () => loosely(d.AutoModel.fromConfig)({ model_type: 'bert' }, { device: device.current }),
  };
  it.each(Object.entries(wrong))('%s', async (_, call) => {
    using _scope = device.current.scope();
    await expect((async () => call())()).rejects.toThrowErrorMatchingSnapshot();
  });
});

describe('checkOptions', () => {
  it('takes what is undefined for not given, and a name of Object for any other', () => {
    checkOptions('x', undefined, {});
    checkOptions('x', { a: undefined }, {});
    expect(() => checkOptions('x', { toString: 1 }, { a: true }, {})).toThrow(
      "there is no option 'toString'",
    );
    expect(() => checkOptions('x', { constructor: 1 }, { a: true })).toThrow('there are a');
  });

  it('refuses what is no object', () => {
    expect(() => checkOptions('x', 'tanh' as never, { approximate: true })).toThrow(
      'x: the options are tanh · pass an object',
    );
    expect(() => checkOptions('x', null as never, {})).toThrow('x: the options are null');
  });
});

it('refuses a dimension of softmax that is not the last', () => {
  using _scope = device.current.scope();
  expect(() => d.softmax(tensor(), 0)).toThrow('softmax: dimension 0 is not the last of [2,4]');
  expect(d.softmax(tensor(), 1).shape).toEqual([2, 4]);
});

describe('arguments of another kind', () => {
  const values = {
    fp16: 'yes',
    groupByLength: 1,
    loadBestModelAtEnd: null,
    evalStrategy: 'epochs',
    saveStrategy: true,
    metricForBestModel: 1,
    greaterIsBetter: 'yes',
    saveTotalLimit: 1.5,
    learningRate: '5e-5',
  };
  it.each(Object.entries(values))('%s', (name, value) => {
    expect(() => resolveArguments({ outputDir: 'x', [name]: value } as never)).toThrowErrorMatchingSnapshot();
  });
});

it('takes undefined arguments for defaults, and wants a folder', () => {
  expect(resolveArguments({ outputDir: 'x', learningRate: undefined as never }).learningRate).toBe(5e-5);
  expect(() => resolveArguments({} as never)).toThrow('outputDir is undefined · name a folder');
});
