/** Checks one row of the op table against its reference. */
import { expect } from 'vitest';
import type { Device } from '../../src/tensor/device.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../src/tensor/float16.ts';
import { mul, to } from '../../src/tensor/ops/elementwise.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { type NdArray, randomArray, sumOver } from '../support/ndarray.ts';
import type { OpRow } from './op-row.ts';

/** Random values, rounded to float16 if `half`. */
export function makeInputs(row: OpRow, half = false): Record<string, NdArray> {
  const floats = Object.entries(row.shapes).map(([name, shape], index): [string, NdArray] => {
    const values = randomArray(shape, 100 + index).data.map((v) => {
      const ranged = Math.fround(v * (row.range ?? 1)) + (row.shift?.[name] ?? 0);
      return row.whole ? Math.round(ranged) : ranged;
    });
    return [name, { shape, data: half ? asHalves(values) : values }];
  });
  return { ...Object.fromEntries(floats), ...row.integers };
}

export function upload(
  device: Device,
  row: OpRow,
  inputs: Record<string, NdArray>,
  halves: readonly string[] = [],
): Record<string, Tensor> {
  const entries = Object.entries(inputs).map(([name, { shape, data }]): [string, Tensor] => {
    if (row.integers?.[name] !== undefined) return [name, device.tensor(Int32Array.from(data), shape)];
    const values = device.tensor(Float32Array.from(data), shape);
    const tensor = halves.includes(name) ? to(values, 'float16') : values;
    tensor.requiresGrad = row.constant?.includes(name) !== true;
    return [name, tensor];
  });
  return Object.fromEntries(entries);
}

export function asHalves(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(float16ToFloat32(float32ToFloat16(Float32Array.from(values))));
}

function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < expected.length; i += 1) {
    const difference = Math.abs(actual[i]! - expected[i]!) / Math.max(1, Math.abs(expected[i]!));
    // Math.max passes NaN on, and NaN fails every comparison.
    worst = Math.max(worst, difference);
  }
  return worst;
}

/** The largest number of elements probed of one input. */
const PROBES = 48;

/** Indices of the probed elements: all of a small input, else a sample spread over it. */
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
  const before = device.statistics().live;
  const half = halves.length > 0;
  const inputs = makeInputs(row, half);
  const expected = row.reference(inputs);
  const drawn = randomArray(expected.shape, 7);
  const weights = half ? { ...drawn, data: asHalves(drawn.data) } : drawn;
  const scope = device.scope();
  const tensors = upload(device, row, inputs, halves);
  const result = row.run(tensors);
  expect(result.shape).toEqual(expected.shape);
  expect(maxDifference(await result.data(), expected.data)).toBeLessThanOrEqual(value);
  const differentiated = Object.keys(row.shapes).filter((name) => row.constant?.includes(name) !== true);
  if (differentiated.length > 0) {
    const weighed = mul(to(result, 'float32'), device.tensor(Float32Array.from(weights.data), weights.shape));
    sum(weighed).backward();
    for (const name of differentiated) {
      const gradient = tensors[name]!.grad;
      expect(gradient?.shape).toEqual(tensors[name]!.shape);
      expect(gradient?.dtype).toBe(tensors[name]!.dtype);
      const numeric = numericGradient(row, inputs, name, weights);
      const all = await gradient!.data();
      const analytic = probed(all.length).map((index) => all[index]!);
      const worst = maxDifference(analytic, numeric);
      expect(worst, `gradient of ${name}`).toBeLessThanOrEqual(slope);
    }
  }
  scope.close();
  expect(device.statistics().live).toBe(before);
}
