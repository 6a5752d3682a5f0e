/** Every row of the op table: values, gradients, leaks and messages; with each family of kernels, and in small windows. */
import { describe, expect, it } from 'vitest';
import type { GpuOptions } from '../../src/gpu/context.ts';
import type { Device } from '../../src/tensor/device.ts';
import { operationNames } from '../../src/tensor/op.ts';
import { mul } from '../../src/tensor/ops/elementwise.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { type NdArray, randomArray, sumOver } from '../support/ndarray.ts';
import { type OpRow, opRows } from './op-rows.ts';

/** Rows with a test of their own: dropout has no reference value (dropout.test.ts). */
const testedElsewhere = ['dropout'];

function makeInputs(row: OpRow): Record<string, NdArray> {
  const floats = Object.entries(row.shapes).map(([name, shape], index): [string, NdArray] => {
    const values = randomArray(shape, 100 + index).data.map(
      (v) => Math.fround(v * (row.range ?? 1)) + (row.shift?.[name] ?? 0),
    );
    return [name, { shape, data: values }];
  });
  return { ...Object.fromEntries(floats), ...row.integers };
}

function upload(device: Device, row: OpRow, inputs: Record<string, NdArray>): Record<string, Tensor> {
  const entries = Object.entries(inputs).map(([name, { shape, data }]): [string, Tensor] => {
    if (row.integers?.[name] !== undefined) return [name, device.tensor(Int32Array.from(data), shape)];
    const tensor = device.tensor(Float32Array.from(data), shape);
    tensor.requiresGrad = row.constant?.includes(name) !== true;
    return [name, tensor];
  });
  return Object.fromEntries(entries);
}

function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < expected.length; i += 1) {
    const difference = Math.abs(actual[i]! - expected[i]!) / Math.max(1, Math.abs(expected[i]!));
    // Math.max hands NaN on, which then passes no comparison.
    worst = Math.max(worst, difference);
  }
  return worst;
}

/** At most this many elements of an input are probed, spread over it. */
const PROBES = 48;

/** The elements probed: all of a small input, else some from every part of it. */
function probed(size: number): number[] {
  if (size <= PROBES) return Array.from({ length: size }, (_, i) => i);
  return Array.from({ length: PROBES }, (_, i) => Math.floor((i * size) / PROBES + (i % 7)) % size);
}

/** d Σ weights·reference / d input at the probed elements, by central differences. */
function numericGradient(
  row: OpRow,
  inputs: Record<string, NdArray>,
  name: string,
  weights: NdArray,
): number[] {
  const step = 1e-5;
  const { shape, data } = inputs[name]!;
  return probed(data.length).map((index) => {
    const probe = (delta: number): number => {
      const moved = { shape, data: Float64Array.from(data) };
      moved.data[index]! += delta;
      const result = row.reference({ ...inputs, [name]: moved });
      return sumOver(result.data.length, (i) => result.data[i]! * weights.data[i]!);
    };
    return (probe(step) - probe(-step)) / (2 * step);
  });
}

const settings: Record<string, GpuOptions> = {
  'kernels for CPU adapters': { kernels: 'cpu' },
  'kernels for GPUs': { kernels: 'gpu' },
  // A tensor larger than one binding is walked window by window; here small ones are.
  'bindings of 512 bytes': { maxBindingBytes: 512 },
};

it('has a row for every registered operation', () => {
  const covered = new Set([...opRows.map((row) => row.op), ...testedElsewhere]);
  expect([...operationNames].filter((name) => !covered.has(name))).toEqual([]);
});

describe.each(Object.entries(settings))('%s', (_, options) => {
  const device = useDevice(options);

  it.each(opRows.map((row) => [`${row.op} ${row.note}`, row] as const))('%s', async (_name, row) => {
    const before = device.current.statistics().live;
    const inputs = makeInputs(row);
    const expected = row.reference(inputs);
    const weights = randomArray(expected.shape, 7);
    const scope = device.current.scope();
    const tensors = upload(device.current, row, inputs);
    const result = row.run(tensors);
    expect(result.shape).toEqual(expected.shape);
    expect(maxDifference(await result.data(), expected.data)).toBeLessThanOrEqual(row.atol ?? 1e-6);
    const differentiated = Object.keys(row.shapes).filter((name) => row.constant?.includes(name) !== true);
    if (differentiated.length > 0) {
      sum(mul(result, device.current.tensor(Float32Array.from(weights.data), weights.shape))).backward();
      for (const name of differentiated) {
        const gradient = tensors[name]!.grad;
        expect(gradient?.shape).toEqual(tensors[name]!.shape);
        const numeric = numericGradient(row, inputs, name, weights);
        const all = await gradient!.data();
        const analytic = probed(all.length).map((index) => all[index]!);
        const worst = maxDifference(analytic, numeric);
        expect(worst, `gradient of ${name}`).toBeLessThanOrEqual(row.gradAtol ?? 2e-5);
      }
    }
    scope.close();
    expect(device.current.statistics().live).toBe(before);
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
