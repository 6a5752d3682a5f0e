/** dawngrad's side of the comparison. */

import type { Batch } from '../../src/data/collate.ts';
import { BertForSequenceClassification } from '../../src/models/bert.ts';
import { makeConfig } from '../../src/models/config.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor } from '../../src/optim/clip.ts';
import { GradScaler } from '../../src/optim/grad-scaler.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import type { Device } from '../../src/tensor/device.ts';
import { matmul } from '../../src/tensor/ops/matmul.ts';
import { layerNorm, softmax } from '../../src/tensor/ops/normalize.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { predictBatches } from '../../src/train/predict.ts';
import { adam, LAYER_NORM_EPS, type PeerJob } from './job.ts';
import type { Library, PeerKernel, Work } from './library.ts';

/** Runs `body` in its own scope; `read` uses the result before the scope closes. */
function work(device: Device, body: () => Tensor, dispose: () => void): Work {
  const sync = () => device.sync();
  const run = (): void => {
    const scope = device.scope();
    body();
    scope.close();
    device.submit();
  };
  const result = async (): Promise<Float32Array> => {
    const scope = device.scope();
    const values = Float32Array.from(await body().data());
    scope.close();
    return values;
  };
  return { run, sync, result, dispose };
}

function kernelBody(device: Device, kernel: PeerKernel, inputs: readonly Float32Array[]): () => Tensor {
  if (kernel.op === 'matmul') {
    const [a, b] = [
      device.tensor(inputs[0]!, [kernel.m, kernel.k]),
      device.tensor(inputs[1]!, [kernel.k, kernel.n]),
    ];
    return () => matmul(a, b);
  }
  const x = device.tensor(inputs[0]!, [kernel.rows, kernel.cols]);
  if (kernel.op === 'softmax') return () => softmax(x);
  const [weight, bias] = [device.tensor(inputs[1]!), device.tensor(inputs[2]!)];
  return () => layerNorm(x, weight, bias, LAYER_NORM_EPS);
}

/** A BERT with the job's weights and without dropout. */
export function makeModel(device: Device, { model: size, weights }: PeerJob): BertForSequenceClassification {
  const config = makeConfig('bert', {
    vocabSize: size.vocabulary,
    hiddenSize: size.hidden,
    numHiddenLayers: size.layers,
    numAttentionHeads: size.heads,
    intermediateSize: 4 * size.hidden,
    hiddenDropoutProb: 0,
    attentionProbsDropoutProb: 0,
  });
  const model = new BertForSequenceClassification(config, device);
  for (const [name, { tensor, offset }] of model.fileWeights())
    tensor.write(weights.get(name)!.values, offset);
  return model;
}

export interface FineTuning {
  weightDecay: number;
  /** Gradients are clipped to this norm. */
  maxNorm: number;
  /** Mixed precision. */
  fp16?: boolean;
}

/** Steps of Adam, or of AdamW with clipping. */
export function training(device: Device, job: PeerJob, extra?: FineTuning): Work {
  const model = makeModel(device, job);
  const { lr, beta1, beta2, eps } = adam;
  const optimizer = new AdamW(model.parameters(), {
    lr,
    betas: [beta1, beta2],
    eps,
    weightDecay: extra?.weightDecay ?? 0,
  });
  const { size, length, ids, mask, labels } = job.batch;
  const fp16 = extra?.fp16 === true;
  const scaler = fp16 ? new GradScaler(device) : null;
  const parameters = model.parameters();
  const forward = (): Tensor =>
    model.forward({
      inputIds: device.tensor(ids, [size, length]),
      attentionMask: device.tensor(mask, [size, length]),
      labels: device.tensor(labels),
    }).loss!;
  const body = (): Tensor => {
    const loss = fp16 ? autocast(forward) : forward();
    loss.backward(scaler?.scale);
    const gradScale =
      extra === undefined ? null : clipFactor(parameters, extra.maxNorm, { lossScale: scaler ?? 1 });
    optimizer.step({ gradScale, skipNonFinite: fp16 });
    scaler?.update(gradScale);
    optimizer.zeroGrad();
    return loss;
  };
  return work(device, body, () => {
    optimizer.dispose();
    scaler?.dispose();
    model.dispose();
    device.trim();
  });
}

/** Logits of all batches, copied to the host as the other libraries do. */
export function inference(device: Device, job: PeerJob, fp16 = false): Work {
  const model = makeModel(device, job);
  const batches = job.batches.map(({ size, length, ids, mask }) => ({
    inputIds: ids,
    attentionMask: mask,
    shape: [size, length],
  }));
  const result = async (): Promise<Float32Array> => {
    const logits: number[] = [];
    for await (const batch of predictBatches(model, batches as Batch[], { fp16 }))
      logits.push(...batch.logits);
    return Float32Array.from(logits);
  };
  return {
    run: async () => void (await result()),
    sync: () => device.sync(),
    result,
    dispose: () => {
      model.dispose();
      device.trim();
    },
  };
}

export function ours(device: Device, version: string): Library {
  return {
    name: 'dawngrad',
    version,
    kernel: async (kernel, inputs) => {
      const scope = device.scope();
      const body = kernelBody(device, kernel, inputs);
      return work(
        device,
        () => noGrad(body),
        () => {
          scope.close();
          device.trim();
        },
      );
    },
    training: async (job) => training(device, job),
    inference: async (job) => inference(device, job),
    texts: async (job) => inference(device, job),
  };
}
