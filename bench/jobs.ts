/** Whole jobs: training steps and inference of BERTs of the usual sizes, with random weights and no data. */

import { summarize, type Timing } from '../src/gpu/measure.ts';
import { AutoModelForSequenceClassification } from '../src/models/auto.ts';
import { type ConfigOverrides, makeConfig } from '../src/models/config.ts';
import { AdamW } from '../src/optim/adamw.ts';
import { clipFactor } from '../src/optim/clip.ts';
import { GradScaler } from '../src/optim/grad-scaler.ts';
import { autocast } from '../src/tensor/autocast.ts';
import type { Device } from '../src/tensor/device.ts';
import { noGrad } from '../src/tensor/tape.ts';
import type { Tensor } from '../src/tensor/tensor.ts';
import { type KernelTime, kernelTimes } from './lib/gpu-time.ts';

export interface JobSize {
  name: string;
  family: 'bert' | 'roberta' | 'mpnet' | 'deberta-v2';
  layers: number;
  hidden: number;
  heads: number;
  vocabulary: number;
  /** What the family's config has beside the sizes. */
  values?: ConfigOverrides;
}

/** Version 3 of DeBERTa. */
const disentangled: ConfigOverrides = {
  relativeAttention: true,
  positionBuckets: 256,
  shareAttKey: true,
  posAttType: ['p2c', 'c2p'],
  normRelEbd: 'layer_norm',
  positionBiasedInput: false,
};

export const jobSizes: readonly JobSize[] = [
  { family: 'bert', name: 'bert-tiny', layers: 2, hidden: 128, heads: 2, vocabulary: 30_522 },
  { family: 'bert', name: 'bert-mini', layers: 4, hidden: 256, heads: 4, vocabulary: 30_522 },
  { family: 'bert', name: 'MiniLM', layers: 6, hidden: 384, heads: 12, vocabulary: 30_522 },
  { family: 'bert', name: 'bert-base', layers: 12, hidden: 768, heads: 12, vocabulary: 30_522 },
  {
    family: 'roberta',
    name: 'roberta-base',
    layers: 12,
    hidden: 768,
    heads: 12,
    vocabulary: 50_265,
    values: { maxPositionEmbeddings: 514 },
  },
  // As large as MiniLM, so that the costs of their attention can be compared.
  {
    family: 'mpnet',
    name: 'MPNet-6',
    layers: 6,
    hidden: 384,
    heads: 12,
    vocabulary: 30_527,
    values: { maxPositionEmbeddings: 514 },
  },
  {
    family: 'deberta-v2',
    name: 'DeBERTa-6',
    layers: 6,
    hidden: 384,
    heads: 12,
    vocabulary: 30_522,
    values: disentangled,
  },
];

export interface PhaseSeconds {
  forward: number;
  backward: number;
  optimizer: number;
}

export interface JobResult {
  job: string;
  /** Mixed precision. */
  fp16: boolean;
  batch: number;
  length: number;
  timing: Timing;
  tokensPerSecond: number;
  /** Operations per second of the products: 2 per weight and (real) token in forward, 4 more in training. */
  flops: number;
  dispatches: number;
  /** Host seconds to record and submit a step. */
  host: Timing;
  peakBytes: number;
  /** Number made during the timed steps: 0 in a steady state. */
  buffersCreated: number;
  bindGroupsCreated: number;
  /** Set for training steps. */
  phases?: PhaseSeconds;
  /** GPU time of one step by kernel, longest first; empty if the adapter has no timestamps. */
  kernels: KernelTime[];
}

export interface JobOptions {
  training: boolean;
  batch: number;
  length: number;
  steps: number;
  /** Stop timing after this many seconds, once there are three samples. */
  seconds?: number;
  /** Steps before timing starts. Default 3. */
  warmUp?: number;
  /** Use texts of all lengths up to `length`, so that half of the batch is padding. Default false. */
  padded?: boolean;
  /** Mixed precision. */
  fp16?: boolean;
}

/** 1 for a token, 0 for padding. */
function attentionMask({ batch, length, padded = false }: JobOptions): Int32Array {
  const share = (b: number): number => (batch === 1 ? 0.5 : 1 - b / (batch - 1));
  const lengthOf = (b: number): number => (padded ? Math.max(1, Math.round(length * share(b))) : length);
  return Int32Array.from({ length: batch * length }, (_, i) => {
    return i % length < lengthOf(Math.floor(i / length)) ? 1 : 0;
  });
}

/** Times each phase separately; the sum exceeds the time of a step, in which the host runs ahead. */
async function timePhases(
  device: Device,
  phases: Readonly<Record<keyof PhaseSeconds, () => void>>,
): Promise<PhaseSeconds> {
  const times = { forward: [] as number[], backward: [] as number[], optimizer: [] as number[] };
  for (let i = 0; i < 3; i += 1) {
    const scope = device.scope();
    for (const name of ['forward', 'backward', 'optimizer'] as const) {
      const start = performance.now();
      phases[name]();
      await device.sync();
      times[name].push((performance.now() - start) / 1000);
    }
    scope.close();
  }
  const median = (values: number[]): number => summarize(values).median;
  return {
    forward: median(times.forward),
    backward: median(times.backward),
    optimizer: median(times.optimizer),
  };
}

