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

type Part = 'forward' | 'query' | 'key';

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

/** A way to compute attention; the names of its shaders end with `suffix`. */
interface Technique {
  suffix: string;
  defines: Readonly<Record<string, number>>;
  /** Queries, or keys, of a workgroup. */
  rows: number;
}

const plain: Technique = { suffix: '', defines: {}, rows: GROUP_SIZE };

/** The widest head whose rows and sums a lane holds. */
const MAX_BROADCAST_SIZE = 64;

/**
 * Queries, or keys, of a lane by the size of a subgroup. More would run faster, but make programs that take lavapipe (8) many seconds
 * to compile.
 */
const ROWS: Readonly<Record<number, Readonly<Record<Part, number>>>> = {
  4: { forward: 4, query: 2, key: 2 },
  8: { forward: 2, query: 1, key: 1 },
};

function broadcast(lanes: number, part: Part): Technique {
  const rows = ROWS[lanes]![part];
  return { suffix: '_broadcast', defines: { LANES: lanes, ROWS: rows }, rows: lanes * rows };
}

function chooseTechnique({ kernels, subgroupSize }: GpuContext, part: Part, size: number): Technique {
  const fits = size % 4 === 0 && size <= MAX_BROADCAST_SIZE;
  return kernels === 'cpu' && subgroupSize in ROWS && fits ? broadcast(subgroupSize, part) : plain;
}

function variantOf(technique: Technique, part: Part, FUSED: boolean, sides: Sides): KernelVariant {
  const all = { ...technique.defines, ...defines(sides) };
  if (part === 'forward') return kernel(`attention${technique.suffix}`, all);
  return kernel(`attention_backward${technique.suffix}`, { PART: part, FUSED, ...all });
}

function declare(technique: (part: Part) => Technique, sides: Sides): void {
  variantOf(technique('forward'), 'forward', false, sides);
  variantOf(technique('query'), 'query', false, sides);
  for (const fused of [false, true]) variantOf(technique('key'), 'key', fused, sides);
}

// The head sizes of the models there are, and one that is not a multiple of four, so that the compile test sees them.
for (const size of [8, 32, 64, 6]) {
  for (const dropout of [false, true]) {
    declare(() => plain, { size, dropout });
    if (size % 4 !== 0) continue;
    for (const lanes of Object.keys(ROWS))
      declare((part) => broadcast(Number(lanes), part), { size, dropout });
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

function run(gpu: GpuContext, part: Part, o: AttentionLaunch, slots: Slot[]): void {
  const technique = chooseTechnique(gpu, part, o.size);
  const variant = variantOf(technique, part, part === 'key' && 'qkv' in o.inputs, sidesOf(o));
  const grid: Grid = [Math.ceil(o.length / technique.rows), o.heads, o.batch];
  launch(gpu, variant, [...inputSlots(o), ...slots], scalars(o), grid);
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
  run(gpu, 'forward', options, [options.o, options.stats]);
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
  const fused = 'qkv' in gradients;
  const rest = fused ? [gradients.qkv] : [gradients.k, gradients.v];
  run(gpu, 'query', options, [dy, stats, o, fused ? gradients.qkv : gradients.q]);
  run(gpu, 'key', options, [dy, stats, ...rest]);
}
