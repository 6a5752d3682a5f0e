/** Runs a model over batches, without gradients. */
import type { Batch } from '../data/collate.ts';
import { callUser } from '../data/example-checks.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { autocast } from '../tensor/autocast.ts';
import { noGrad } from '../tensor/tape.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { NamedArray } from './arrays.ts';
import { compileAhead } from './compile.ts';
import { type BatchTensors, toTensors } from './inputs.ts';
import { keepRecording, mayReplay, replayed } from './replay.ts';

/** A model that the `Trainer` can train. */
export interface TrainableModel extends PreTrainedModel {
  /**
   * Takes the tensors of a batch by name. The compiler does not know the names that a collator gives, so
   * `forward` must refuse unknown ones itself. Returns a scalar `loss`, and tensors by name with a row for
   * each example.
   */
  forward(inputs: never): { loss?: Tensor | undefined };
  /**
   * The number of things that the loss of a batch is a mean over, for a model whose loss is not a mean over
   * the labels that count.
   */
  lossWeight?(batch: Batch): number;
}

/** The tensors of a batch by name; the usual ones have `inputIds`. */
export interface LossInputs {
  [name: string]: Tensor;
  inputIds: Tensor;
}

interface Losing {
  computeLoss(
    model: TrainableModel,
    inputs: LossInputs,
  ): { loss?: Tensor | undefined } & Record<string, unknown>;
}

/**
 * Computes the loss of a batch in place of the model's `forward`: gets the tensors of the batch by name, gives
 * a scalar `loss` and, for evaluations, the outputs. A method's type, so that it may name the model's own class.
 */
export type ComputeLoss = Losing['computeLoss'];

export interface BatchPrediction<B extends Batch = Batch> {
  batch: B;
  /** The model's tensors by name, without the loss and without lists of tensors (`hiddenStates`, say). */
  outputs: Record<string, NamedArray>;
  /** The values of `outputs.logits`, row-major; empty if the model gives none. */
  logits: Float32Array;
  /** Null if the model gives none. */
  loss: number | null;
}

export interface PredictOptions {
  /** In mixed precision. Default false. */
  fp16?: boolean;
  /** Which outputs to read besides the loss. Default: all. */
  reads?: (name: string, output: Tensor) => boolean;
  /** Runs in place of the model's `forward`. */
  computeLoss?: ComputeLoss | undefined;
}

/**
 * Runs the model in eval mode over batches. Records each batch while the previous result is being read back.
 */
export async function* predictBatches<B extends Batch>(
  model: TrainableModel,
  batches: Iterable<B>,
  options: PredictOptions = {},
): AsyncGenerator<BatchPrediction<B>> {
  const wasTraining = model.training;
  let evaluating = false;
  let pending: Promise<BatchPrediction<B>> | null = null;
  try {
    for (const batch of batches) {
      if (pending === null) await compilePrediction(model, batch, options);
      const again = replayBatch(model, batch, options);
      // What is replayed was recorded in eval mode already.
      if (again === null && !evaluating) model.eval();
      evaluating ||= again === null;
      const next = again ?? runBatch(model, batch, options);
      // The caller may leave the generator before this is awaited.
      next.catch(() => {});
      if (pending !== null) yield await pending;
      pending = next;
    }
    if (pending !== null) yield await pending;
  } finally {
    if (evaluating) model.train(wasTraining);
  }
}

/** Compiles what the model's first prediction takes, as `predictBatches` does if nobody did before. */
export async function compilePrediction(
  model: TrainableModel,
  batch: Batch,
  { fp16 = false, computeLoss }: PredictOptions = {},
): Promise<void> {
  if (computeLoss !== undefined) return;
  await compileAhead(model, 'predict', fp16, (copy) => {
    copy.eval();
    noGrad(() => forwardBatch(copy, batch, fp16));
  });
}

/** Runs `forward` over the tensors of a batch, in the open scope. */
export function forwardBatch(
  model: TrainableModel,
  batch: Batch,
  fp16: boolean,
  computeLoss?: ComputeLoss,
): ReturnType<TrainableModel['forward']> {
  return forwardTensors(model, toTensors(model.device, batch), fp16, computeLoss);
}

function forwardTensors(
  model: TrainableModel,
  inputs: BatchTensors,
  fp16: boolean,
  computeLoss: ComputeLoss | undefined,
): ReturnType<TrainableModel['forward']> {
  const forward = () =>
    computeLoss === undefined
      ? model.forward(inputs as never)
      : callUser('computeLoss', () => computeLoss(model, inputs as unknown as LossInputs));
  return fp16 ? autocast(forward) : forward();
}

async function readAll(outputs: readonly (readonly [string, Tensor])[]): Promise<Record<string, NamedArray>> {
  // data() records its copy at once, so the tensors may go when the scope closes.
  const reads = outputs.map(async ([name, tensor]) => {
    const shape = tensor.rank === 0 ? [1] : tensor.shape;
    return [name, { values: await tensor.data(), shape }] as const;
  });
  return Object.fromEntries(await Promise.all(reads));
}

function replayBatch<B extends Batch>(
  model: TrainableModel,
  batch: B,
  { fp16 = false, reads, computeLoss }: PredictOptions,
): Promise<BatchPrediction<B>> | null {
  const outputs = reads === undefined && computeLoss === undefined ? replayed(model, batch, fp16) : null;
  return outputs && predictionOf(batch, outputs, null);
}

function runBatch<B extends Batch>(
  model: TrainableModel,
  batch: B,
  { fp16 = false, reads, computeLoss }: PredictOptions,
): Promise<BatchPrediction<B>> {
  const { device } = model;
  const scope = device.scope();
  try {
    const inputs = toTensors(device, batch);
    const forward = () => noGrad(() => forwardTensors(model, inputs, fp16, computeLoss));
    const keeps = reads === undefined && computeLoss === undefined && mayReplay(batch);
    const [{ loss, ...others }, recording] = keeps ? device.gpu.recorder.capture(forward) : [forward(), null];
    const named = Object.entries(others).filter(
      (entry): entry is [string, Tensor] =>
        entry[1] instanceof Tensor && (reads?.(entry[0], entry[1]) ?? true),
    );
    if (recording !== null) keepRecording(model, [batch, fp16], recording, inputs, named);
    return predictionOf(batch, readAll(named), loss?.float32Data() ?? null);
  } finally {
    scope.close();
  }
}

async function predictionOf<B extends Batch>(
  batch: B,
  reads: Promise<Record<string, NamedArray>>,
  lossRead: Promise<Float32Array> | null,
): Promise<BatchPrediction<B>> {
  const [outputs, loss] = await Promise.all([reads, lossRead]);
  const logits = (outputs.logits?.values as Float32Array | undefined) ?? new Float32Array();
  return { batch, outputs, logits, loss: loss?.[0] ?? null };
}
