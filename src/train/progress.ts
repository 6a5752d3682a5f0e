/** progress.json: what a resume needs besides the keys of trainer_state.json. */
import * as v from 'valibot';
import { CheckpointError } from '../errors.ts';
import { checkJson, parseJsonObject } from '../models/files/json.ts';
import { count, finite } from './state.ts';

const uint32 = v.pipe(count, v.maxValue(2 ** 32 - 1));

const schema = v.object({
  /** The next epoch and batch. */
  epoch: count,
  batch: count,
  schedulerStep: count,
  random: v.object({ seed: uint32, stream: uint32 }),
  /** Sum of the losses since the last log, and the number of steps it covers. */
  lossSum: finite,
  lossSteps: count,
  /** Of the last step; null before the first. */
  learningRate: v.optional(v.nullable(finite), null),
  /** The training data: the number of examples, and a digest of some of them. */
  data: v.optional(v.object({ examples: count, digest: v.string() })),
  /** With `fp16`. */
  scaler: v.optional(
    v.object({ scale: v.pipe(finite, v.gtValue(0)), growthTracker: count, skippedSteps: count }),
  ),
  /** Steps taken, by parameter. */
  optimizerSteps: v.record(v.string(), v.pipe(count, v.minValue(1))),
});
export type Progress = v.InferOutput<typeof schema>;

export function progressToJson(progress: Progress): string {
  return `${JSON.stringify(progress, null, 2)}\n`;
}

/** Reads progress.json. Throws `CheckpointError` naming the file and the key that cannot be used. */
export function progressFromJson(text: string, source: string): Progress {
  const file = { source, error: CheckpointError, remedy: 'resume from another checkpoint' };
  return checkJson(schema, parseJsonObject(text, file), file);
}
