/** Launchers for fused attention, forward and backward. */
import type { GpuContext } from '../gpu/context.ts';
import { GROUP_SIZE, type Grid, type KernelVariant, kernel, launch, type Slot } from './launch.ts';
import { type DropoutKey, dropoutThreshold } from './pointwise.ts';

export interface AttentionLaunch {
  /** [batch, length, heads · size] each. */
  q: Slot;
  k: Slot;
  v: Slot;
  /** int32 [batch, length]: 0 where a key is padding. */
  mask?: Slot;
  batch: number;
  heads: number;
  length: number;
  /** Width of one head. */
  size: number;
  dropout?: DropoutKey;
}

type Part = 'delta' | 'query' | 'key';

/** The widest head the kernels hold in registers. */
export const MAX_HEAD_SIZE = 256;

function shape(size: number): { VEC: boolean; CHUNKS: number } {
  return { VEC: size % 4 === 0, CHUNKS: Math.ceil(size / 4) };
}

function forwardVariant(size: number): KernelVariant {
  return kernel('attention', shape(size));
}

function backwardVariant(PART: Part, size: number): KernelVariant {
  return kernel('attention_backward', { PART, ...shape(size) });
}

// The head sizes of the models there are, and one that is not a multiple of four, so that the compile test sees them.
for (const size of [8, 32, 64, 6]) {
  forwardVariant(size);
  for (const part of ['delta', 'query', 'key'] satisfies Part[]) backwardVariant(part, size);
}

function scalars(o: AttentionLaunch): { uints: number[]; floats: number[] } {
  const key = o.dropout;
  const drop = key === undefined ? [0, 0, 0] : [key.seed, key.stream, dropoutThreshold(key.p)];
  return {
    uints: [o.batch, o.heads, o.length, o.size, o.mask === undefined ? 0 : 1, ...drop],
    floats: [1 / Math.sqrt(o.size), key === undefined ? 1 : 1 / (1 - key.p)],
  };
}

function grid(o: AttentionLaunch): Grid {
  return [Math.ceil(o.length / GROUP_SIZE), o.heads, o.batch];
}

/** `o`: [batch, length, heads · size]; `lse`: [batch, heads, length], the logarithm of each row's softmax denominator. */
export function attention(gpu: GpuContext, options: AttentionLaunch & { o: Slot; lse: Slot }): void {
  const { q, k, v, mask, o, lse } = options;
  // Binding 4 must hold some buffer; q stands in where there is no mask.
  launch(gpu, forwardVariant(options.size), [q, k, v, mask ?? q, o, lse], scalars(options), grid(options));
}

export interface AttentionGradientLaunch extends AttentionLaunch {
  o: Slot;
  lse: Slot;
  dy: Slot;
  dq: Slot;
  dk: Slot;
  dv: Slot;
  /** Scratch of 2 · batch · heads · length elements. */
  rows: Slot;
}

export function attentionGradient(gpu: GpuContext, options: AttentionGradientLaunch): void {
  const { q, k, v, mask, o, lse, dy, dq, dk, dv, rows, size } = options;
  const parameters = scalars(options);
  launch(gpu, backwardVariant('delta', size), [o, dy, lse, rows], parameters, grid(options));
  const shared = [q, k, v, mask ?? q, dy, rows];
  launch(gpu, backwardVariant('query', size), [...shared, dq], parameters, grid(options));
  launch(gpu, backwardVariant('key', size), [...shared, dk, dv], parameters, grid(options));
}
