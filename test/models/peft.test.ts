/** Adapters against PEFT (test/reference/peft_fixtures.py): files both ways, logits, gradients, 20 steps, merging. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CheckpointError, ConfigError, FileError } from '../../src/errors.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { LoraConfig, type LoraOptions } from '../../src/models/peft/config.ts';
import { getPeftModel, PeftModel } from '../../src/models/peft/peft-model.ts';
import { LoraLinear } from '../../src/nn/lora.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { maxDifference, models, readTensors } from '../support/fixtures.ts';
import {
  cases,
  inputsOf,
  type Loaded,
  load,
  logitsOf,
  referenceOf,
  root,
  shown,
  trainSteps,
} from '../support/peft.ts';

const device = useDevice();
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

describe.each(cases)('%s', (name) => {
  it('is read: PEFT’s logits, loss and gradients', async () => {
    const reference = await referenceOf(name);
    const model = await load(device.current, join(root, name), reference);
    model.adapters!.train();
    const scope = device.current.scope();
    const actual = await logitsOf(model, reference);
    expect(maxDifference(shown(actual, reference), shown(reference.logits, reference))).toBeLessThan(1e-4);
    const { loss } = model.forward(inputsOf(device.current, reference));
    expect(Math.abs((await loss!.item()) - reference.loss)).toBeLessThan(1e-5);
    loss!.backward();
    const learning = new Map<string, Float32Array>();
    for (const [key, { tensor, shape, offset }] of model.adapters!.fileWeights('default')) {
      const gradient = await tensor.grad!.float32Data();
      const size = shape.reduce((a, b) => a * b, 1);
      learning.set(key, gradient.subarray(offset, offset + size));
    }
    const largest = Math.max(...Object.values(reference.gradients));
    for (const [key, norm] of Object.entries(reference.gradients)) {
      const gradient = learning.get(key);
      expect(gradient, key).toBeDefined();
      const limit = Math.max(1e-3 * norm, 1e-5 * largest);
      expect(Math.abs(Math.hypot(...gradient!) - norm), key).toBeLessThan(limit);
      const sum = gradient!.reduce((a, b) => a + b, 0);
      expect(Math.abs(sum - reference.sums[key]!), key).toBeLessThan(3 * limit);
    }
    // Nothing else learns.
    const own = new Set([...model.adapters!.fileWeights('default').values()].map(({ tensor }) => tensor));
    expect(
      model
        .parameters()
        .filter(({ grad }) => grad !== null)
        .every((tensor) => own.has(tensor)),
    ).toBe(true);
    scope.close();
    model.dispose();
  });

  it('learns 20 steps as in PEFT, is saved as PEFT does, and merges', async () => {
    const reference = await referenceOf(name);
    const model = await load(device.current, join(root, name), reference);
    const losses = await trainSteps(model, reference);
    for (const [step, loss] of losses.entries())
      expect(Math.abs(loss / reference.losses[step]! - 1), `step ${step}`).toBeLessThan(1e-3);
    const before = await logitsOf(model, reference);
    expect(maxDifference(shown(before, reference), shown(reference.merged, reference))).toBeLessThan(3e-2);

    const folder = join(scratch, name);
    await model.savePretrained(folder);
    const [mine, theirs] = [folder, join(root, name)].map((path) => join(path, 'adapter_model.safetensors'));
    const names = [...(await readTensors(theirs!)).keys()].filter(
      (key) => !/original_module|modules_to_save/.test(key),
    );
    expect([...(await readTensors(mine!)).keys()].sort()).toEqual(names.sort());
    const wrapped = new PeftModel(model);
    const merged = wrapped.mergeAndUnload();
    expect([...merged.modules()].some((module) => module instanceof LoraLinear)).toBe(false);
    expect(maxDifference(await logitsOf(merged, reference), before)).toBeLessThan(1e-4);
    await merged.savePretrained(`${folder}-merged`);
    const plain = await load(device.current, `${folder}-merged`, reference);
    expect(maxDifference(await logitsOf(plain, reference), before)).toBeLessThan(1e-4);
    for (const one of [plain, merged]) one.dispose();
  });
});

const bert = () =>
  AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, { device: device.current });
const read = async (model: object): Promise<number[]> =>
  logitsOf(model as Loaded, await referenceOf('bert-single'));

describe('a PeftModel', () => {
  it('begins as its model, trains its adapter and head alone, and gives the model back', async () => {
    const { current } = device;
    const live = current.statistics().live;
    const plain = await bert();
    const before = await read(plain);
    const model = getPeftModel(plain, new LoraConfig({ taskType: 'SEQ_CLS', r: 4, loraAlpha: 8 }));
    expect(maxDifference(await read(model), before)).toBe(0);
    expect(model.numParameters({ onlyTrainable: true })).toBe(2 * 2 * (4 * 32 + 32 * 4) + 3 * 32 + 3);
    expect(model.peftConfig.default!.targetModules).toEqual(['query', 'value']);
    expect(model.peftConfig.default!.modulesToSave).toEqual(['classifier', 'score']);
    const names = model.namedParameters().map(([name]) => name);
    expect(names).toContain(
      'base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.default.weight',
    );
    expect(model.unload()).toBe(plain);
    expect(maxDifference(await read(plain), before)).toBe(0);
    plain.dispose();
    await current.sync();
    expect(current.statistics().live).toBe(live);
  });

  it('has several adapters over one base, of which one acts', async () => {
    const reference = await referenceOf('bert-single');
    const plain = await bert();
    const before = await read(plain);
    const model = await PeftModel.fromPretrained(plain, join(root, 'bert-single'), { adapterName: 'theirs' });
    model.addAdapter('fresh', new LoraConfig({ taskType: 'SEQ_CLS', r: 2, targetModules: 'all-linear' }));
    expect(model.activeAdapter).toBe('theirs');
    expect(maxDifference(await read(model), reference.logits)).toBeLessThan(1e-4);
    model.setAdapter('fresh');
    expect(maxDifference(await read(model), before)).toBeLessThan(1e-6);
    model.setAdapter('theirs');
    expect(maxDifference(await read(model), reference.logits)).toBeLessThan(1e-4);
    const without = await model.disableAdapter(() => read(model));
    expect(maxDifference(without, before)).toBeLessThan(1e-6);
    model.deleteAdapter('fresh');
    expect(Object.keys(model.peftConfig)).toEqual(['theirs']);
    expect(() => model.setAdapter('fresh')).toThrow(ConfigError);
    expect(maxDifference(await read(model), reference.logits)).toBeLessThan(1e-4);
    expect(model.parameters().some(({ requiresGrad }) => requiresGrad)).toBe(false);
    model.dispose();
  });

  it('drops inputs of adapters while training, and computes in mixed precision', async () => {
    const reference = await referenceOf('bert-single');
    const plain = await bert();
    const model = getPeftModel(
      plain,
      new LoraConfig({ taskType: 'SEQ_CLS', loraDropout: 0.5, initLoraWeights: false }),
    );
    const first = await read(model);
    model.train();
    for (const module of model.modules()) if (module instanceof LoraLinear) module.training = true;
    expect(maxDifference(await read(model), first)).toBeGreaterThan(1e-4);
    model.eval();
    expect(maxDifference(await read(model), first)).toBe(0);
    if (device.current.gpu.float16) {
      const out = noGrad(() => autocast(() => model.forward(inputsOf(device.current, reference) as never)));
      expect(maxDifference(await (out as { logits: Tensor }).logits.float32Data(), first)).toBeLessThan(0.05);
    }
    model.dispose();
  });

  it.each<[string, LoraOptions, string]>([
    ['r', { r: 0 }, 'r is 0'],
    ['a name', { alpha: 3 } as LoraOptions, "there is no option 'alpha' · its name is loraAlpha"],
    ['targets', { targetModules: ['q_lin'] }, "the model's are called query, key, value, dense, classifier"],
    ['an embedding', { targetModules: ['word_embeddings'] }, 'word_embeddings'],
    ['a pattern', { targetModules: '(' }, 'is not a pattern'],
    ['a part', { modulesToSave: ['self.key'], targetModules: ['query'] }, 'modulesToSave names a part of'],
    ['dropout', { loraDropout: 1 }, 'loraDropout is 1'],
  ])('refuses %s that cannot be', async (_, options, message) => {
    const plain = await bert();
    expect(() => getPeftModel(plain, new LoraConfig(options))).toThrow(message);
    plain.dispose();
  });

  it('names targets for families without usual ones', async () => {
    const model = await AutoModelForSequenceClassification.fromPretrained(`${models}distilbert-single`, {
      device: device.current,
    });
    expect(() => getPeftModel(model, new LoraConfig())).toThrow('["q_lin","v_lin"]');
    model.dispose();
  });

  it('refuses folders without an adapter, and adapters of another model', async () => {
    const plain = await bert();
    await expect(PeftModel.fromPretrained(plain, `${models}bert-single`)).rejects.toThrow(FileError);
    await expect(PeftModel.fromPretrained(plain, join(root, 'roberta-single'))).rejects.toThrow(ConfigError);
    await expect(PeftModel.fromPretrained(plain, join(root, 'bert-mlm-patterns'))).resolves.toBeDefined();
    plain.dispose();
    const other = await bert();
    await expect(PeftModel.fromPretrained(other, join(root, 'electra-single'))).rejects.toThrow(
      CheckpointError,
    );
    other.dispose();
  });
});
