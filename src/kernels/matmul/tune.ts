/** Times the techniques of matrix multiplication on the adapter at hand. */
import type { GpuContext } from '../../gpu/context.ts';
import type { FloatDtype } from '../../gpu/dtype.ts';
import { measure, type Timing } from '../../gpu/measure.ts';
import { writeTuning } from '../../gpu/tuning.ts';
import type { Slot } from '../launch.ts';
import { multipliesRight } from './check.ts';
import { candidates, type MatmulShape, matmulClass } from './choose.ts';
import { matmul } from './matmul.ts';
import { usesSubgroupMatrices } from './subgroup-matrix.ts';
import { type MatmulTechnique, tablesFor, techniqueName } from './techniques.ts';

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

/** Lends a product's operands to `use`, which times techniques on them; the values do not matter. */
async function timing<R>(
  gpu: GpuContext,
  { m, n, k, transposeA, transposeB, dtype }: MatmulShape,
  use: (time: (technique: MatmulTechnique, seconds: number) => Promise<Timing>) => Promise<R>,
): Promise<R> {
  const buffers = [m * k, k * n, m * n].map((elements) => gpu.pool.acquire(elements * 4));
  const [a, b, result] = buffers.map((buffer): Slot => ({ buffer, dtype })) as [Slot, Slot, Slot];
  // The gradient of a weight is float32.
  const c: Slot = transposeA ? { ...result, dtype: 'float32' } : result;
  try {
    return await use((technique, seconds) =>
      measure(gpu, () => matmul(gpu, { a, b, c, m, n, k, transposeA, transposeB, technique }), { seconds }),
    );
  } finally {
    for (const buffer of buffers) gpu.pool.release(buffer);
  }
}

/**
 * Times every technique that may suit the adapter on one product. Techniques by subgroup matrices only if
 * they multiply right. Throws `GpuError` if memory does not suffice.
 */
export async function tuneMatmul(gpu: GpuContext, shape: MatmulShape): Promise<TunedMatmul> {
  const times: TunedMatmul['times'] = [];
  const wrong: string[] = [];
  await timing(gpu, shape, async (time) => {
    for (const technique of candidates(gpu, shape)) {
      if (usesSubgroupMatrices(technique) && !(await multipliesRight(gpu, technique, shape))) {
        wrong.push(techniqueName(technique));
        continue;
      }
      const { median } = await time(technique, BUDGET_SECONDS);
      times.push({ technique: techniqueName(technique), seconds: median });
    }
  });
  times.sort((left, right) => left.seconds - right.seconds);
  return { ...shape, class: matmulClass(shape), times, wrong };
}

/** A layer's forward, which takes a CPU one to five milliseconds. */
const TRIED: MatmulShape = { m: 256, n: 256, k: 256, transposeA: false, transposeB: true, dtype: 'float32' };
const TRIAL_SECONDS = 0.02;
/** The unusual table must take at most this share of the usual one's time. */
const GAIN = 0.95;

/**
 * Measures once which of two tables suits the processor of a CPU adapter, and keeps the choice: the usual
 * one's loop over k is too long for some processors' caches of decoded instructions. Takes a fifth of a
 * second, and some more to compile.
 */
export async function tuneStep(gpu: GpuContext): Promise<void> {
  if (gpu.kernels !== 'cpu' || gpu.tuning.step !== undefined) return;
  const [[usual], [other] = []] = tablesFor(gpu);
  if (usual === undefined || other === undefined) return;
  const faster = await timing(gpu, TRIED, async (time) => {
    const { low } = await time(usual, TRIAL_SECONDS);
    return (await time(other, TRIAL_SECONDS)).low < GAIN * low;
  });
  // Else idle memory that nothing asks for again would let the pool give up what a model uses.
  gpu.trim();
  gpu.tuning.step = (faster ? other : usual).step;
  // A choice that cannot be kept is measured again.
  await writeTuning(gpu.description, gpu.tuning).catch(() => {});
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
