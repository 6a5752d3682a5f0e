/** progress.json: what a training needs to go on that trainer_state.json has no key for. */
import * as v from 'valibot';
import { CheckpointError } from '../errors.ts';
import { checkJson, parseJsonObject } from '../models/json.ts';
import { count, finite } from './state.ts';

const uint32 = v.pipe(count, v.maxValue(2 ** 32 - 1));

const schema = v.object({
  /** Epoch and batch that come next. */
  epoch: count,
  batch: count,
  schedulerStep: count,
  random: v.object({ seed: uint32, stream: uint32 }),
  /** Sum of the losses since the last log, and over how many steps. */
  lossSum: finite,
  lossSteps: count,
  /** The rate that the last step used; null before the first. */
  learningRate: v.optional(v.nullable(finite), null),
  /** The training data: how many examples, and a digest of some. */
  data: v.optional(v.object({ examples: count, digest: v.string() })),
  /** With `fp16`. */
  scaler: v.optional(
    v.object({ scale: v.pipe(finite, v.gtValue(0)), growthTracker: count, skippedSteps: count }),
  ),
  /** Steps each parameter's optimizer state has taken. */
  optimizerSteps: v.record(v.string(), v.pipe(count, v.minValue(1))),
});

export type Progress = v.InferOutput<typeof schema>;

export function progressToJson(progress: Progress): string {
  return `${JSON.stringify(progress, null, 2)}\n`;
}

/** Throws `CheckpointError` naming the file and the key that cannot be used. */
export function progressFromJson(text: string, source: string): Progress {
  const file = { source, error: CheckpointError, remedy: 'resume from another checkpoint' };
  return checkJson(schema, parseJsonObject(text, file), file);
}
