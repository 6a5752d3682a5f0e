/** The interface that the benchmark requires of a library. */
import type { PeerJob } from './job.ts';

/** y = a·b, a [m, k], b [k, n]; or softmax or layer normalization (with weight and bias) over rows. */
export type PeerKernel =
  | { op: 'matmul'; m: number; n: number; k: number }
  | { op: 'softmax' | 'layerNorm'; rows: number; cols: number };

/** Work with its inputs on the device, ready to run repeatedly. */
export interface Work {
  /** Starts one run and drops its result. Returns a promise only if runs cannot overlap. */
  run: () => void | Promise<void>;
  /** Waits until the device has finished all runs. */
  sync: () => Promise<void>;
  /** Runs once and returns the result: a kernel's output, the logits, or a training step's loss. */
  result: () => Promise<Float32Array>;
  dispose: () => void;
}

/** A library on the benchmark's adapter. Work that it does not support is absent. */
export interface Library {
  name: string;
  version: string;
  /** `inputs`: a and b; or x; or x, weight and bias. */
  kernel?: (kernel: PeerKernel, inputs: readonly Float32Array[]) => Promise<Work>;
  /** Forward, cross-entropy, backward, Adam; no dropout. */
  training?: (job: PeerJob) => Promise<Work>;
  /** Logits [batch, classes] of the job's first batch. */
  inference?: (job: PeerJob) => Promise<Work>;
  /** Logits of all batches, one after the other. */
  texts?: (job: PeerJob) => Promise<Work>;
}
