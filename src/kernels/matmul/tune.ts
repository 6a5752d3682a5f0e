/** Times the techniques of matrix multiplication on the adapter at hand. */
import type { GpuContext } from '../../gpu/context.ts';
import type { FloatDtype } from '../../gpu/dtype.ts';
import { measure } from '../../gpu/measure.ts';
import type { Slot } from '../launch.ts';
import { multipliesRight } from './check.ts';
import { candidates, type MatmulShape, matmulClass } from './choose.ts';
import { matmul } from './matmul.ts';
import { usesSubgroupMatrices } from './subgroup-matrix.ts';
import { techniqueName } from './techniques.ts';

export interface TunedMatmul extends MatmulShape {
  /** See `matmulClass`. */
  class: string;
  /** Techniques by subgroup matrices that multiply wrong on this adapter. */
  wrong: string[];
  /** Techniques, the fastest first, and the median seconds of one product. */
  times: { technique: string; seconds: number }[];
}

/** Seconds for each technique and shape, compiling left out. */
const BUDGET_SECONDS = 0.25;

/**
 * Times every technique that may suit the adapter on one product; the values do not matter. Techniques by
 * subgroup matrices only if they multiply right. Throws `GpuError` if memory does not suffice.
 */
export async function tuneMatmul(gpu: GpuContext, shape: MatmulShape): Promise<TunedMatmul> {
  const { m, n, k, transposeA, transposeB, dtype } = shape;
  const buffers = [m * k, k * n, m * n].map((elements) => gpu.pool.acquire(elements * 4));
  const [a, b, result] = buffers.map((buffer): Slot => ({ buffer, dtype })) as [Slot, Slot, Slot];
  // The gradient of a weight is float32.
  const c: Slot = transposeA ? { ...result, dtype: 'float32' } : result;
  const times: TunedMatmul['times'] = [];
  const wrong: string[] = [];
  try {
    for (const technique of candidates(gpu, shape)) {
      if (usesSubgroupMatrices(technique) && !(await multipliesRight(gpu, technique, shape))) {
        wrong.push(techniqueName(technique));
        continue;
      }
      const run = (): void => matmul(gpu, { a, b, c, m, n, k, transposeA, transposeB, technique });
      const { median } = await measure(gpu, run, { seconds: BUDGET_SECONDS });
      times.push({ technique: techniqueName(technique), seconds: median });
    }
  } finally {
    for (const buffer of buffers) gpu.pool.release(buffer);
  }
  times.sort((left, right) => left.seconds - right.seconds);
  return { ...shape, class: matmulClass(shape), times, wrong };
}

/**
 * The products of an encoder layer of width `hidden` over `tokens`: forward, and its two gradients; one of
 * each class.
 */
export function layerProducts(hidden: number, tokens: number, dtype: FloatDtype): MatmulShape[] {
  const layers = [
    [hidden, 3 * hidden],
    [hidden, hidden],
    [hidden, 4 * hidden],
    [4 * hidden, hidden],
  ] as const;
  const products = layers.flatMap(([inputs, outputs]): MatmulShape[] => [
    { m: tokens, n: outputs, k: inputs, transposeA: false, transposeB: true, dtype },
    { m: tokens, n: inputs, k: outputs, transposeA: false, transposeB: false, dtype },
    { m: outputs, n: inputs, k: tokens, transposeA: true, transposeB: false, dtype },
  ]);
  const byClass = new Map<string, MatmulShape>();
  for (const product of products)
    if (!byClass.has(matmulClass(product))) byClass.set(matmulClass(product), product);
  return [...byClass.values()];
}
