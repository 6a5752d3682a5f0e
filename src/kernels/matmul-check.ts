/** Whether an adapter's matrix units multiply right: they are an experimental feature, on hardware of which there is more than was tested. */
import { DeviceLostError, GpuError } from '../errors.ts';
import type { GpuContext } from '../gpu/context.ts';
import { matmul } from './matmul.ts';
import { matrixTechniques } from './matmul-subgroup-matrix.ts';
import type { MatmulShape, MatmulTechnique } from './matmul-variants.ts';
import { cast } from './pointwise.ts';

/** More than one tile of every technique, and a rest along each side. */
const SIZES = { m: 132, n: 140, k: 68 };

/** Whole numbers up to 15: float32 holds their products' sums exactly, in whatever order; float16 would not. */
function numbers(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (i * 7 + Math.floor(i / 16) * seed) % 16);
}

type Sides = Pick<MatmulShape, 'transposeA' | 'transposeB' | 'half'>;

/** Compares every element, and every row's sum, of one product with what it must be. Throws `DeviceLostError` only. */
export async function multipliesRight(
  gpu: GpuContext,
  technique: MatmulTechnique,
  { transposeA, transposeB, half }: Sides,
): Promise<boolean> {
  const { m, n, k } = SIZES;
  const [va, vb] = [numbers(m * k, 3), numbers(k * n, 5)];
  const acquire = (elements: number) => gpu.pool.acquire(elements * 4);
  const buffers = [m * k, k * n, m * n, m, m * k, k * n].map(acquire);
  const [wideA, wideB, c, sums, halfA, halfB] = buffers as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
  try {
    gpu.recorder.write(wideA, 0, va);
    gpu.recorder.write(wideB, 0, vb);
    // Memory from the pool may hold the right result of another technique.
    gpu.recorder.write(c, 0, new Float32Array(m * n).fill(-1));
    gpu.recorder.write(sums, 0, new Float32Array(m).fill(-1));
    const [a, b] = half
      ? ([
          { buffer: halfA, half },
          { buffer: halfB, half },
        ] as const)
      : ([{ buffer: wideA }, { buffer: wideB }] as const);
    if (half) {
      cast(gpu, { x: { buffer: wideA }, y: a, count: m * k });
      cast(gpu, { x: { buffer: wideB }, y: b, count: k * n });
    }
    const summed = transposeA ? { sums: { buffer: sums } } : {};
    matmul(gpu, { a, b, c: { buffer: c }, ...SIZES, transposeA, transposeB, technique, ...summed });
    const vc = new Float32Array(await gpu.read(c, 0, m * n * 4));
    const vs = transposeA ? new Float32Array(await gpu.read(sums, 0, m * 4)) : undefined;
    return asExpected(va, vb, { transposeA, transposeB }, vc, vs);
  } catch (error) {
    if (error instanceof DeviceLostError || !(error instanceof GpuError)) throw error;
    return false;
  } finally {
    for (const buffer of buffers) gpu.pool.release(buffer);
  }
}

type Buffer = ReturnType<GpuContext['pool']['acquire']>;

function asExpected(
  a: Float32Array,
  b: Float32Array,
  { transposeA, transposeB }: Pick<Sides, 'transposeA' | 'transposeB'>,
  c: Float32Array,
  sums: Float32Array | undefined,
): boolean {
  const { m, n, k } = SIZES;
  for (let i = 0; i < m; i += 1) {
    const row = Float64Array.from({ length: k }, (_, t) => a[transposeA ? t * m + i : i * k + t]!);
    if (sums !== undefined && sums[i] !== row.reduce((total, value) => total + value, 0)) return false;
    for (let j = 0; j < n; j += 1) {
      let total = 0;
      for (let t = 0; t < k; t += 1) total += row[t]! * b[transposeB ? j * k + t : t * n + j]!;
      if (c[i * n + j] !== total) return false;
    }
  }
  return true;
}

/** The sides that layers' products have: forward, and the gradients of input and weight. */
const USUAL: Omit<Sides, 'half'>[] = [
  { transposeA: false, transposeB: true },
  { transposeA: false, transposeB: false },
  { transposeA: true, transposeB: false },
];

/**
 * Multiplies once on every kind of matrix units that the kernels would use, and does without them, saying so, where a number is wrong.
 * Nothing to do on other adapters. Throws `DeviceLostError`.
 */
export async function checkMatrixUnits(gpu: GpuContext): Promise<void> {
  if (gpu.kernels !== 'gpu') return;
  for (const half of [true, false]) {
    const [technique] = matrixTechniques(gpu, half);
    if (technique === undefined) continue;
    for (const sides of USUAL) {
      if (await multipliesRight(gpu, technique, { ...sides, half })) continue;
      gpu.subgroupMatrices = [];
      console.warn(`the matrix units of ${gpu.description} multiply wrong: dawngrad does without them`);
      return;
    }
  }
}
