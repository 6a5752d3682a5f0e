/**
 * Mixed precision: results close to float32, steps skipped if gradients overflow, and a training that
 * resumes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dataCollatorWithPadding } from '../../src/data/collate.ts';
import { DtypeError } from '../../src/errors.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import type { TaskModel } from '../../src/models/common/tasks.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor } from '../../src/optim/clip.ts';
import { GradScaler } from '../../src/optim/grad-scaler.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import type { Device } from '../../src/tensor/device.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import { toTensors } from '../../src/train/inputs.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { models } from '../support/fixtures.ts';
import { toyDataset } from '../support/toy.ts';

const device = useDevice();
const onKernels = { cpu: useDevice({ kernels: 'cpu' }), gpu: useDevice({ kernels: 'gpu' }) };
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

const tinyModel = (where = device.current) =>
  AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, {
    device: where,
    hiddenDropoutProb: 0,
    attentionProbsDropoutProb: 0,
  });

async function makeTrainer(name: string, args: Partial<TrainingArguments>): Promise<Trainer> {
  const outputDir = join(scratch, name);
  return new Trainer({
    model: await tinyModel(),
    trainDataset: toyDataset(40, 3, 1),
    args: { outputDir, maxSteps: 12, learningRate: 1e-3, loggingSteps: 1, saveStrategy: 'no', ...args },
  });
}

function batchOf(device: Device, count: number) {
  const dataset = toyDataset(count, 3, 1, 8);
  const examples = Array.from({ length: count }, (_, i) => dataset.get(i));
  return toTensors(device, dataCollatorWithPadding({ padTokenId: 0 })(examples, [...examples.keys()]));
}

/** Runs one step on the same six texts, in the open scope, and returns its loss. */
function mixedStep(model: TaskModel, optimizer: AdamW, scaler: GradScaler): Tensor {
  const { loss } = autocast(() => model.forward(batchOf(model.device, 6)));
  loss!.backward(scaler.scale);
  const gradScale = clipFactor(model.parameters(), 1, { lossScale: scaler });
  optimizer.step({ gradScale, skipNonFinite: true });
  scaler.update(gradScale);
  optimizer.zeroGrad();
  return loss!;
}

const losses = ({ state }: Trainer): number[] =>
  state.logHistory.flatMap(({ loss }) => (typeof loss === 'number' ? [loss] : []));

it('follows the rule of torch.amp.GradScaler', async () => {
  const { current } = device;
  const scaler = new GradScaler(current, { growthInterval: 3 });
  const scales: number[] = [];
  for (const norm of [1, 2, Number.POSITIVE_INFINITY, Number.NaN, 1, 1, 1, 1, 1, 1]) {
    using _scope = current.scope();
    scaler.update(current.tensor([norm, 1]));
    scales.push((await scaler.state()).scale);
  }
  // From torch.amp.GradScaler(init_scale=65536, growth_interval=3) over the same steps.
  expect(scales).toEqual([65536, 65536, 32768, 16384, 16384, 16384, 32768, 32768, 32768, 65536]);
  expect(await scaler.state()).toEqual({ scale: 65536, growthTracker: 0, skippedSteps: 2 });
  scaler.dispose();
  expect(() => new GradScaler(current, { backoffFactor: 2 })).toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: GradScaler: backoffFactor is 2 · use a number between 0 and 1]`,
  );
});

it('is refused before anything happens where the adapter has no float16', async (context) => {
  if (device.current.gpu.float16) context.skip('this adapter has float16');
  const trainer = await makeTrainer('refused', { fp16: true });
  await expect(trainer.train()).rejects.toThrow(DtypeError);
});

describe('with float16', () => {
  beforeEach((context) => {
    if (!device.current.gpu.float16) context.skip('this adapter has no float16');
  });

  it('gives logits close to those of float32', async () => {
    const { current } = device;
    using _scope = current.scope();
    const model = await tinyModel();
    model.eval();
    const batch = batchOf(current, 6);
    const [whole, half] = [model.forward(batch), autocast(() => model.forward(batch))];
    expect(half.logits.dtype).toBe('float32');
    const [expected, actual] = [await whole.logits.data(), await half.logits.data()];
    for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(5e-3);
    expect([...actual]).not.toEqual([...expected]);
    model.dispose();
  });

  it('learns the same with kernels for CPUs and for GPUs, on matrix units where the adapter lists some', async () => {
    const run = async (where: Device): Promise<number[]> => {
      const model = await tinyModel(where);
      model.train();
      const optimizer = new AdamW(model.parameters(), { lr: 1e-3 });
      const scaler = new GradScaler(where);
      const found: number[] = [];
      for (let i = 0; i < 6; i += 1) {
        using _scope = where.scope();
        found.push(await mixedStep(model, optimizer, scaler).item());
      }
      for (const part of [optimizer, scaler, model]) part.dispose();
      return found;
    };
    const [cpu, gpu] = [await run(onKernels.cpu.current), await run(onKernels.gpu.current)];
    expect(cpu.at(-1)).toBeLessThan(cpu[0]! - 0.05);
    for (const [i, loss] of cpu.entries()) expect(Math.abs(gpu[i]! - loss)).toBeLessThan(2e-3);
  });

  it('leaves a step out whose gradients overflow, and halves the scale', async () => {
    const { current } = device;
    const model = await tinyModel();
    model.train();
    const parameters = model.parameters();
    const before = await Promise.all(parameters.map((value) => value.data()));
    const optimizer = new AdamW(parameters, { lr: 1e-2 });
    const scaler = new GradScaler(current, { initScale: 2 ** 60 });
    const step = (): void => {
      using _scope = current.scope();
      mixedStep(model, optimizer, scaler);
    };
    step();
    expect(await scaler.state()).toEqual({ scale: 2 ** 59, growthTracker: 0, skippedSteps: 1 });
    for (const [i, value] of parameters.entries()) expect(await value.data()).toEqual(before[i]);
    scaler.loadState({ scale: 1024, growthTracker: 0, skippedSteps: 0 });
    step();
    expect(await scaler.state()).toEqual({ scale: 1024, growthTracker: 1, skippedSteps: 0 });
    expect(await model.namedParameters()[0]![1].data()).not.toEqual(before[0]);
    for (const part of [optimizer, scaler, model]) part.dispose();
  });

  it('learns as float32 does, and leaves no memory behind', async () => {
    const [whole, half] = [
      await makeTrainer('whole', { fp16: false }),
      await makeTrainer('half', { fp16: true }),
    ];
    await whole.train();
    await half.train();
    const [expected, actual] = [losses(whole), losses(half)];
    expect(actual).toHaveLength(12);
    for (const [i, loss] of expected.entries()) expect(Math.abs(actual[i]! - loss)).toBeLessThan(0.02);
    expect(half.state.logHistory[0]).toMatchObject({ loss_scale: 65536, skipped_steps: 0 });
    expect(half.model.parameters().every(({ dtype }) => dtype === 'float32')).toBe(true);
    whole.model.dispose();
    half.model.dispose();
    expect(device.current.statistics().live).toBe(0);
  });

  it('resumes with the numbers of an unbroken run', async () => {
    const unbroken = await makeTrainer('unbroken', { fp16: true });
    await unbroken.train();
    const broken = await makeTrainer('broken', { fp16: true, saveStrategy: 'steps', saveSteps: 5 });
    await broken.train();
    const resumed = await makeTrainer('broken', { fp16: true });
    await resumed.train({ resumeFromCheckpoint: join(scratch, 'broken', 'checkpoint-5') });
    expect(losses(resumed)).toEqual(losses(unbroken));
  });
});
