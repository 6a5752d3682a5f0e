/**
 * Fixed-seed trainings of 50 steps whose losses and gradient norms must keep every bit, so that a refactoring
 * can show that it changes no number. The bits depend on the adapter's arithmetic: a small shader identifies
 * it, and on an adapter that was not recorded the curves are compared within a tolerance.
 * `DAWNGRAD_RECORD_CURVES=1` records the adapter's curves; use it only for a change that is meant to change
 * numbers.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { dataCollatorForLanguageModeling } from '../../src/data/collate.ts';
import {
  AutoConfig,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
} from '../../src/models/auto.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import type { Device } from '../../src/tensor/device.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import type { TrainableModel } from '../../src/train/predict.ts';
import { Trainer, type TrainerOptions } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { models } from '../support/fixtures.ts';
import { toyDataset } from '../support/toy.ts';
import { useFolders } from '../support/trainer.ts';

const device = useDevice();
const onKernels = { cpu: useDevice({ kernels: 'cpu' }), gpu: useDevice({ kernels: 'gpu' }) };
const folder = useFolders();
const path = new URL('../reference/curves.json', import.meta.url).pathname;

interface Curve {
  /** The loss of each step, as logged: rounded to six decimals. */
  losses: number[];
  /** The gradient norm of each step, unrounded: a float32 that depends on every gradient. */
  norms: number[];
}

/** By adapter, then by training. */
type Recorded = Record<string, { arithmetic: string; curves: Record<string, Curve> }>;

const recorded: Recorded = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Recorded) : {};
const recording = process.env.DAWNGRAD_RECORD_CURVES === '1';

/**
 * Computes what compilers and processors do differently: fused multiply-adds, division, functions, subgroups.
 */
const probe = `
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
  let x = f32(i) * 0.37 + 0.11;
  var sum = 0.0;
  for (var k = 1u; k < 40u; k++) { sum += x * f32(k) * 0.013 - sum * x * 0.07; }
  y[i] = sum;
  y[64 + i] = exp(-x) + tanh(x * 0.1) + log(x);
  y[128 + i] = 1.0 / (x * x + 0.3) + sqrt(x) + inverseSqrt(x);
  y[192 + i] = sin(x) + cos(x * 3.0) + pow(x, 0.7);
}`;

/** A hash of the probe's results, and the subgroup size, which determines the order of sums. */
async function arithmeticOf({ gpu }: Device): Promise<string> {
  const { device: raw } = gpu;
  const bytes = 256 * 4;
  const pipeline = raw.createComputePipeline({
    layout: 'auto',
    compute: { module: raw.createShaderModule({ code: probe }) },
  });
  const y = raw.createBuffer({ size: bytes, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const back = raw.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = raw.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const layout = pipeline.getBindGroupLayout(0);
  pass.setBindGroup(0, raw.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: y } }] }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(y, 0, back, 0, bytes);
  raw.queue.submit([encoder.finish()]);
  await back.mapAsync(GPUMapMode.READ);
  const hash = createHash('sha256').update(new Uint8Array(back.getMappedRange())).digest('hex');
  for (const buffer of [y, back]) buffer.destroy();
  return `${hash.slice(0, 16)}, subgroups of ${gpu.subgroupSize}`;
}

interface Training {
  kernels: 'cpu' | 'gpu';
  model: (device: Device) => Promise<PreTrainedModel>;
  collator?: TrainerOptions['dataCollator'];
  args?: Partial<TrainingArguments>;
}

/** All of them use dropout and skip padding. */
const dropout = { hiddenDropoutProb: 0.1, attentionProbsDropoutProb: 0.1 };

/**
 * In this model, queries, keys and values begin at offsets where a binding may begin; in the fixtures they do
 * not.
 */
async function wideModel(where: Device) {
  where.manualSeed(7);
  const config = AutoConfig.forModel('bert', {
    vocabSize: 131,
    hiddenSize: 64,
    numHiddenLayers: 2,
    numAttentionHeads: 2,
    intermediateSize: 128,
    maxPositionEmbeddings: 40,
    numLabels: 3,
    initializerRange: 0.1,
    ...dropout,
  });
  return AutoModelForSequenceClassification.fromConfig(config, { device: where });
}

