/** Whole jobs: training steps and inference of BERTs of the usual sizes, random weights, no data. */
import { AutoModelForSequenceClassification } from '../src/models/auto.ts';
import { makeConfig } from '../src/models/config.ts';
import { AdamW } from '../src/optim/adamw.ts';
import { clipFactor } from '../src/optim/clip.ts';
import type { Device } from '../src/tensor/device.ts';
import { noGrad } from '../src/tensor/tape.ts';
import { summarize, type Timing } from './lib/measure.ts';

export interface JobSize {
  name: string;
  layers: number;
  hidden: number;
  heads: number;
  vocabulary: number;
}

export const jobSizes: readonly JobSize[] = [
  { name: 'bert-tiny', layers: 2, hidden: 128, heads: 2, vocabulary: 30_522 },
  { name: 'bert-mini', layers: 4, hidden: 256, heads: 4, vocabulary: 30_522 },
  { name: 'MiniLM', layers: 6, hidden: 384, heads: 12, vocabulary: 30_522 },
  { name: 'bert-base', layers: 12, hidden: 768, heads: 12, vocabulary: 30_522 },
];

export interface JobResult {
  job: string;
  batch: number;
  length: number;
  timing: Timing;
  tokensPerSecond: number;
  /** Floating-point operations a second of the matrix products: 2 a weight and token forward, 4 more in training. */
  flops: number;
  dispatches: number;
  /** Seconds of host time a dispatch, over the whole step. */
  hostPerDispatch: number;
  peakBytes: number;
  /** Made during the timed steps: 0 in a steady state. */
  buffersCreated: number;
  bindGroupsCreated: number;
  /** GPU time of one step by kernel, the longest first; empty where the adapter has no timestamps. */
  kernels: { name: string; count: number; seconds: number }[];
}

async function timeKernels(device: Device, step: () => void): Promise<JobResult['kernels']> {
  if (!device.gpu.device.features.has('timestamp-query')) return [];
  const timer = device.gpu.recorder.startTimer();
  step();
  await device.sync();
  const times = await timer.read();
  device.gpu.recorder.stopTimer();
  return [...times]
    .map(([name, { count, seconds }]) => ({ name, count, seconds }))
    .sort((a, b) => b.seconds - a.seconds);
}

/** Times steps one after the other, each to its end on the GPU. */
export async function runJob(
  device: Device,
  size: JobSize,
  { training, batch, length, steps }: { training: boolean; batch: number; length: number; steps: number },
): Promise<JobResult> {
  device.manualSeed(1);
  const config = makeConfig('bert', {
    vocabSize: size.vocabulary,
    hiddenSize: size.hidden,
    numHiddenLayers: size.layers,
    numAttentionHeads: size.heads,
    intermediateSize: 4 * size.hidden,
  });
  const model = await AutoModelForSequenceClassification.fromConfig(config, { device });
  model.train(training);
  const optimizer = new AdamW(model.parameters(), { lr: 1e-5 });
  const ids = Int32Array.from({ length: batch * length }, (_, i) => 1000 + ((i * 7919) % 20_000));
  const labels = Int32Array.from({ length: batch }, (_, i) => i % 2);
  const step = (): void => {
    const scope = device.scope();
    const inputs = {
      inputIds: device.tensor(ids, [batch, length]),
      attentionMask: device.full([batch, length], 1, 'int32'),
    };
    if (training) {
      model.forward({ ...inputs, labels: device.tensor(labels) }).loss!.backward();
      optimizer.step({ gradScale: clipFactor(model.parameters(), 1) });
      optimizer.zeroGrad();
    } else {
      noGrad(() => model.forward(inputs));
    }
    scope.close();
    device.submit();
  };
  for (let i = 0; i < 3; i += 1) step();
  await device.sync();
  const before = device.statistics();
  const times: number[] = [];
  let host = 0;
  for (let i = 0; i < steps; i += 1) {
    const start = performance.now();
    step();
    host += performance.now() - start;
    await device.sync();
    times.push((performance.now() - start) / 1000);
  }
  const after = device.statistics();
  const kernels = await timeKernels(device, step);
  const dispatches = (after.dispatches - before.dispatches) / steps;
  const timing = summarize(times);
  const weights = size.layers * 12 * size.hidden ** 2;
  const tokens = batch * length;
  const result = {
    job: `${size.name}, ${training ? 'training' : 'inference'}`,
    batch,
    length,
    timing,
    tokensPerSecond: tokens / timing.median,
    flops: ((training ? 6 : 2) * weights * tokens) / timing.median,
    dispatches,
    hostPerDispatch: host / 1000 / steps / dispatches,
    peakBytes: after.peakBytes,
    buffersCreated: after.created - before.created,
    bindGroupsCreated: after.bindGroupMisses - before.bindGroupMisses,
    kernels,
  };
  optimizer.dispose();
  model.dispose();
  device.trim();
  return result;
}
