/**
 * Whether an adapter's subgroup matrices multiply right: the feature is experimental, and hardware exists on
 * which nobody tried it.
 */
import { DeviceLostError, GpuError } from '../../errors.ts';
import type { GpuContext } from '../../gpu/context.ts';
import { attentionUsesMatrices } from '../attention.ts';
import { attendsRight, SIZE } from '../attention-check.ts';
import { trial } from '../trial.ts';
import type { MatmulShape } from './choose.ts';
import { matmul } from './matmul.ts';
import { subgroupMatrixTechniques } from './subgroup-matrix.ts';
import type { MatmulTechnique } from './techniques.ts';

/** More than one tile of every technique, and a rest along each side. */
const SIZES = { m: 132, n: 140, k: 68 };

type Sides = Pick<MatmulShape, 'transposeA' | 'transposeB' | 'dtype'>;

/** Added to small numbers in operands of float32, which then need 14 bits: TF32 keeps 11. */
const WIDE = 2 ** 13;

/**
 * Lines of k elements of op(A) or op(B), whole numbers: float32 holds their products' sums exactly (8.4e6),
 * in whatever order; float16 would not. Every other one, of even or odd k, is wide.
 */
function numbers(lines: number, wide: 'even' | 'odd' | 'none'): Float32Array<ArrayBuffer> {
  const { k } = SIZES;
  return Float32Array.from({ length: lines * k }, (_, at) => {
    const [line, t] = [Math.floor(at / k), at % k];
    // No two lines alike, nor lines and columns.
    const small = ((31 * line + 17 * t + line * t) % 251) % 16;
    return small + (wide === (t % 2 === 0 ? 'even' : 'odd') ? WIDE : 0);
  });
}

/** The lines as an operand is stored: [lines, k] if `alongK`, else [k, lines]. */
function laid(lines: Float32Array<ArrayBuffer>, alongK: boolean): Float32Array<ArrayBuffer> {
  const { k } = SIZES;
  const count = lines.length / k;
  return alongK ? lines : lines.map((_, at) => lines[(at % count) * k + Math.floor(at / count)]!);
}

/**
 * Whether every element of one product, and every row's sum, is exact. Throws `DeviceLostError` only.
 */
export async function multipliesRight(
  gpu: GpuContext,
  technique: MatmulTechnique,
  { transposeA, transposeB, dtype }: Sides,
): Promise<boolean> {
  const { m, n } = SIZES;
  const exact = dtype === 'float32';
  const [va, vb] = [numbers(m, exact ? 'even' : 'none'), numbers(n, exact ? 'odd' : 'none')];
  return trial(gpu, async (fill) => {
    const [a, b] = [fill(laid(va, !transposeA), dtype), fill(laid(vb, transposeB), dtype)];
    // Memory from the pool may hold the right result of another technique.
    const c = fill(new Float32Array(m * n).fill(-1));
    const sums = transposeA ? fill(new Float32Array(m).fill(-1)) : undefined;
    matmul(gpu, { a, b, c, sums, ...SIZES, transposeA, transposeB, technique });
    const vc = new Float32Array(await gpu.read(c.buffer, 0, m * n * 4));
    const vs = sums && new Float32Array(await gpu.read(sums.buffer, 0, m * 4));
    return areProducts(va, vb, vc) && (vs === undefined || areSums(va, vs));
  });
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

/** Each operand once along k and once across it: the weight's gradient, and forward. */
export const WAYS: readonly Omit<Sides, 'dtype'>[] = [
  { transposeA: true, transposeB: false },
  { transposeA: false, transposeB: true },
];

/**
 * Throws if the device was lost, which may be reported after the failure itself. Other errors are what the
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
 * Multiplies, and attends, by the subgroup matrices that float16 would be given to. If a number is wrong, says
 * so and takes the matrices from the context. (float32 uses them only if `tuneMatmul` measured them, which
 * checks them itself.) Does nothing on an adapter without them. Throws `DeviceLostError`.
 */
export async function checkSubgroupMatrices(
  gpu: GpuContext,
  techniques: readonly MatmulTechnique[] = gpu.kernels === 'gpu' && gpu.float16
    ? subgroupMatrixTechniques(gpu, 'float16')
    : [],
  attends = techniques.length > 0 && attentionUsesMatrices(gpu, SIZE),
): Promise<void> {
  if (!(await computeRight(gpu, techniques)) || (attends && !(await attendsRight(gpu)))) {
    await hearLoss(gpu);
    gpu.subgroupMatrices = [];
    console.warn(`the matrix units of ${gpu.description} multiply wrong: dawngrad does without them`);
  }
}

async function computeRight(gpu: GpuContext, techniques: readonly MatmulTechnique[]): Promise<boolean> {
  for (const [i, technique] of techniques.entries()) {
    // Each is a shader to compile, so the larger tiles only once.
    for (const sides of i === 0 ? WAYS : WAYS.slice(0, 1)) {
      if (!(await multipliesRight(gpu, technique, { ...sides, dtype: 'float16' }))) return false;
    }
  }
  return true;
}
