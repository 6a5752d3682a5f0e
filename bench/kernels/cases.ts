/** A kernel at one size: what it computes, how much work that is, and how to record it. */
import type { Device } from '../../src/tensor/device.ts';

export interface KernelCase {
  /** Family, and the sizes: `matmul`, `512 × 768 × 768 ᵀ`. */
  family: string;
  name: string;
  /** What bounds it: floating-point operations, or bytes that must be read and written at least. */
  work: { flops: number; half?: boolean } | { bytes: number };
  /**
   * Makes inputs (inside the open scope) and returns what records one run; with `dispose` where a scope does
   * not hold everything.
   */
  prepare: (device: Device) => (() => void) | { record: () => void; dispose: () => void };
  /** Part of the quick run. */
  quick?: boolean;
}

const FLOAT = 4;

/** Bytes of some float32 tensors. */
export function bytesOf(...elements: number[]): number {
  return FLOAT * elements.reduce((a, b) => a + b, 0);
}
