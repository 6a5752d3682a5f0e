/** What a training will take, found out before it starts. */
import type { Batch } from '../data/collate.ts';
import { GpuOutOfMemoryError } from '../errors.ts';
import { storedWeights } from '../models/files/weight-names.ts';
import { sizeOf } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { TrainingArguments } from './arguments.ts';
import type { TrainableModel } from './predict.ts';
import { rehearse } from './rehearsal.ts';
import { type StepOptions, TrainingStep } from './step.ts';

/** Bytes on the device. */
export interface MemoryEstimate {
  /** Of the largest step, with buffers that wait to be used again: what `statistics()` calls `peakBytes`. */
  peak: number;
  weights: number;
  gradients: number;
  /** The optimizer's state, and the float16 copies of mixed precision. */
  state: number;
  /** What is left of the peak: activations, and what steps compute with. */
  activations: number;
}

const bytesOf = (tensors: readonly Tensor[]): number => tensors.reduce((sum, { bytes }) => sum + bytes, 0);

/**
 * Rehearses training steps, each over the batches of one, and gives the memory that they take. The real steps
 * ask for the same buffers. The steps begin at their second: the first makes the optimizer's state.
 */
export async function estimateMemory(
  { model, ...options }: Omit<StepOptions, 'reduce'>,
  steps: readonly (readonly Batch[])[],
): Promise<MemoryEstimate> {
  const [first] = steps;
  let [weights, kept] = [0, 0];
  const { statistics } = await rehearse(model, async (copy: TrainableModel) => {
    const { pool } = copy.device.gpu;
    weights = pool.statistics.liveBytes;
    copy.train();
    const step = new TrainingStep({ ...options, model: copy });
    for (const batches of [...(first === undefined ? [] : [first]), ...steps]) await step.run(batches);
    kept = pool.statistics.liveBytes;
  });
  const gradients = bytesOf(model.parameters().filter(({ requiresGrad }) => requiresGrad));
  const { peakBytes: peak } = statistics;
  const state = kept - weights;
  return { peak, weights, gradients, state, activations: Math.max(peak - kept - gradients, 0) };
}

/** What makes a training fit into less memory, by the names of arguments. `model`: what is trained. */
export function roomFor(args: TrainingArguments, { adapters, device }: TrainableModel): string[] {
  const { perDeviceTrainBatchSize: size, gradientAccumulationSteps: steps } = args;
  const half = Math.ceil(size / 2);
  return [
    ...(args.gradientCheckpointing ? [] : ['set gradientCheckpointing: the same numbers, less memory']),
    ...(size > 1
      ? [`set perDeviceTrainBatchSize ${half} and gradientAccumulationSteps ${steps * 2}: the same steps`]
      : []),
    ...(args.fp16 || !device.gpu.float16 ? [] : ['set fp16']),
    ...(adapters?.baseDtype === 'float32' && device.gpu.float16
      ? ["set baseDtype float16: half of the frozen weights' memory"]
      : []),
    `cut texts to fewer tokens${adapters === null ? '; or train an adapter (LoRA)' : ''}`,
  ];
}

/**
 * For an error of too little memory in a step, one that names the step's largest batch, what helps, and the
 * checkpoint that stays; any other error as it is.
 */
export function outOfMemory(
  error: unknown,
  batches: readonly Batch[],
  args: TrainingArguments,
  { model, step, saved }: { model: TrainableModel; step: number; saved: string | null },
): unknown {
  if (!(error instanceof GpuOutOfMemoryError)) return error;
  const shape = batches.map(({ shape }) => shape).sort((a, b) => sizeOf(b) - sizeOf(a))[0]!;
  const what = `step ${step}, of ${shape[0]} texts of up to ${shape.at(-1)} tokens, does not fit`;
  const stays = saved === null ? '' : `; the checkpoint '${saved}' stays`;
  return new GpuOutOfMemoryError(`${error.message.split(' · ')[0]}: ${what}${stays}`, {
    remedy: roomFor(args, model).join('; or '),
    cause: error,
  });
}

/** Sizes of files, in bytes. */
export interface DiskEstimate {
  /** Of the finished model, or adapter. */
  model: number;
  /** Of a checkpoint, with the optimizer's state. */
  checkpoint: number;
}

/** The files that a training writes, without the tokenizer's. */
export function estimateDisk(model: TrainableModel, { optim }: TrainingArguments): DiskEstimate {
  const weights = storedWeights(model.savedWeights());
  const bytes = weights.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  const learning = bytesOf(model.parameters().filter(({ requiresGrad }) => requiresGrad));
  const moments = { adamw_torch: 2, lion_32bit: 1, adafactor: 0 }[optim];
  return { model: bytes, checkpoint: bytes + moments * learning };
}
