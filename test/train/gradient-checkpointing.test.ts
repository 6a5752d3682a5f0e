/** Computing layers again instead of keeping their activations changes no bit, and needs less memory. */
import { describe, expect, it } from 'vitest';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { type ConfigOverrides, makeConfig } from '../../src/models/config.ts';
import { LoraConfig, type LoraOptions } from '../../src/models/peft/config.ts';
import { getPeftModel } from '../../src/models/peft/peft-model.ts';
import { attentionTargets } from '../../src/models/peft/targets.ts';
import type { ModelType } from '../../src/models/registry.ts';
import { checkpoint } from '../../src/tensor/checkpoint.ts';
import { type Device, requestDevice } from '../../src/tensor/device.ts';
import { add, dropout, mul } from '../../src/tensor/ops/elementwise.ts';
import { mean } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import type { TrainableModel } from '../../src/train/predict.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { families } from '../support/families.ts';
import { toyDataset } from '../support/toy.ts';
import { useFolders } from '../support/trainer.ts';

const device = useDevice();
const onKernels = { cpu: useDevice({ kernels: 'cpu' }), gpu: useDevice({ kernels: 'gpu' }) };
const folder = useFolders();

const sizes: ConfigOverrides = {
  vocabSize: 131,
  hiddenSize: 32,
  numHiddenLayers: 3,
  numAttentionHeads: 2,
  intermediateSize: 64,
  maxPositionEmbeddings: 40,
  numLabels: 3,
  padTokenId: 1,
  initializerRange: 0.1,
};
const dropouts: ConfigOverrides = { hiddenDropoutProb: 0.1, attentionProbsDropoutProb: 0.1 };
const distances = { relativeAttention: true, posAttType: ['c2p', 'p2c'] };

/** What only this family has, so that layers read tables that all of them share. */
const own: Partial<Record<ModelType, object>> = {
  'deberta-v2': distances,
  modernbert: { hiddenDropoutProb: undefined, embeddingDropout: 0.1, mlpDropout: 0.1, localAttention: 8 },
};

interface Training {
  family: ModelType;
  config?: object;
  args?: Partial<TrainingArguments>;
  /** Trains an adapter. */
  lora?: LoraOptions;
}

/** Losses, norms and the weights at the end. */
async function train(
  where: Device,
  { family, config, args, lora }: Training,
  gradientCheckpointing: boolean,
) {
  where.manualSeed(3);
  const values = { ...sizes, ...dropouts, ...own[family], ...config };
  const model = await AutoModelForSequenceClassification.fromConfig(makeConfig(family, values), {
    device: where,
  });
  if (lora !== undefined)
    getPeftModel(model, new LoraConfig({ targetModules: attentionTargets(model), ...lora }));
  const trainer = new Trainer({
    model: model as TrainableModel,
    trainDataset: toyDataset(24, 3, 1),
    args: {
      outputDir: folder(),
      maxSteps: 5,
      perDeviceTrainBatchSize: 4,
      gradientAccumulationSteps: 2,
      learningRate: 2e-3,
      loggingSteps: 1,
      saveStrategy: 'no',
      ...args,
      gradientCheckpointing,
    },
  });
  await trainer.train();
  expect(model.isGradientCheckpointing).toBe(gradientCheckpointing);
  const weights = await Promise.all(
    model.namedParameters().map(async ([name, tensor]) => [name, await tensor.float32Data()]),
  );
  model.dispose();
  const log = trainer.state.logHistory.filter(({ loss }) => loss !== undefined);
  return { log: log.map(({ loss, grad_norm }) => [loss, grad_norm]), weights };
}

async function expectSame(where: Device, training: Training): Promise<void> {
  const usual = await train(where, training, false);
  expect(usual.log.length).toBeGreaterThanOrEqual(4);
  expect(await train(where, training, true)).toEqual(usual);
}

describe.each(families)('%s', (family) => {
  it.each([false, true])('trains with the same bits, fp16 %s', async (fp16) => {
    if (fp16 && !device.current.gpu.float16) return;
    await expectSame(device.current, { family, args: { fp16 } });
  });
});

