/** A kernel at one size: what it computes, how much work that is, and how to record it. */
import type { Device } from '../../src/tensor/device.ts';

export interface KernelCase {
  /** The family, and the sizes: `matmul`, `512 × 768 × 768 ᵀ`. */
  family: string;
  name: string;
  /** The work that bounds it: floating-point operations, or the minimum of bytes to read and write. */
  work: { flops: number; half?: boolean } | { bytes: number };
  /**
   * Makes inputs (inside the open scope) and returns a function that records one run, with a `dispose` if the
   * scope does not own everything.
   */
  prepare: (device: Device) => (() => void) | { record: () => void; dispose: () => void };
  /** Part of the quick run. */
  quick?: boolean;
}

const FLOAT = 4;

/** Bytes of several float32 tensors, given their element counts. */
export function bytesOf(...elements: number[]): number {
  return FLOAT * elements.reduce((a, b) => a + b, 0);
}
