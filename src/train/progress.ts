/** progress.json: what a resume needs besides the keys of trainer_state.json. */
import * as v from 'valibot';
import type { Settings } from '../data/dataset.ts';
import { count, finite, readSaved } from './state.ts';

const uint32 = v.pipe(count, v.maxValue(2 ** 32 - 1));

/** Written out rather than inferred from the schema: published declarations do without valibot. */
export interface Progress {
  /** The next epoch and batch. */
  epoch: number;
  batch: number;
  schedulerStep: number;
  random: { seed: number; stream: number };
  /** Sum of the losses since the last log, and the number of steps it covers. */
  lossSum: number;
  lossSteps: number;
  /** Of the last step; null before the first. */
  learningRate: number | null;
  /** The training data: the number of examples, a digest of some, its settings, and the buffer of a stream. */
  data?:
    | {
        examples: number;
        digest: string;
        buffer?: number | undefined;
        settings?: Settings | undefined;
      }
    | undefined;
  /** Processes that trained together; each took its part of a batch. */
  processes?: number | undefined;
  /** With `fp16`. */
  scaler?: { scale: number; growthTracker: number; skippedSteps: number } | undefined;
  /** Steps taken, by parameter. */
  optimizerSteps: Record<string, number>;
}

const plain = v.union([v.string(), v.number(), v.boolean()]);

const schema = v.object({
  epoch: count,
  batch: count,
  schedulerStep: count,
  random: v.object({ seed: uint32, stream: uint32 }),
  lossSum: finite,
  lossSteps: count,
  learningRate: v.optional(v.nullable(finite), null),
  data: v.optional(
    v.object({
      examples: count,
      digest: v.string(),
      buffer: v.optional(count),
      settings: v.optional(v.record(v.string(), v.nullable(v.union([plain, v.array(v.number())])))),
    }),
  ),
  processes: v.optional(v.pipe(count, v.minValue(1))),
  scaler: v.optional(
    v.object({ scale: v.pipe(finite, v.gtValue(0)), growthTracker: count, skippedSteps: count }),
  ),
  optimizerSteps: v.record(v.string(), v.pipe(count, v.minValue(1))),
});

/** Reads progress.json. Throws `CheckpointError` naming the file and the key that cannot be used. */
export function progressFromJson(text: string, source: string): Progress {
  return readSaved(schema, text, source);
}
