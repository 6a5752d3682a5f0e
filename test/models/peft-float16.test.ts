/** Adapters over a base of float16: PEFT's numbers over the same rounded matrices, and half of the memory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError, DtypeError } from '../../src/errors.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { LoraConfig } from '../../src/models/peft/config.ts';
import { getPeftModel, PeftModel } from '../../src/models/peft/peft-model.ts';
import { Linear } from '../../src/nn/layers.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import type { Device } from '../../src/tensor/device.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { TrainableModel } from '../../src/train/predict.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { maxDifference, models } from '../support/fixtures.ts';
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
import { toyDataset } from '../support/toy.ts';
import { asHalves } from '../tensor/op-differences.ts';

const families: [string, { readonly current: Device }, readonly string[]][] = [
  ['kernels for CPU adapters', useDevice({ kernels: 'cpu' }), cases],
  ['kernels for GPUs', useDevice({ kernels: 'gpu' }), ['bert-qa-all', 'modernbert-single']],
];
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

describe.each(families)('%s', (_, device, covered) => {
  beforeEach((context) => {
    if (!device.current.gpu.float16) context.skip('this adapter has no float16');
  });

  it.each(covered)('%s computes and learns as PEFT does over rounded matrices', async (name) => {
    const reference = await referenceOf(name);
    const { rounded } = reference;
    const model = await load(device.current, join(root, name), reference);
    model.adapters!.castBase('float16');
    expect(model.adapters!.baseDtype).toBe('float16');
    const actual = await logitsOf(model, reference);
    expect(maxDifference(shown(actual, reference), shown(rounded.logits, reference))).toBeLessThan(1e-4);
    const losses = await trainSteps(model, reference);
    for (const [step, loss] of losses.entries()) {
      expect(Math.abs(loss / rounded.losses[step]! - 1), `step ${step}`).toBeLessThan(1e-3);
      // The rounding changes little.
      expect(Math.abs(loss / reference.losses[step]! - 1), `step ${step}`).toBeLessThan(1e-2);
    }
    // Of the base only matrices are float16, of what learns nothing.
    const halves = model.parameters().filter(({ dtype }) => dtype === 'float16');
    expect(halves.every(({ rank, requiresGrad }) => rank === 2 && !requiresGrad)).toBe(true);
    const frozen = [...model.modules()].filter(
      (module) => module instanceof Linear && !module.weight.requiresGrad,
    ) as Linear[];
    expect(frozen.every(({ weight }) => weight.dtype === 'float16')).toBe(true);
    model.dispose();
  });
});

describe('a base of float16', () => {
  const device = useDevice();
  beforeEach((context) => {
    if (!device.current.gpu.float16) context.skip('this adapter has no float16');
  });
  const name = 'bert-single';
  const options = { taskType: 'SEQ_CLS', initLoraWeights: false } as const;
  const plainOf = async (): Promise<Loaded> =>
    load(device.current, `${models}${name}`, await referenceOf(name));

  it('has the bits of a rounded one of float32, in float32 and in mixed precision', async () => {
    const reference = await referenceOf(name);
    const { current } = device;
    const seen: (Float32Array | number[])[][] = [];
    for (const baseDtype of ['float32', 'float16'] as const) {
      const plain = await plainOf();
      const { weight } = plain.base.wordEmbeddings;
      const matrices = [...plain.modules()].flatMap((module) =>
        module instanceof Linear && module !== plain.classLayer ? [module.weight] : [],
      );
      for (const tensor of [weight, ...matrices])
        tensor.write(Float32Array.from(asHalves(await tensor.float32Data())));
      current.manualSeed(1);
      const model = getPeftModel(plain, new LoraConfig(options), { baseDtype });
      const inputs = inputsOf(current, reference) as never;
      const losses: Float32Array[] = [];
      for (const mode of [(body: () => Tensor) => body(), autocast]) {
        const scope = current.scope();
        const loss = mode(() => (model.forward(inputs) as { loss: Tensor }).loss);
        loss.backward();
        losses.push(await loss.float32Data());
        scope.close();
      }
      const learning = model.parameters().filter(({ requiresGrad }) => requiresGrad);
      seen.push([...losses, ...(await Promise.all(learning.map(({ grad }) => grad!.float32Data())))]);
      model.dispose();
    }
    expect(seen[1]).toEqual(seen[0]);
  });

  it('takes half of the memory, and leaves nothing behind', async () => {
    const { current } = device;
    const { live } = current.statistics();
    const plain = await plainOf();
    const matrices = [...plain.modules()].flatMap((module) =>
      module instanceof Linear && module !== plain.classLayer ? [module.weight.size] : [],
    );
    const elements = [plain.base.wordEmbeddings.weight.size, ...matrices].reduce((a, b) => a + b);
    const bytes = (model: PreTrainedModel) =>
      model.parameters().reduce((sum, tensor) => sum + tensor.bytes, 0);
    const model = getPeftModel(plain, new LoraConfig(options));
    const before = [bytes(model), current.statistics().liveBytes] as const;
    model.model.adapters!.castBase('float16');
    expect(before[0] - bytes(model)).toBe(2 * elements);
    expect(before[1] - current.statistics().liveBytes).toBeGreaterThan(1.9 * elements);
    model.dispose();
    await current.sync();
    expect(current.statistics().live).toBe(live);
  });

  it('is written as over float32, and merged over float32 only', async () => {
    const reference = await referenceOf(name);
    const folder = join(scratch, name);
    const half = await PeftModel.fromPretrained(await plainOf(), join(root, name), { baseDtype: 'float16' });
    await half.savePretrained(folder);
    expect(() => half.mergeAndUnload()).toThrow(ConfigError);
    half.dispose();
    const read = await PeftModel.fromPretrained(await plainOf(), folder);
    expect(maxDifference(await logitsOf(read as Loaded, reference), reference.logits)).toBeLessThan(1e-4);
    const merged = read.mergeAndUnload();
    expect(maxDifference(await logitsOf(merged, reference), reference.logits)).toBeLessThan(1e-4);
    merged.dispose();
  });

  it('takes further adapters, with copies of its matrices in float32', async () => {
    const reference = await referenceOf(name);
    const model = await PeftModel.fromPretrained(await plainOf(), join(root, name), { baseDtype: 'float16' });
    const without = await model.disableAdapter(() => logitsOf(model as Loaded, reference));
    model.addAdapter('another', new LoraConfig({ targetModules: ['query'], modulesToSave: ['dense'] }));
    model.setAdapter('another');
    expect(maxDifference(await logitsOf(model as Loaded, reference), without)).toBeLessThan(1e-6);
    const learning = model.parameters().filter(({ requiresGrad }) => requiresGrad);
    expect(learning.every(({ dtype }) => dtype === 'float32')).toBe(true);
    model.setAdapter('default');
    const { rounded } = reference;
    expect(maxDifference(await logitsOf(model as Loaded, reference), rounded.logits)).toBeLessThan(1e-4);
    model.dispose();
  });

  it('is refused by an adapter without float16, and where the whole model learns', async () => {
    const { current } = device;
    const plain = await plainOf();
    const args = { outputDir: join(scratch, 'none'), baseDtype: 'float16' } as const;
    const trainDataset = toyDataset(4, 3, 1);
    await expect(new Trainer({ model: plain as TrainableModel, args, trainDataset }).train()).rejects.toThrow(
      "baseDtype is 'float16', but the whole model learns",
    );
    Object.assign(current.gpu, { float16: false });
    try {
      expect(() => getPeftModel(plain, new LoraConfig(options), { baseDtype: 'float16' })).toThrow(
        DtypeError,
      );
    } finally {
      Object.assign(current.gpu, { float16: true });
    }
    plain.dispose();
  });
});
