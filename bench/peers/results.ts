/** The results of a comparison, and how numbers are compared. */
import type { Timing } from '../../src/gpu/measure.ts';
import type { Work } from './library.ts';

export interface PeerResult {
  job: string;
  library: string;
  /** Absent if it failed. */
  timing?: Timing;
  /** Its time divided by ours: 2 takes twice as long. */
  ratio?: number;
  /** The largest difference from our numbers, as computed by `differenceOf`. */
  difference?: number;
  error?: string;
}

export interface PeersResult {
  /** Versions by library. */
  versions: Record<string, string>;
  results: PeerResult[];
}

export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n')[0]!.slice(0, 300);
}

/** Concatenates the results of `count` consecutive runs. */
export async function resultsOf(work: Work, count: number): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (let i = 0; i < count; i += 1) parts.push(await work.result());
  const values = new Float32Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return values;
}

/** The largest difference, as a share of the largest expected number; NaN or infinite if incomparable. */
export function differenceOf(values: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (values.length !== expected.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  let scale = 0;
  for (let i = 0; i < values.length; i += 1) {
    const distance = Math.abs(values[i]! - expected[i]!);
    if (Number.isNaN(distance)) return Number.NaN;
    most = Math.max(most, distance);
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return most / scale;
}
