/** Batches to tensors. */
import type { Batch } from '../data/collate.ts';
import { DataError } from '../errors.ts';
import type { LabelledInputs } from '../models/common/tasks.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';

export interface BatchTensors extends LabelledInputs {
  positions?: Tensor;
  skipPadding: true;
}

/** What of a batch is uploaded: what a collator makes, or a tokenizer's `encodeBatch`. */
export type UploadedBatch = Omit<Batch, 'indices'>;

/** Uploads a batch; the tensors belong to the open scope. Throws `DataError` for what is no batch. */
export function toTensors(device: Device, batch: UploadedBatch): BatchTensors {
  if (!(batch?.inputIds instanceof Int32Array) || !Array.isArray(batch.shape))
    throw new DataError('toTensors: there is no batch', {
      remedy: 'pass what a collator makes, or encodeBatch',
    });
  const { inputIds, attentionMask, tokenTypeIds, labels, labelShape, positions, shape } = batch;
  return {
    // Neither labels nor predictions look at it.
    skipPadding: true,
    inputIds: device.tensor(inputIds, shape),
    attentionMask: device.tensor(attentionMask, shape),
    tokenTypeIds: device.tensor(tokenTypeIds, shape),
    ...(labels !== undefined && { labels: device.tensor(labels, labelShape ?? [labels.length]) }),
    ...(positions !== undefined && { positions: device.tensor(positions) }),
  };
}

/** Tokens of a batch, padding left out. */
export function countTokens({ attentionMask }: Batch): number {
  return attentionMask.reduce((sum, value) => sum + value, 0);
}
