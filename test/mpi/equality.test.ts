/**
 * Two processes, of batch 8 each, do what one does with batch 16: the same losses, norms, weights and metrics.
 * Without dropout, because each process draws masks of its own.
 */
import { readFileSync } from 'node:fs';
import { deserialize } from 'node:v8';
import { beforeAll, describe, expect, it } from 'vitest';
import { useDevice } from '../support/device.ts';
import { hasMpi, mpirun, WITHOUT } from '../support/mpirun.ts';
import { useFolders } from '../support/trainer.ts';
import { type Trained, trainAll } from './trainings.ts';

if (!hasMpi) console.log(`test/mpi is skipped: ${WITHOUT}`);

const RELATIVE = 1e-5;
/** Trainings that round to float16, each process its own part. */
const coarse: Record<string, number> = { 'mixed precision': 5e-3, 'float16 between processes': 1e-3 };

/** The largest distance of two lists' numbers, relative to the first list's. */
const apart = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((value, at) => Math.abs(value - b[at]!) / Math.abs(value)));

/**
 * Without the biases of keys, which attention ignores: their gradients are what rounding leaves of 0, from which
 * AdamW makes full steps.
 */
function counting(name: string, values: Float32Array): number[] {
  const third = values.length / 3;
  const isKey = (at: number): boolean => name.endsWith('qkv.bias') && at >= third && at < 2 * third;
  return [...values].filter((_, at) => !isKey(at));
}

/** The norm of the difference of two tensors, relative to the first one's norm. */
function distance(a: readonly number[], b: readonly number[]): number {
  const norm = (values: readonly number[]): number => Math.hypot(...values);
  return norm(a.map((value, at) => value - b[at]!)) / norm(a);
}

describe.skipIf(!hasMpi)('two processes and one', () => {
  const device = useDevice();
  const folder = useFolders();
  let one: Record<string, Trained> = {};
  /** Of each rank. */
  let two: Record<string, Trained>[] = [];

  beforeAll(async () => {
    const output = `${folder()}.bin`;
    const job = mpirun(2, ['test/mpi/worker.ts', folder(), output]);
    expect(await job.ended, job.said()).toBe(0);
    two = deserialize(readFileSync(output)) as Record<string, Trained>[];
    one = await trainAll(device.current, null, folder());
  });

  it('give the same losses and norms in 50 steps', () => {
    expect(Object.keys(two[0]!)).toEqual(Object.keys(one));
    for (const [name, { losses, norms }] of Object.entries(one)) {
      const most = coarse[name] ?? RELATIVE;
      expect(losses).toHaveLength(50);
      expect(apart(losses, two[0]![name]!.losses), `${name}: losses`).toBeLessThan(most);
      expect(apart(norms, two[0]![name]!.norms), `${name}: norms`).toBeLessThan(most);
    }
  });

  it('give the same weights', () => {
    for (const [name, { weights }] of Object.entries(one))
      for (const [key, values] of Object.entries(weights)) {
        const other = two[0]![name]!.weights[key]!;
        const far = distance(counting(key, values), counting(key, other));
        expect(far, `${name}: ${key}`).toBeLessThan(coarse[name] ?? RELATIVE);
      }
  });

  it('have the same bits in each process', () => {
    for (const name of Object.keys(one)) expect(two[1]![name], name).toEqual(two[0]![name]);
  });

  it('send the gradients of an adapter alone', () => {
    const { learning, reduced } = two[0]!['an adapter']!;
    // 50 steps, and a few more numbers each.
    expect(reduced / 50).toBeGreaterThanOrEqual(learning);
    expect(reduced / 50).toBeLessThan(learning + 64);
    expect(learning).toBeLessThan(two[0]!.classes!.learning / 10);
  });

  it('evaluate alike', () => {
    for (const [name, { metrics }] of Object.entries(one)) {
      const others = two[0]![name]!.metrics;
      expect(Object.keys(others), name).toEqual(Object.keys(metrics));
      expect(Math.abs(others.eval_loss! - metrics.eval_loss!), name).toBeLessThan(coarse[name] ?? RELATIVE);
    }
  });
});
