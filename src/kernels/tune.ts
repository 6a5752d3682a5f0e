/** Times the techniques of matrix multiplication on the adapter at hand. */
import type { GpuContext } from '../gpu/context.ts';
import type { Slot } from './launch.ts';
import { matmul } from './matmul.ts';
import { multipliesRight } from './matmul-check.ts';
import { onMatrixUnits } from './matmul-subgroup-matrix.ts';
import {
  candidates,
  type MatmulShape,
  type MatmulTechnique,
  matmulClass,
  techniqueName,
} from './matmul-variants.ts';

export interface TunedMatmul extends MatmulShape {
  /** What products alike share. */
  class: string;
  /** Techniques on matrix units that multiply wrong on this adapter. */
  wrong: string[];
  /** Techniques, the fastest first, and the median seconds of one product. */
  times: { technique: string; seconds: number }[];
}

/**
 * Seconds for each technique and shape, compiling left out; and that a batch should take, so that waking up
 * does not count.
 */
const BUDGET_SECONDS = 0.25;
const BATCH_SECONDS = 0.02;

async function secondsOf(gpu: GpuContext, run: () => void): Promise<number> {
  const batch = async (runs: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < runs; i += 1) run();
    await gpu.sync();
    return (performance.now() - start) / 1000;
  };
  await batch(1);
  const runs = Math.max(1, Math.ceil(BATCH_SECONDS / Math.max(await batch(1), 1e-6)));
  const times: number[] = [];
  for (let spent = 0; times.length < 3 || spent < BUDGET_SECONDS; ) {
    const seconds = await batch(runs);
    spent += seconds;
    times.push(seconds / runs);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
}

/**
 * Times every technique that may suit the adapter on one product, values aside; those on matrix units only if
 * they multiply right. Throws `GpuError` where memory does not suffice.
 */
export async function tuneMatmul(gpu: GpuContext, shape: MatmulShape): Promise<TunedMatmul> {
  const { m, n, k, transposeA, transposeB, half } = shape;
  const buffers = [m * k, k * n, m * n].map((elements) => gpu.pool.acquire(elements * 4));
  const [a, b] = buffers.map((buffer): Slot => ({ buffer, half })) as [Slot, Slot];
  // The gradient of a weight is float32.
  const c: Slot = { buffer: buffers[2]!, half: half && !transposeA };
  const times: TunedMatmul['times'] = [];
  const wrong: string[] = [];
  try {
    for (const technique of candidates(gpu, shape)) {
      if (onMatrixUnits(technique) && !(await multipliesRight(gpu, technique, shape))) {
        wrong.push(techniqueName(technique));
        continue;
      }
      const run = (chosen: MatmulTechnique): void =>
        matmul(gpu, { a, b, c, m, n, k, transposeA, transposeB, technique: chosen });
      const seconds = await secondsOf(gpu, () => run(technique));
      times.push({ technique: techniqueName(technique), seconds });
    }
  } finally {
    for (const buffer of buffers) gpu.pool.release(buffer);
  }
  times.sort((left, right) => left.seconds - right.seconds);
  return { ...shape, class: matmulClass(shape), times, wrong };
}

/**
 * The products of an encoder layer of width `hidden` over `tokens`: forward, and its two gradients; one of
 * each class. `half`: of float16 matrices.
 */
export function layerProducts(hidden: number, tokens: number, half: boolean): MatmulShape[] {
  const layers = [
    [hidden, 3 * hidden],
    [hidden, hidden],
    [hidden, 4 * hidden],
    [4 * hidden, hidden],
  ] as const;
  const products = layers.flatMap(([inputs, outputs]): MatmulShape[] => [
    { m: tokens, n: outputs, k: inputs, transposeA: false, transposeB: true, half },
    { m: tokens, n: inputs, k: outputs, transposeA: false, transposeB: false, half },
    { m: outputs, n: inputs, k: tokens, transposeA: true, transposeB: false, half },
  ]);
  const byClass = new Map<string, MatmulShape>();
  for (const product of products)
    if (!byClass.has(matmulClass(product))) byClass.set(matmulClass(product), product);
  return [...byClass.values()];
}
