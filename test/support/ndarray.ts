/** Plain float64 arrays, the reference for the engine's results. */
import { sizeOf, stridesOf } from '../../src/tensor/shape.ts';

export interface NdArray {
  shape: readonly number[];
  data: Float64Array;
}

export function nd(shape: readonly number[], data: ArrayLike<number>): NdArray {
  return { shape, data: Float64Array.from(data) };
}

/** Computes each element from its index. */
export function build(shape: readonly number[], value: (index: number[], flat: number) => number): NdArray {
  const strides = stridesOf(shape);
  const data = new Float64Array(sizeOf(shape));
  for (let flat = 0; flat < data.length; flat += 1) {
    const index = strides.map((stride, d) => Math.floor(flat / stride) % shape[d]!);
    data[flat] = value(index, flat);
  }
  return { shape, data };
}

export function at(x: NdArray, index: readonly number[]): number {
  const strides = stridesOf(x.shape);
  return x.data[index.reduce((sum, i, d) => sum + i * strides[d]!, 0)]!;
}

/** Reads x as if broadcast to the shape that `index` refers to. */
export function atBroadcast(x: NdArray, index: readonly number[]): number {
  const lead = index.length - x.shape.length;
  return at(
    x,
    x.shape.map((size, d) => (size === 1 ? 0 : index[d + lead]!)),
  );
}

export function map(x: NdArray, f: (value: number) => number): NdArray {
  return { shape: x.shape, data: x.data.map(f) };
}

export function sumOver(count: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i += 1) total += term(i);
  return total;
}

/** erf by its Maclaurin series for small x, else by a continued fraction of erfc; accurate to 1e-15. */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z < 2.5) {
    let term = z;
    let total = z;
    for (let n = 1; n < 80; n += 1) {
      term *= -(z * z) / n;
      total += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n -= 1) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction));
}

/** Pseudo-random numbers in [-1, 1), the same in each run (mulberry32). */
export function randomArray(shape: readonly number[], seed: number): NdArray {
  let state = seed >>> 0;
  return build(shape, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}
