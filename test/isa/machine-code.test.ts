/**
 * The machine code of the kernels for GPUs, on chips that are not here: which rows miss a condition is written
 * in known.json, and only improves. After a change that improves it, or with another Mesa:
 *
 *     npm run isa -- --failures test/isa/known.json
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { chips } from '../../tools/isa/chips.ts';
import { compileFor, whatIsMissing } from '../../tools/isa/compile.ts';
import {
  driverOf,
  failureLine,
  failuresOf,
  type KnownFailures,
  ratchet,
} from '../../tools/isa/conditions.ts';

const known = JSON.parse(readFileSync(new URL('known.json', import.meta.url), 'utf8')) as KnownFailures;
const missing = whatIsMissing();
if (missing !== null) console.warn(`skipped, the machine code of AMD's chips: ${missing}`);

describe.skipIf(missing !== null)('machine code', () => {
  it.each(chips)('of $name misses the known conditions, and no other', async (chip) => {
    const { adapter, kernels, jobs } = await compileFor(chip);
    expect(jobs).toHaveLength(8);
    for (const { job, seconds } of jobs) expect(seconds, job).toBeGreaterThan(0);
    expect(kernels.size).toBeGreaterThan(50);
    if (driverOf(adapter) !== known.driver) {
      console.warn(
        `skipped, conditions: the known failures are of ${known.driver}, not ${driverOf(adapter)}`,
      );
      return;
    }
    const expected = known.failures.filter((line) => line.startsWith(`${chip.name} `));
    const { added, gone } = ratchet(expected, failuresOf(chip.name, kernels).map(failureLine));
    expect(added, 'misses a condition that it met').toEqual([]);
    expect(gone, 'meets its condition now: take it off known.json').toEqual([]);
  });
});

it('compiles only what a filter names', async (context) => {
  if (missing !== null) return context.skip(missing);
  const { kernels, jobs } = await compileFor(chips[0]!, 'loss_scale');
  expect([...kernels.keys()]).toEqual(['loss_scale']);
  expect(jobs).toEqual([]);
});
