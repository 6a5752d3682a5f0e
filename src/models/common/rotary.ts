/** Angles of rotary positions (Su et al., 2021). */
import { cached } from '../../cached.ts';

const tables = new Map<string, Float32Array>();

/**
 * Cosines, then sines, of each position from 0 to count − 1, [count, size]: pair d of a head turns by position
 * · theta^(−2d / size). Rounded to float32 where transformers rounds.
 */
export function rotaryAngles(count: number, size: number, theta: number): Float32Array {
  const { fround } = Math;
  const name = `${size} ${theta}`;
  if (cached(tables, name, () => new Float32Array()).length < count * size) {
    const half = size / 2;
    const speeds = Float64Array.from({ length: half }, (_, d) =>
      fround(1 / fround(theta ** ((2 * d) / size))),
    );
    const angle = (at: number) => fround(Math.floor(at / size) * speeds[at % half]!);
    const table = Float32Array.from({ length: count * size }, (_, at) =>
      at % size < half ? Math.cos(angle(at)) : Math.sin(angle(at)),
    );
    tables.set(name, table);
  }
  return tables.get(name)!.subarray(0, count * size);
}
