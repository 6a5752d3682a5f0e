/** What the bench asks of a library. */
import type { PeerJob } from './job.ts';

/** y = a·b, a [m, k], b [k, n]; or softmax or layer normalisation (with weight and bias) over rows. */
export type PeerKernel =
  | { op: 'matmul'; m: number; n: number; k: number }
  | { op: 'softmax' | 'layerNorm'; rows: number; cols: number };

/** Some work with its inputs on the device, ready to be run again and again. */
export interface Work {
  /** Starts one run; what it gives is dropped. A promise only where a run must end before the next begins. */
  run: () => void | Promise<void>;
  /** Waits until all runs are done on the device. */
  sync: () => Promise<void>;
  /** One run, and what came out: a kernel's result, the logits, a training step's loss. */
  result: () => Promise<Float32Array>;
  dispose: () => void;
}

/** A library on the bench's adapter. What it cannot do is absent. */
export interface Library {
  name: string;
  version: string;
  /** `inputs`: a and b; or x; or x, weight and bias. */
  kernel?: (kernel: PeerKernel, inputs: readonly Float32Array[]) => Promise<Work>;
  /** Forward, cross-entropy, backward, Adam; no dropout. */
  training?: (job: PeerJob) => Promise<Work>;
  /** Logits [batch, classes]. */
  inference?: (job: PeerJob) => Promise<Work>;
}
