/** Measurements decide, are kept between runs, and are ignored if they do not apply. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { GpuContext } from '../../src/gpu/context.ts';
import { floatDtypes } from '../../src/gpu/dtype.ts';
import { readTuning, Tuning, writeTuning } from '../../src/gpu/tuning.ts';
import { candidates, chooseMatmul, type MatmulShape, matmulClass } from '../../src/kernels/matmul/choose.ts';
import { tablesFor, techniqueName } from '../../src/kernels/matmul/techniques.ts';
import { tuneMatmul, tuneStep } from '../../src/kernels/matmul/tune.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();
let folder = '';
let before: string | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dawngrad-tune-'));
  before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = folder;
});

afterAll(async () => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  await rm(folder, { recursive: true });
});

const product: MatmulShape = { m: 64, n: 64, k: 32, transposeA: false, transposeB: true, dtype: 'float32' };

it.for(floatDtypes)('times every technique that may suit the adapter, of %s', async (dtype, context) => {
  const { gpu } = device.current;
  if (dtype === 'float16' && !gpu.float16) context.skip('this adapter has no float16');
  const tuned = await tuneMatmul(gpu, { ...product, dtype });
  expect(tuned.times.map(({ technique }) => technique).sort()).toEqual(
    candidates(gpu, { ...product, dtype })
      .map(techniqueName)
      .sort(),
  );
  const seconds = tuned.times.map((time) => time.seconds);
  expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
  expect(seconds[0]).toBeGreaterThan(0);
});

it('chooses what was measured, for products alike', () => {
  const { gpu } = device.current;
  const other = candidates(gpu, product).find((technique) => technique !== chooseMatmul(gpu, product));
  if (other === undefined) return expect(candidates(gpu, product)).toHaveLength(1);
  gpu.tuning.choose(matmulClass(product), techniqueName(other));
  expect(chooseMatmul(gpu, product)).toBe(other);
  expect(chooseMatmul(gpu, { ...product, m: 63 })).toBe(other);
  expect(chooseMatmul(gpu, { ...product, transposeB: false })).not.toBe(other);
  expect(chooseMatmul(gpu, { ...product, dtype: 'float16' })).not.toBe(other);
  gpu.tuning.choose(matmulClass(product), 'a technique of another version');
  expect(chooseMatmul(gpu, product)).not.toBe(other);
  gpu.tuning.clear();
});

it('keeps choices by adapter, and reads nothing from a file that is not one', async () => {
  const tuning = new Tuning();
  tuning.choose(matmulClass(product), 'fast');
  tuning.step = 2;
  await writeTuning('An adapter (software)', tuning);
  expect(await readTuning('An adapter (software)')).toEqual(tuning);
  expect(await readTuning('Another')).toEqual(new Tuning());
  for (const text of ['{', '{"version":0}', 'null']) {
    await writeFile(join(folder, 'dawngrad', 'tuning-An-adapter-software-.json'), text);
    expect(await readTuning('An adapter (software)')).toEqual(new Tuning());
  }
});

it('measures once which step suits the processor of a CPU adapter, and keeps the choice', async (context) => {
  const { gpu } = device.current;
  const steps = gpu.kernels === 'cpu' ? tablesFor(gpu).map(([first]) => first!.step) : [];
  if (steps.length < 2) context.skip('this adapter has one table at most');
  gpu.tuning.clear();
  await tuneStep(gpu);
  expect(steps).toContain(gpu.tuning.step);
  expect((await readTuning(gpu.description)).step).toBe(gpu.tuning.step);
  for (const step of steps) {
    gpu.tuning.step = step;
    await tuneStep(gpu);
    expect(gpu.tuning.step).toBe(step);
    expect(chooseMatmul(gpu, product).step).toBe(step);
  }
  gpu.tuning.clear();
});

it('leaves an adapter with one table, and the kernels for GPUs, as they are', async () => {
  const plain = { kernels: 'cpu', subgroupSize: 0 };
  for (const other of [plain, { kernels: 'gpu', subgroupSize: 8 }]) {
    const gpu = { ...other, tuning: new Tuning() } as unknown as GpuContext;
    await tuneStep(gpu);
    expect(gpu.tuning.changes).toBe(0);
  }
});
