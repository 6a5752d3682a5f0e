/** Whether an adapter's matrix units attend right: unlike products, attention also takes sums back from memory. */
import type { GpuContext } from '../gpu/context.ts';
import { attention } from './attention.ts';
import { cast } from './pointwise.ts';
import { trial } from './trial.ts';

/** More than two blocks of keys, and a rest. */
const TOKENS = 72;

/** The smallest that matrices take. */
export const SIZE = 32;

/** From this key on, scores are higher by 9.5, so that the sums so far are scaled by some e^−9.5. */
const HIGH = 40;
const RAISED = 54;

/** By which earlier values are larger: they and later ones have a similar part in the results. */
const EARLY = 4096;

/** Of the largest result: each weight and each result is rounded to float16, by at most 2^-11 of itself. */
const TOLERANCE = 2 ** -8;

/** Whole numbers from −most to most, no two lines alike. */
function draw(token: number, element: number, most: number): number {
  return (((31 * token + 17 * element + token * element * (token + 3)) % 251) % (2 * most + 1)) - most;
}

const query = (i: number, e: number): number => (e === 0 ? 1 : draw(i, e, 1));
const key = (j: number, e: number): number => (e === 0 ? (j < HIGH ? 0 : RAISED) : draw(j + 83, e, 1));
const value = (j: number, e: number): number => draw(j + 157, e, 8) * (j < HIGH ? EARLY : 1);

/**
 * Whether every element of one result is close to that of float64. By the kernel that this context would
 * choose for heads of float16. Throws `DeviceLostError` only.
 */
export function attendsRight(gpu: GpuContext): Promise<boolean> {
  return trial(gpu, async (fill) => {
    const rows = Float32Array.from({ length: TOKENS * 3 * SIZE }, (_, at) => {
      const [token, column] = [Math.floor(at / (3 * SIZE)), at % (3 * SIZE)];
      return [query, key, value][Math.floor(column / SIZE)]!(token, column % SIZE);
    });
    const count = TOKENS * SIZE;
    // Memory from the pool may hold the right result of another technique.
    const o = fill(new Float32Array(count).fill(-1), 'float16');
    const stats = fill(new Float32Array(2 * TOKENS));
    const inputs = { qkv: fill(rows, 'float16') };
    attention(gpu, { inputs, o, stats, batch: 1, tokens: TOKENS, length: TOKENS, heads: 1, size: SIZE });
    const wide = fill(new Float32Array(count));
    cast(gpu, { x: o, y: wide, count });
    const found = new Float32Array(await gpu.read(wide.buffer, 0, count * 4));
    const expected = attended();
    const most = TOLERANCE * Math.max(...expected.map(Math.abs));
    return found.every((result, at) => Math.abs(result - expected[at]!) <= most);
  });
}

/** [TOKENS · SIZE] */
function attended(): number[] {
  const tokens = Array.from({ length: TOKENS }, (_, token) => token);
  const elements = tokens.slice(0, SIZE);
  return tokens.flatMap((i) => {
    const weights = tokens.map((j) => {
      const score = elements.reduce((sum, e) => sum + query(i, e) * key(j, e), 0);
      return Math.exp((score - RAISED) / Math.sqrt(SIZE));
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return elements.map((e) => weights.reduce((sum, weight, j) => sum + weight * value(j, e), 0) / total);
  });
}