/** What a job does with a batch of any shape. */
export type JobKind = Pick<JobOptions, 'training' | 'padded' | 'fp16'>;

/** The name of a job without its batch and length. */
export function jobKind({ name }: JobSize, { training, padded = false, fp16 = false }: JobKind): string {
  return `${name}, ${training ? 'training' : 'inference'}${padded ? ', half padding' : ''}${fp16 ? ', fp16' : ''}`;
}

/** The full name of a job, unique within a run. */
export function jobName({ job, batch, length }: Pick<JobResult, 'job' | 'batch' | 'length'>): string {
  return `${job} ${batch}×${length}`;
}

/** Operations of a step's products: 2 per weight and token in forward, 4 more in training. */
export function jobFlops({ layers, hidden }: JobSize, { training }: JobKind, tokens: number): number {
  return (training ? 6 : 2) * 12 * layers * hidden ** 2 * tokens;
}

/** A classifier with random weights. */
export function makeModel(device: Device, size: JobSize) {
  device.manualSeed(1);
  const config = makeConfig(size.family, {
    vocabSize: size.vocabulary,
    hiddenSize: size.hidden,
    numHiddenLayers: size.layers,
    numAttentionHeads: size.heads,
    intermediateSize: 4 * size.hidden,
    ...size.values,
  });
  return AutoModelForSequenceClassification.fromConfig(config, { device });
}

/** Times steps in sequence, waiting for the GPU after each. */
export async function runJob(device: Device, size: JobSize, options: JobOptions): Promise<JobResult> {
  const { training, batch, length, steps, warmUp = 3, fp16 = false } = options;
  const { seconds = Number.POSITIVE_INFINITY } = options;
  const model = await makeModel(device, size);
  model.train(training);
  const parameters = model.parameters();
  const optimizer = new AdamW(parameters, { lr: 1e-5 });
  const scaler = fp16 ? new GradScaler(device) : null;
  const precisely = <T>(body: () => T): T => (fp16 ? autocast(body) : body());
  const ids = Int32Array.from({ length: batch * length }, (_, i) => 1000 + ((i * 7919) % 20_000));
  const mask = attentionMask(options);
  const labels = Int32Array.from({ length: batch }, (_, i) => i % 2);
  const shape = [batch, length];
  let loss: Tensor | undefined;
  const phases = {
    forward: (): void => {
      const inputs = { inputIds: device.tensor(ids, shape), attentionMask: device.tensor(mask, shape) };
      if (training) loss = precisely(() => model.forward({ ...inputs, labels: device.tensor(labels) })).loss;
      else noGrad(() => precisely(() => model.forward(inputs)));
    },
    backward: (): void => loss!.backward(scaler?.scale),
    optimizer: (): void => {
      const gradScale = clipFactor(parameters, 1, { lossScale: scaler ?? 1 });
      optimizer.step({ gradScale, skipNonFinite: fp16 });
      scaler?.update(gradScale);
      optimizer.zeroGrad();
    },
  };
  const step = (): void => {
    const scope = device.scope();
    phases.forward();
    if (training) {
      phases.backward();
      phases.optimizer();
    }
    scope.close();
    device.submit();
  };
  for (let i = 0; i < warmUp; i += 1) step();
  await device.sync();
  const before = device.statistics();
  const times: number[] = [];
  const hostTimes: number[] = [];
  const begin = performance.now();
  while (times.length < steps && (times.length < 3 || performance.now() - begin < 1000 * seconds)) {
    const start = performance.now();
    step();
    hostTimes.push((performance.now() - start) / 1000);
    await device.sync();
    times.push((performance.now() - start) / 1000);
  }
  const after = device.statistics();
  const dispatches = (after.dispatches - before.dispatches) / times.length;
  const timing = summarize(times);
  const tokens = mask.reduce((sum, value) => sum + value, 0);
  const result = {
    job: jobKind(size, options),
    fp16,
    batch,
    length,
    timing,
    tokensPerSecond: tokens / timing.median,
    flops: jobFlops(size, options, tokens) / timing.median,
    dispatches,
    host: summarize(hostTimes),
    peakBytes: after.peakBytes,
    buffersCreated: after.created - before.created,
    bindGroupsCreated: after.bindGroupMisses - before.bindGroupMisses,
    ...(training && { phases: await timePhases(device, phases) }),
    kernels: await kernelTimes(device, step),
  };
  optimizer.dispose();
  scaler?.dispose();
  model.dispose();
  device.trim();
  return result;
}