describe('the same bits', () => {
  it.each(['cpu', 'gpu'] as const)('with the kernels for a %s', async (kernels) => {
    await expectSame(onKernels[kernels].current, { family: 'bert' });
    await expectSame(onKernels[kernels].current, { family: 'deberta-v2' });
  });

  it('if layers share weights, or read a table twice', async () => {
    const { current } = device;
    await expectSame(current, { family: 'albert', config: { numHiddenGroups: 1, innerGroupNum: 2 } });
    await expectSame(current, { family: 'deberta-v2', config: { hiddenDropoutProb: 0 } });
    await expectSame(current, { family: 'deberta-v2', config: { shareAttKey: true } });
    await expectSame(current, { family: 'bert', config: { positionEmbeddingType: 'relative_key_query' } });
  });

  it.each<Partial<TrainingArguments>>([
    {},
    { baseDtype: 'float16' },
    { fp16: true },
    { fp16: true, baseDtype: 'float16' },
  ])('with an adapter that learns, %o', async (args) => {
    const { current } = device;
    if (Object.keys(args).length > 0 && !current.gpu.float16) return;
    for (const lora of [
      { taskType: 'SEQ_CLS', loraDropout: 0.1 },
      { bias: 'all', layersToTransform: [1] },
    ] as const)
      await expectSame(current, { family: 'bert', args, lora });
    await expectSame(current, { family: 'modernbert', args, lora: { targetModules: 'all-linear' } });
    await expectSame(current, { family: 'deberta-v2', args, lora: { r: 2 } });
  });

  it('while layers thaw, and if nothing but the head learns', async () => {
    const args = {
      freezeEncoderEpochs: 1,
      unfreezeLayersPerEpoch: 1,
      perDeviceTrainBatchSize: 8,
      maxSteps: 8,
    };
    await expectSame(device.current, { family: 'bert', args });
    await expectSame(device.current, { family: 'bert', args: { freezeEncoderEpochs: 9 } });
  });

  it('with outputHiddenStates, and with outputAttentions, whose layers are kept', async () => {
    await expectSame(device.current, { family: 'bert', config: { outputHiddenStates: true } });
    await expectSame(device.current, { family: 'bert', config: { outputAttentions: true } });
  });
});

/** Peak of the memory that one step lends. */
async function peakOf(gradientCheckpointing: boolean): Promise<number> {
  const where = await requestDevice();
  try {
    const config = makeConfig('bert', { ...sizes, ...dropouts, numHiddenLayers: 12 });
    const model = await AutoModelForSequenceClassification.fromConfig(config, { device: where });
    const args = { outputDir: folder(), maxSteps: 2, saveStrategy: 'no', gradientCheckpointing } as const;
    await new Trainer({ model, trainDataset: toyDataset(16, 3, 1, 36), args }).train();
    return where.statistics().peakLiveBytes;
  } finally {
    where.destroy();
  }
}

it('needs less memory', async () => {
  const [usual, less] = [await peakOf(false), await peakOf(true)];
  expect(less).toBeLessThan(usual / 2);
});

describe('checkpoint', () => {
  it('gives gradients to computed tensors, to leaves and to leaves outside, added up in order', async () => {
    const { current } = device;
    const gradients = async (again: boolean) => {
      current.manualSeed(5);
      const scope = current.scope();
      try {
        const [a, b, c] = [1, 2, 3].map(() => current.randn([8, 16]));
        for (const leaf of [a!, b!, c!]) leaf.requiresGrad = true;
        const x = mul(a!, b!);
        const body = ({ x, b }: { x: Tensor; b: Tensor }) => mul(add(mul(dropout(x, 0.3), c!), mul(x, x)), b);
        const y = again ? checkpoint(current, body, { x, b: b! }) : body({ x, b: b! });
        mean(add(mul(y, y), x)).backward();
        return await Promise.all([a!, b!, c!].map(({ grad }) => grad!.float32Data()));
      } finally {
        scope.close();
      }
    };
    expect(await gradients(true)).toEqual(await gradients(false));
  });

  it('frees what it kept', async () => {
    const { current } = device;
    const live = current.statistics().live;
    for (const backward of [true, false]) {
      const scope = current.scope();
      const leaf = current.randn([4, 4]);
      leaf.requiresGrad = true;
      const [x, mask] = [mul(leaf, leaf), current.ones([4, 4])];
      const y = mean(checkpoint(current, ({ x, seen }) => mul(x, seen[0]!.mask), { x, seen: [{ mask }] }));
      if (backward) y.backward();
      scope.close();
    }
    expect(current.statistics().live).toBe(live);
  });
});