const masking = dataCollatorForLanguageModeling({
  padTokenId: 1,
  maskTokenId: 4,
  vocabSize: 137,
  specialIds: [0, 1, 2, 3],
  seed: 5,
});

const narrow = (where: Device) =>
  AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, { device: where, ...dropout });
const masked = (where: Device) =>
  AutoModelForMaskedLM.fromPretrained(`${models}roberta-mlm`, { device: where, ...dropout });

const trainings: Record<string, Training> = {
  'bert, three classes': { kernels: 'cpu', model: narrow },
  'bert, three classes, kernels for GPUs': { kernels: 'gpu', model: narrow },
  'bert of width 64': { kernels: 'cpu', model: wideModel },
  'bert of width 64, kernels for GPUs': { kernels: 'gpu', model: wideModel },
  'bert of width 64, thawed layer by layer, batches added up': {
    kernels: 'cpu',
    model: wideModel,
    args: { freezeEncoderEpochs: 1, unfreezeLayersPerEpoch: 1, gradientAccumulationSteps: 2 },
  },
  'roberta, masked tokens': { kernels: 'cpu', model: masked, collator: masking },
  'roberta, masked tokens, kernels for GPUs': { kernels: 'gpu', model: masked, collator: masking },
};

async function curveOf({ kernels, model, collator, args }: Training, fp16: boolean): Promise<Curve> {
  const where = onKernels[kernels].current;
  const trained = await model(where);
  const trainer = new Trainer({
    model: trained as TrainableModel,
    trainDataset: toyDataset(40, 3, 1),
    ...(collator && { dataCollator: collator }),
    args: {
      outputDir: folder(),
      maxSteps: 50,
      perDeviceTrainBatchSize: 4,
      learningRate: 2e-3,
      loggingSteps: 1,
      saveStrategy: 'no',
      fp16,
      ...args,
    },
  });
  await trainer.train();
  trained.dispose();
  const log = trainer.state.logHistory.filter(({ loss }) => loss !== undefined);
  return {
    losses: log.map(({ loss }) => loss as number),
    norms: log.map((entry) => entry.grad_norm as number),
  };
}

/** Differences grow slowly and are largest in the last steps; this tolerance catches errors, not rounding. */
const LOOSE = 0.05;

function compare(name: string, curve: Curve, bits: string): void {
  const [adapter, known] = Object.entries(recorded).find(([, { arithmetic }]) => arithmetic === bits) ?? [];
  if (known !== undefined) {
    expect(curve, `${name}, as on ${adapter}`).toEqual(known.curves[name]);
    return;
  }
  const like = Object.values(recorded).find(({ curves }) => curves[name] !== undefined)!.curves[name]!;
  console.log(`${name}: this adapter's arithmetic (${bits}) is not recorded; compared within ${LOOSE}`);
  for (const [step, loss] of like.losses.slice(0, 10).entries())
    expect(Math.abs(curve.losses[step]! - loss), `${name}, step ${step + 1}`).toBeLessThan(LOOSE);
}

for (const fp16 of [false, true]) {
  for (const [title, training] of Object.entries(trainings)) {
    const name = fp16 ? `${title}, fp16` : title;
    it(`${name}: every step as recorded`, async ({ skip }) => {
      skip(fp16 && !device.current.gpu.float16, 'the adapter has no float16');
      const curve = await curveOf(training, fp16);
      expect(curve.losses).toHaveLength(50);
      const bits = await arithmeticOf(device.current);
      if (recording) {
        const { description } = device.current.gpu;
        const entry = recorded[description] ?? { arithmetic: bits, curves: {} };
        recorded[description] = { arithmetic: bits, curves: { ...entry.curves, [name]: curve } };
        writeFileSync(path, `${JSON.stringify(recorded)}\n`);
      } else compare(name, curve, bits);
    });
  }
}
