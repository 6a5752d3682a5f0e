/** The smoke subset of the op table, for any runtime: the first row of each operation. */
import type { Device } from '../../src/tensor/device.ts';
import { differences } from './op-differences.ts';
import { opRows } from './op-rows.ts';

export interface Smoke {
  adapter: string;
  /** Operations that were computed. */
  count: number;
  /** Those that were wrong, with their differences. */
  wrong: string[];
}

export async function smoke(device: Device): Promise<Smoke> {
  const first = new Map(opRows.map((row) => [row.op, row]).reverse() as [string, (typeof opRows)[number]][]);
  const wrong: string[] = [];
  for (const row of first.values()) {
    const { value, gradients, shape, expectedShape } = await differences(device, row);
    const close = (difference: number, accepted: number): boolean => difference <= accepted;
    const right =
      String(shape) === String(expectedShape) &&
      close(value, row.atol ?? 1e-6) &&
      gradients.every(({ difference }) => close(difference, row.gradAtol ?? 2e-5));
    if (!right)
      wrong.push(`${row.op} ${row.note}: ${value}, ${gradients.map(({ difference }) => difference)}`);
  }
  return { adapter: device.description, count: first.size, wrong };
}
