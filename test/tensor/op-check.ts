/** Checks one row of the op table against its reference. */
import { expect } from 'vitest';
import type { Device } from '../../src/tensor/device.ts';
import { differences } from './op-differences.ts';
import type { OpRow } from './op-row.ts';

/** The largest difference to the reference: absolute for values below 1, relative above. */
export interface Tolerances {
  value: number;
  gradient: number;
}

/** Checks values, gradients and leaks of a row. Inputs named in `halves` are float16. */
export async function checkRow(
  device: Device,
  row: OpRow,
  { value, gradient: slope }: Tolerances,
  halves: readonly string[] = [],
): Promise<void> {
  const found = await differences(device, row, halves);
  expect(found.shape).toEqual(found.expectedShape);
  expect(found.value).toBeLessThanOrEqual(value);
  for (const { name, input, gradient, difference } of found.gradients) {
    expect(gradient, `gradient of ${name}`).toEqual(input);
    expect(difference, `gradient of ${name}`).toBeLessThanOrEqual(slope);
  }
  expect(found.after).toBe(found.before);
}
