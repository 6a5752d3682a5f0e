/**
 * Whether an adapter's matrix units multiply right: they are an experimental feature, on hardware of which
 * there is more than was tested.
 */
import { DeviceLostError, GpuError } from '../errors.ts';
import type { GpuContext } from '../gpu/context.ts';
import type { Slot } from './launch.ts';
import { matmul } from './matmul.ts';
import { matrixTechniques } from './matmul-subgroup-matrix.ts';
import type { MatmulShape, MatmulTechnique } from './matmul-variants.ts';
import { cast } from './pointwise.ts';

/** More than one tile of every technique, and a rest along each side. */
const SIZES = { m: 132, n: 140, k: 68 };

type Sides = Pick<MatmulShape, 'transposeA' | 'transposeB' | 'half'>;

/** What operands of float32 have beside the small numbers: with them they need 14 bits, and TF32 keeps 11. */
const WIDE = 2 ** 13;

/**
 * Lines of k elements of op(A) or op(B), whole numbers: float32 holds their products' sums exactly (8.4e6),
 * in whatever order; float16 would not. Every other one is `wide`.
 */
function numbers(lines: number, wide: 'even' | 'odd' | 'none'): Float32Array {
  const { k } = SIZES;
  return Float32Array.from({ length: lines * k }, (_, at) => {
    const [line, t] = [Math.floor(at / k), at % k];
    // No two lines alike, nor lines and columns.
    const small = ((31 * line + 17 * t + line * t) % 251) % 16;
    return small + (wide === (t % 2 === 0 ? 'even' : 'odd') ? WIDE : 0);
  });
}

/** As it lies in memory: [lines, k], or [k, lines]. */
function laid(lines: Float32Array, alongK: boolean): Float32Array {
  const { k } = SIZES;
  const count = lines.length / k;
  return alongK ? lines : lines.map((_, at) => lines[(at % count) * k + Math.floor(at / count)]!);
}

/**
 * Compares every element, and every row's sum, of one product with what it must be. Throws `DeviceLostError`
 * only.
 */
export async function multipliesRight(
  gpu: GpuContext,
  technique: MatmulTechnique,
  { transposeA, transposeB, half }: Sides,
): Promise<boolean> {
  const { m, n, k } = SIZES;
  const [va, vb] = [numbers(m, half ? 'none' : 'even'), numbers(n, half ? 'none' : 'odd')];
  const buffers = [m * k, k * n, m * n, m, m * k, k * n].map((elements) => gpu.pool.acquire(elements * 4));
  const [wideA, wideB, c, sums, halfA, halfB] = buffers.map((buffer): Slot => ({ buffer })) as [
    Slot,
    Slot,
    Slot,
    Slot,
    Slot,
    Slot,
  ];
  try {
    gpu.recorder.write(wideA.buffer, 0, laid(va, !transposeA));
    gpu.recorder.write(wideB.buffer, 0, laid(vb, transposeB));
    // Memory from the pool may hold the right result of another technique.
    gpu.recorder.write(c.buffer, 0, new Float32Array(m * n).fill(-1));
    gpu.recorder.write(sums.buffer, 0, new Float32Array(m).fill(-1));
    const [a, b] = half
      ? [
          { ...halfA, half },
          { ...halfB, half },
        ]
      : [wideA, wideB];
    if (half) {
      cast(gpu, { x: wideA, y: a, count: m * k });
      cast(gpu, { x: wideB, y: b, count: k * n });
    }
    matmul(gpu, { a, b, c, ...SIZES, transposeA, transposeB, technique, ...(transposeA && { sums }) });
    const vc = new Float32Array(await gpu.read(c.buffer, 0, m * n * 4));
    const vs = transposeA ? new Float32Array(await gpu.read(sums.buffer, 0, m * 4)) : undefined;
    return areProducts(va, vb, vc) && (vs === undefined || areSums(va, vs));
  } catch (error) {
    if (error instanceof DeviceLostError || !(error instanceof GpuError)) throw error;
    return false;
  } finally {
    for (const buffer of buffers) gpu.pool.release(buffer);
  }
}

function areProducts(a: Float32Array, b: Float32Array, c: Float32Array): boolean {
  const { n, k } = SIZES;
  return c.every((value, at) => {
    const [row, column] = [Math.floor(at / n) * k, (at % n) * k];
    let total = 0;
    for (let t = 0; t < k; t += 1) total += a[row + t]! * b[column + t]!;
    return value === total;
  });
}

function areSums(a: Float32Array, sums: Float32Array): boolean {
  const { k } = SIZES;
  return sums.every(
    (value, row) => value === a.subarray(row * k, (row + 1) * k).reduce((total, x) => total + x, 0),
  );
}

/** Both ways that each operand may lie: the weight's gradient, and forward. */
export const WAYS: readonly Omit<Sides, 'half'>[] = [
  { transposeA: true, transposeB: false },
  { transposeA: false, transposeB: true },
];

/**
 * Throws if the device was lost, of which one may hear after the failure itself; other errors are what the
 * check already found.
 */
async function hearLoss(gpu: GpuContext): Promise<void> {
  try {
    await gpu.sync();
  } catch (error) {
    if (error instanceof DeviceLostError || !(error instanceof GpuError)) throw error;
  }
}

/**
 * Multiplies on the matrix units that products of float16 would be given to, and does without them, saying
 * so, where a number is wrong. (Those of float32 are used only where `tuneMatmul` measured them, which looks
 * at their numbers itself.) Nothing to do on other adapters. Throws `DeviceLostError`.
 */
export async function checkMatrixUnits(
  gpu: GpuContext,
  techniques: readonly MatmulTechnique[] = gpu.kernels === 'gpu' && gpu.float16
    ? matrixTechniques(gpu, true)
    : [],
): Promise<void> {
  for (const [i, technique] of techniques.entries()) {
    // Each is a shader to compile, so the larger tiles only once.
    for (const sides of i === 0 ? WAYS : WAYS.slice(0, 1)) {
      if (await multipliesRight(gpu, technique, { ...sides, half: true })) continue;
      await hearLoss(gpu);
      gpu.subgroupMatrices = [];
      console.warn(`the matrix units of ${gpu.description} multiply wrong: dawngrad does without them`);
      return;
    }
  }
}
