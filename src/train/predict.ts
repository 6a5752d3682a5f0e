/** Logits of many batches, without gradients. */
import type { Batch } from '../data/collate.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { autocast } from '../tensor/autocast.ts';
import { noGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type BatchTensors, toTensors } from './inputs.ts';

/** A model the loop can train: its forward gives a loss where there are labels. */
export interface TrainableModel extends PreTrainedModel {
  forward(inputs: BatchTensors): { loss?: Tensor; logits?: Tensor };
}

export interface BatchPrediction {
  batch: Batch;
  /** Row-major, the model's logits for the batch. */
  logits: Float32Array;
  /** null without labels. */
  loss: number | null;
}

/**
 * Runs the model in eval mode over batches, in mixed precision if `fp16`; the next batch is recorded while
 * the last one's result is on its way back.
 */
export async function* predictBatches(
  model: TrainableModel,
  batches: Iterable<Batch>,
  { fp16 = false }: { fp16?: boolean } = {},
): AsyncGenerator<BatchPrediction> {
  const wasTraining = model.training;
  model.eval();
  let pending: Promise<BatchPrediction> | null = null;
  try {
    for (const batch of batches) {
      const next = runBatch(model, batch, fp16);
      // The generator may be left before this is awaited.
      next.catch(() => {});
      if (pending !== null) yield await pending;
      pending = next;
    }
    if (pending !== null) yield await pending;
  } finally {
    model.train(wasTraining);
  }
}

function runBatch(model: TrainableModel, batch: Batch, fp16: boolean): Promise<BatchPrediction> {
  const { device } = model;
  const scope = device.scope();
  try {
    const forward = () => model.forward(toTensors(device, batch));
    const { loss, logits } = noGrad(() => (fp16 ? autocast(forward) : forward()));
    // Reading records a copy at once, so that the tensors may go when the scope closes.
    const reads = [logits?.float32Data() ?? new Float32Array(), loss?.float32Data() ?? null] as const;
    return Promise.all(reads).then(([values, lossValue]) => ({
      batch,
      logits: values,
      loss: lossValue?.[0] ?? null,
    }));
  } finally {
    scope.close();
  }
}
