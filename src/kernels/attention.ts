/** Launchers for fused attention, forward and backward. */
import type { GpuContext } from '../gpu/context.ts';
import { GROUP_SIZE, type Grid, type KernelVariant, kernel, launch, type Slot } from './launch.ts';
import { type DropoutKey, dropoutThreshold } from './pointwise.ts';

/** Queries, keys and values, [tokens, heads · size] each; or side by side in one tensor, [tokens, 3 · heads · size]. */
export type Projections = { q: Slot; k: Slot; v: Slot } | { qkv: Slot };

export interface AttentionLaunch {
  inputs: Projections;
  /** int32 [tokens]: 0 where a key is padding. Not beside `starts`. */
  mask?: Slot | undefined;
  /** int32 [batch + 1]: sequence b has the tokens from starts[b] to before starts[b + 1]; else each has `length`. */
  starts?: Slot | undefined;
  batch: number;
  /** Of all sequences together. */
  tokens: number;
  /** Of the longest sequence. */
  length: number;
  heads: number;
  /** Width of one head. */
  size: number;
  dropout?: DropoutKey | undefined;
}

type Part = 'query' | 'key';

/** What of a launch is fixed when the shader is made. */
interface Sides {
  size: number;
  dropout: boolean;
}

/** The widest head the kernels hold in registers. */
export const MAX_HEAD_SIZE = 256;

function defines({ size, dropout }: Sides) {
  return { VEC: size % 4 === 0, CHUNKS: Math.ceil(size / 4), DROPOUT: dropout };
}

function forwardVariant(sides: Sides): KernelVariant {
  return kernel('attention', defines(sides));
}

function backwardVariant(PART: Part, FUSED: boolean, sides: Sides): KernelVariant {
  return kernel('attention_backward', { PART, FUSED, ...defines(sides) });
}

// The head sizes of the models there are, and one that is not a multiple of four, so that the compile test sees them.
for (const size of [8, 32, 64, 6]) {
  for (const dropout of [false, true]) {
    forwardVariant({ size, dropout });
    backwardVariant('query', false, { size, dropout });
    for (const fused of [false, true]) backwardVariant('key', fused, { size, dropout });
  }
}

function sidesOf({ size, dropout }: AttentionLaunch): Sides {
  return { size, dropout: dropout !== undefined };
}

function scalars(o: AttentionLaunch): { uints: number[]; floats: number[] } {
  const width = o.heads * o.size;
  const layout = 'qkv' in o.inputs ? [3 * width, width, 2 * width] : [width, 0, 0];
  const flags = [o.mask, o.starts].map((slot) => (slot === undefined ? 0 : 1));
  const key = o.dropout;
  const drop = key === undefined ? [0, 0, 0] : [key.seed, key.stream, dropoutThreshold(key.p)];
  return {
    uints: [o.tokens, o.length, o.heads, o.size, ...layout, ...flags, ...drop],
    floats: [1 / Math.sqrt(o.size), key === undefined ? 1 : 1 / (1 - key.p)],
  };
}

function grid(o: AttentionLaunch): Grid {
  return [Math.ceil(o.length / GROUP_SIZE), o.heads, o.batch];
}

/** Bindings 1 to 4. One buffer may be bound several times where it is only read. */
function inputSlots({ inputs, mask, starts }: AttentionLaunch): Slot[] {
  const { q, k, v } = 'qkv' in inputs ? { q: inputs.qkv, k: inputs.qkv, v: inputs.qkv } : inputs;
  // Binding 4 must hold some buffer; q stands in where there is neither.
  return [q, k, v, mask ?? starts ?? q];
}

/**
 * `o`: [tokens, heads · size]. `stats`: [heads, tokens, 2], filled with the logarithm of each row's softmax denominator, and room
 * that backward writes to.
 */
export function attention(gpu: GpuContext, options: AttentionLaunch & { o: Slot; stats: Slot }): void {
  const slots = [...inputSlots(options), options.o, options.stats];
  launch(gpu, forwardVariant(sidesOf(options)), slots, scalars(options), grid(options));
}

export interface AttentionGradientLaunch extends AttentionLaunch {
  o: Slot;
  stats: Slot;
  dy: Slot;
  /** Laid out as the inputs are. */
  gradients: Projections;
}

export function attentionGradient(gpu: GpuContext, options: AttentionGradientLaunch): void {
  const { gradients, o, stats, dy } = options;
  const parameters = scalars(options);
  const sides = sidesOf(options);
  const shared = [...inputSlots(options), dy, stats];
  const fused = 'qkv' in gradients;
  const dq = fused ? gradients.qkv : gradients.q;
  const rest = fused ? [gradients.qkv] : [gradients.k, gradients.v];
  launch(gpu, backwardVariant('query', false, sides), [...shared, o, dq], parameters, grid(options));
  launch(gpu, backwardVariant('key', fused, sides), [...shared, ...rest], parameters, grid(options));
}
