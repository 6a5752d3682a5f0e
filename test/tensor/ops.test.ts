/**
 * Tests every row of the op table for values, gradients, leaks and messages, with each family of kernels and
 * with small windows.
 */
import { describe, expect, it } from 'vitest';
import type { GpuOptions } from '../../src/gpu/options.ts';
import { useDevice } from '../support/device.ts';
import { operations } from './every-op.ts';
import { checkRow } from './op-check.ts';
import { makeInputs, upload } from './op-differences.ts';
import { opRows } from './op-rows.ts';

/**
 * Ops without a row: dropout has no reference value (see dropout.test.ts), and `to` needs float16 (see
 * half.test.ts).
 */
const testedElsewhere = ['dropout', 'to'];

const settings: Record<string, GpuOptions> = {
  'kernels for CPU adapters': { kernels: 'cpu' },
  'kernels for GPUs': { kernels: 'gpu' },
  // Kernels walk a tensor that is larger than one binding in windows: with this limit small ones, too.
  'bindings of 512 bytes': { maxBindingBytes: 512 },
};

it('has a row for every registered operation', () => {
  const covered = new Set([...opRows.map((row) => row.op), ...testedElsewhere]);
  expect([...operations.keys()].filter((name) => !covered.has(name))).toEqual([]);
});

describe.each(Object.entries(settings))('%s', (_, options) => {
  const device = useDevice(options);

  it.each(opRows.map((row) => [`${row.op} ${row.note}`, row] as const))('%s', async (_name, row) => {
    await checkRow(device.current, row, { value: row.atol ?? 1e-6, gradient: row.gradAtol ?? 2e-5 });
  });
});

describe('shapes that do not fit', () => {
  const device = useDevice();

  it.each(
    opRows.flatMap((row) =>
      (row.bad ?? []).map((shapes) => [`${row.op} refuses ${JSON.stringify(shapes)}`, row, shapes] as const),
    ),
  )('%s', (_, row, shapes) => {
    const before = device.current.statistics().live;
    const scope = device.current.scope();
    const bad = { ...row, shapes };
    const tensors = upload(device.current, bad, makeInputs(bad));
    expect(() => row.run(tensors)).toThrowErrorMatchingSnapshot();
    scope.close();
    expect(device.current.statistics().live).toBe(before);
  });
});
