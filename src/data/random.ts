/** Seeded random numbers for orders and masks, the same on every platform. */
import { check } from '../options.ts';

const LARGEST_SEED = 2 ** 32 - 1;

/** Throws `ConfigError` for a seed that does not fit into 32 bits. */
export function checkSeed(seed: number): void {
  const fits = Number.isInteger(seed) && seed >= 0 && seed <= LARGEST_SEED;
  check('seed', seed, fits, `use an integer from 0 to ${LARGEST_SEED}`);
}

/** xoshiro128** (Blackman and Vigna, 2018), seeded through splitmix32. */
export class Random {
  private readonly state = new Uint32Array(4);

  /** Different (seed, stream) pairs give independent sequences. Throws like `checkSeed`. */
  constructor(seed: number, stream = 0) {
    checkSeed(seed);
    let mix = (Math.imul(seed >>> 0, 0x9e3779b1) ^ Math.imul((stream + 1) >>> 0, 0x85ebca77)) >>> 0;
    for (let i = 0; i < 4; i += 1) {
      mix = (mix + 0x9e3779b9) >>> 0;
      let z = mix;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      this.state[i] = z ^ (z >>> 15);
    }
  }

  /** 32 random bits as an unsigned integer. */
  uint32(): number {
    const s = this.state;
    const rotated = rotate(Math.imul(s[1]!, 5), 7);
    const result = Math.imul(rotated, 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotate(s[3]!, 11);
    return result;
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.uint32() / 2 ** 32;
  }

  /** Uniform integer in [0, n). */
  integer(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** 0 … n−1 in random order (Fisher–Yates). */
  permutation(n: number): number[] {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i -= 1) {
      const j = this.integer(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
