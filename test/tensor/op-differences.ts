/** Computes one row of the op table on a device and compares it with its reference, in any runtime. */
import type { Device } from '../../src/tensor/device.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../src/tensor/float16.ts';
import { mul, to } from '../../src/tensor/ops/elementwise.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import type { Dtype, Tensor } from '../../src/tensor/tensor.ts';
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

/** The largest difference to the expected values: absolute below 1, relative above. NaN if there is one. */
function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.NaN;
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

/** A tensor's shape and type. */
interface Form {
  shape: readonly number[];
  dtype: Dtype;
}

export interface Differences {
  /** The result's shape, and the reference's. */
  shape: readonly number[];
  expectedShape: readonly number[];
  /** The largest difference of a value: absolute below 1, relative above. */
  value: number;
  gradients: { name: string; input: Form; gradient: Form | null; difference: number }[];
  /** Bytes lent before and after. */
  before: number;
  after: number;
}

/** Computes values and gradients of a row. Inputs named in `halves` are float16. */
export async function differences(
  device: Device,
  row: OpRow,
  halves: readonly string[] = [],
): Promise<Differences> {
  const before = device.statistics().live;
  const half = halves.length > 0;
  const inputs = makeInputs(row, half);
  const expected = row.reference(inputs);
  const drawn = randomArray(expected.shape, 7);
  const weights = half ? { ...drawn, data: asHalves(drawn.data) } : drawn;
  const scope = device.scope();
  const tensors = upload(device, row, inputs, halves);
  const result = row.run(tensors);
  const { shape } = result;
  const value = maxDifference(await result.data(), expected.data);
  const differentiated = Object.keys(row.shapes).filter((name) => row.constant?.includes(name) !== true);
  const gradients: Differences['gradients'] = [];
  if (differentiated.length > 0) {
    const weighed = mul(to(result, 'float32'), device.tensor(Float32Array.from(weights.data), weights.shape));
    sum(weighed).backward();
    for (const name of differentiated) {
      const input = tensors[name]!;
      const numeric = numericGradient(row, inputs, name, weights);
      const all = (await input.grad?.data()) ?? [];
      const analytic = probed(input.size).map((index) => all[index] ?? Number.NaN);
      gradients.push({ name, input, gradient: input.grad, difference: maxDifference(analytic, numeric) });
    }
  }
  // Forms outlive the tensors.
  const formOf = ({ shape: own, dtype }: Form): Form => ({ shape: own, dtype });
  const kept = gradients.map((one) => ({
    ...one,
    input: formOf(one.input),
    gradient: one.gradient && formOf(one.gradient),
  }));
  scope.close();
  const after = device.statistics().live;
  return { shape, expectedShape: expected.shape, value, gradients: kept, before, after };
}
