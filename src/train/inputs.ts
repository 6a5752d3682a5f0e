/** Turns batches into tensors, and counts what is in them. */
import type { Batch, BatchArray } from '../data/collate.ts';
import { Embedding } from '../nn/layers.ts';
import { check } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import { IGNORED } from '../tensor/ops/loss.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { arraysOf } from './arrays.ts';
import type { TrainableModel } from './predict.ts';

/** A batch from a collator, or from a tokenizer's `encodeBatch`. */
export type UploadedBatch = Pick<Batch, 'shape'>;

/** A tensor for each array of a batch, under its name. */
export type BatchTensors<B extends UploadedBatch = UploadedBatch> = {
  [K in keyof B as string extends K ? never : NonNullable<B[K]> extends BatchArray ? K : never]: Tensor;
} & { skipPadding?: true };

/**
 * Uploads the arrays of a batch; the tensors belong to the open scope. If there is an `attentionMask`, sets
 * `skipPadding`, because neither labels nor predictions depend on padding. Throws `DataError` for anything
 * that is not a batch.
 */
export function toTensors<B extends UploadedBatch>(device: Device, batch: B): BatchTensors<B> {
  const tensors = arraysOf(batch).map(([name, { values, shape }]) => [name, device.tensor(values, shape)]);
  const masked = tensors.some(([name]) => name === 'attentionMask');
  return { ...(masked && { skipPadding: true }), ...Object.fromEntries(tensors) } as BatchTensors<B>;
}

/** Tokens of a batch with padding, by which transformers estimates operations; 0 if there are none. */
export function countComputed({ inputIds }: Batch): number {
  return inputIds instanceof Int32Array ? inputIds.length : 0;
}

/** Tokens of a batch without padding. */
export function countTokens(batch: Batch): number {
  const { attentionMask: mask } = batch;
  return mask instanceof Int32Array ? mask.reduce((total, value) => total + value, 0) : countComputed(batch);
}

/** The number of weights outside the embeddings, by which transformers estimates operations. */
export function computingWeights(model: TrainableModel): number {
  const embeddings = [...model.modules()].filter((module) => module instanceof Embedding);
  const looked = new Set(embeddings.map(({ weight }) => weight));
  return model.parameters().reduce((total, tensor) => total + (looked.has(tensor) ? 0 : tensor.size), 0);
}

/**
 * The number of things that the loss of a batch is a mean over: the model's `lossWeight`, else the batch's,
 * else the number of labels that count (int32 classes), of answers inside the text, or of examples. Throws
 * `ConfigError` for a `lossWeight` that is negative or not finite.
 */
export function lossWeight(model: TrainableModel, batch: Batch): number {
  const given = model.lossWeight?.(batch) ?? batch.lossWeight;
  if (given === undefined) return countedLabels(batch);
  check('lossWeight', given, given >= 0 && Number.isFinite(given), 'use a finite number of 0 or more');
  return given;
}

function countedLabels({ labels, startPositions, endPositions, shape }: Batch): number {
  if (labels instanceof Int32Array) return labels.filter((label) => label !== IGNORED).length;
  const answers = [startPositions, endPositions].filter((one) => one instanceof Int32Array);
  if (answers.length === 0) return shape[0] ?? 1;
  const inside = answers.map((positions) => positions.filter((position) => position < shape[1]!).length);
  return inside.reduce((total, count) => total + count, 0) / answers.length;
}

/** Each batch's share in the mean over all; equal shares if nothing counts. */
export function sharesOf(weights: readonly number[]): number[] {
  const total = weights.reduce((all, weight) => all + weight, 0);
  return weights.map((weight) => (total === 0 ? 1 / weights.length : weight / total));
}
