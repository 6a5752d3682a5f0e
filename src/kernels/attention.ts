/** Launchers for fused attention, forward and backward. */
import { cached } from '../cached.ts';
import type { GpuContext } from '../gpu/context.ts';
import { type FloatDtype, floatDtypeOf, floatDtypes, wgslTypes } from '../gpu/dtype.ts';
import { GROUP_SIZE, type Grid, type KernelVariant, kernel, launch, type Slot } from './launch.ts';
import { type DropoutKey, dropoutThreshold } from './pointwise.ts';
import { bindRows, type Operand, type Sequences, type SequenceWindow, sequenceWindows } from './sequences.ts';

/**
 * Queries, keys and values, [tokens, heads · size] each; or side by side in one tensor, [tokens, 3 · heads ·
 * size].
 */
export type Projections = { q: Slot; k: Slot; v: Slot } | { qkv: Slot };

/** float32 numbers that are added to scores, by the steps from one to another. */
export interface ScoreBias {
  slot: Slot;
  /** To another head. */
  head: number;
  /** To another row of queries, of all sequences; 0 if all share the numbers. */
  row: number;
  /** To another query, or key, of the sequence. */
  query: number;
  key: number;
  /** The element of the first head, row, query and key. */
  first: number;
}

export interface AttentionLaunch extends Sequences {
  /** float16 or float32, as are the results and their gradients. */
  inputs: Projections;
  /** int32 [tokens]: 0 for a key that is padding. Not beside `starts`. */
  mask?: Slot | undefined;
  heads: number;
  /** Width of one head. */
  size: number;
  dropout?: DropoutKey | undefined;
  /** The largest distance between a query and a key that it sees. Default: any. */
  window?: number | undefined;
  /** For `qkv` in one tensor, without a window. */
  bias?: ScoreBias | undefined;
  /** By which products of queries and keys are multiplied. Default: 1 / √size. */
  scale?: number | undefined;
}

const parts = ['forward', 'query', 'key'] as const;

type Part = (typeof parts)[number];

/** The part of a launch that is fixed when the shader is made. */
export interface Sides {
  size: number;
  dropout: boolean;
  window: boolean;
  bias: boolean;
  dtype: FloatDtype;
}

/** The widest head the kernels take. */
export const MAX_HEAD_SIZE = 256;

/** A way to compute attention; the names of its shaders end with `suffix`. */
interface Technique {
  suffix: string;
  defines: Readonly<Record<string, number | boolean>>;
  /** Queries, or keys, of a workgroup. */
  rows: number;
}

const plain: Technique = { suffix: '', defines: { ROLLED: false }, rows: GROUP_SIZE };

/**
 * The same with loops over a head's chunks, kept in arrays, instead of registers by name: a wide head has
 * more than a GPU's registers hold, and unrolled it takes a software adapter minutes to compile. One program
 * serves all widths.
 */
const rolled: Technique = { ...plain, defines: { ROLLED: true, CHUNKS: MAX_HEAD_SIZE / 4 } };

/** The widest head that is unrolled. */
const MAX_UNROLLED = { gpu: 128, cpu: 64 };

/** Invocations of a workgroup that computes tiles. */
const TILE_SIZE = 128;

/** The multiples of four that tiles take as a head's size. */
const TILED = { least: 32, most: 128 };

/**
 * A block of 4 · `across` columns: the fewer, the more rows a workgroup has, and the more results of four
 * rows an invocation keeps in registers. One program serves all sizes of as many four-vectors.
 */
function tile(across: 8 | 16, size: number): Technique {
  const down = TILE_SIZE / across;
  const vectors = Math.ceil(size / 4 / across);
  // Rows of a head that 64 four-vectors hold.
  const LINES = 64 / (vectors * across);
  const CHUNKS = vectors * across;
  return { suffix: '_tiled', defines: { CHUNKS, X: across, Y: down, J: vectors, LINES }, rows: 4 * down };
}

/** By a head's size: 32 registers of results at most, and twice as many for keys of more than 64. */
const tiled = new Map<number, Readonly<Record<Part, Technique>>>();
for (let size = TILED.least; size <= TILED.most; size += 4) {
  const single = tile(size > 64 ? 16 : 8, size);
  const double = tile(size > 32 ? 16 : 8, size);
  tiled.set(size, { forward: single, query: single, key: double });
}

/** The widest head whose rows and sums a lane holds. */
const MAX_BROADCAST_SIZE = 64;

/**
 * Queries, or keys, of a lane by the size of a subgroup. More would run faster, but make programs that take
 * lavapipe (8) many seconds to compile.
 */
const ROWS: Readonly<Record<number, Readonly<Record<Part, number>>>> = {
  4: { forward: 4, query: 2, key: 2 },
  8: { forward: 2, query: 1, key: 1 },
};

/** By the size of a subgroup. */
const broadcast: Readonly<Record<number, Readonly<Record<Part, Technique>>>> = Object.fromEntries(
  Object.entries(ROWS).map(([lanes, rowsOf]) => {
    const technique = (part: Part): Technique => {
      const rows = rowsOf[part];
      return {
        suffix: '_broadcast',
        defines: { LANES: Number(lanes), ROWS: rows },
        rows: Number(lanes) * rows,
      };
    };
    return [lanes, { forward: technique('forward'), query: technique('query'), key: technique('key') }];
  }),
);

/**
 * Blocks of rows of a workgroup that computes matrices, and subgroups that share each: the first that fits. Shared,
 * a wide head's rows take less memory and its sums fewer registers of each.
 */
const BLOCKS = [
  { BLOCKS: 4, SPLIT: 1 },
  { BLOCKS: 2, SPLIT: 2 },
  { BLOCKS: 4, SPLIT: 2 },
] as const;

/** Columns of a block of scores, the most that fit. */
const BLOCK_COLUMNS = [32, 16];

/** Bytes of workgroup memory for each subgroup of which AMD's hold enough to hide latency. */
const MATRIX_BYTES = 8192;

/** By its defines. */
const ofMatrices = new Map<string, Technique>();

/** The technique of an adapter's matrices of float16; undefined where there are none that fit. */
function matrixTechnique(adapter: Adapter, part: Part, size: number): Technique | undefined {
  const { subgroupMatrices, subgroupSize, limits } = adapter;
  const matrix = subgroupMatrices.find(({ component }) => component === 'f16');
  // A subgroup of another size would leave blocks out.
  if (matrix === undefined || matrix.lanes !== subgroupSize || size % 32 !== 0) return undefined;
  const { M, N, K, maxLanes } = matrix;
  // AMD's have two sizes, of which the larger one needs fewer registers for sums.
  const LANES = maxLanes === 64 ? maxLanes : subgroupSize;
  // Rows of a head that stay, of each row.
  const operands = part === 'forward' ? 1 : 2;
  for (const { BLOCKS: blocks, SPLIT } of BLOCKS)
    for (const COLUMNS of BLOCK_COLUMNS) {
      const [rows, width, head] = [blocks * M, COLUMNS / SPLIT, size / SPLIT];
      // Four-vectors of rows of a head, padded by two; and of columns of them, padded by one.
      const TILE = Math.max(width * (size / 4 + 2), head * (COLUMNS / 4 + 1));
      const ofScores = SPLIT * rows * (4 * width + 16) + 2 * rows * COLUMNS;
      const bytes = 8 * (SPLIT * TILE + operands * rows * (size / 4 + 2)) + ofScores + 8 * COLUMNS + 64;
      // Four-vectors of a row's scores that an invocation has.
      const OWN = ((width / 4) * M) / LANES;
      const subgroups = blocks * SPLIT;
      const whole =
        LANES % M === 0 &&
        Number.isInteger(OWN) &&
        width % N === 0 &&
        head % N === 0 &&
        COLUMNS <= subgroups * LANES;
      if (!whole || bytes > Math.min(MATRIX_BYTES * subgroups, limits.maxComputeWorkgroupStorageSize))
        continue;
      if (subgroups * LANES > limits.maxComputeInvocationsPerWorkgroup) continue;
      const defines = { SIZE: size, M, N, K, LANES, BLOCKS: blocks, SPLIT, COLUMNS, OWN, TILE };
      const key = Object.values(defines).join(' ');
      return cached(ofMatrices, key, () => ({ suffix: '_matrices', defines, rows }));
    }
  return undefined;
}

type Adapter = Pick<GpuContext, 'kernels' | 'subgroupSize' | 'subgroupMatrices' | 'limits'>;

function chooseTechnique(adapter: Adapter, part: Part, { size, dtype, window, bias }: Sides): Technique {
  const { kernels, subgroupSize } = adapter;
  const whole = size <= MAX_UNROLLED[kernels] ? plain : rolled;
  if (kernels === 'gpu') {
    // Matrices know neither a window nor a bias.
    const fits = dtype === 'float16' && size <= TILED.most && !window && !bias;
    const units = fits ? matrixTechnique(adapter, part, size) : undefined;
    return units ?? tiled.get(size)?.[part] ?? whole;
  }
  const fits = size % 4 === 0 && size <= MAX_BROADCAST_SIZE;
  return (fits && broadcast[subgroupSize]?.[part]) || whole;
}

/** Whether the adapter's matrices compute heads of this size, of float16. */
export function attentionUsesMatrices(adapter: Adapter, size: number): boolean {
  const sides: Sides = { size, dtype: 'float16', dropout: false, window: false, bias: false };
  return chooseTechnique(adapter, 'forward', sides).suffix === '_matrices';
}

/** Variants made so far, by technique and number: their names are long. */
const made = new Map<Technique, Map<number, KernelVariant>>();

function variantOf(technique: Technique, part: Part, fused: boolean, sides: Sides): KernelVariant {
  const known = made.get(technique) ?? new Map<number, KernelVariant>();
  made.set(technique, known);
  const type = floatDtypes.indexOf(sides.dtype);
  const flags =
    +fused |
    (+sides.dropout << 1) |
    (type << 2) |
    (parts.indexOf(part) << 3) |
    (+sides.window << 5) |
    (+sides.bias << 6);
  const key = sides.size * 128 + flags;
  const variant = known.get(key) ?? makeVariant(technique, part, fused, sides);
  known.set(key, variant);
  return variant;
}

function makeVariant(technique: Technique, part: Part, FUSED: boolean, sides: Sides): KernelVariant {
  const { size, dropout: DROPOUT, window: WINDOW, bias: BIAS, dtype } = sides;
  const flags = { VEC: size % 4 === 0, DROPOUT, WINDOW, BIAS };
  const head = { ...flags, CHUNKS: Math.ceil(size / 4), T: wgslTypes[dtype] };
  const all = { ...head, ...technique.defines };
  if (part === 'forward') return kernel(`attention${technique.suffix}`, all);
  return kernel(`attention_backward${technique.suffix}`, { PART: part, FUSED, ...all });
}

/** Every variant that attention with heads of this size may ask for on such an adapter. */
export function attentionVariants(adapter: Adapter, sides: Sides): KernelVariant[] {
  const of = (part: Part, fused: boolean) =>
    variantOf(chooseTechnique(adapter, part, sides), part, fused, sides);
  const fused = [of('forward', false), of('query', false), of('key', true)];
  return sides.bias ? fused : [...fused, of('key', false)];
}

function sidesOf({ inputs, size, dropout, window, bias }: AttentionLaunch): Sides {
  const dtype = floatDtypeOf('qkv' in inputs ? inputs.qkv : inputs.q);
  const flags = { dropout: dropout !== undefined, window: window !== undefined, bias: bias !== undefined };
  return { size, dtype, ...flags };
}

function columnsOf({ inputs, heads, size }: AttentionLaunch): number {
  return ('qkv' in inputs ? 3 : 1) * heads * size;
}

function scalars(o: AttentionLaunch, { first, rows }: SequenceWindow): { uints: number[]; floats: number[] } {
  const width = o.heads * o.size;
  const layout = 'qkv' in o.inputs ? [3 * width, width, 2 * width] : [width, 0, 0];
  const flags = [o.mask, o.starts].map((slot) => (slot === undefined ? 0 : 1));
  const key = o.dropout;
  const drop = key === undefined ? [0, 0, 0] : [key.seed, key.stream, dropoutThreshold(key.p)];
  const dims = [o.tokens, o.length, o.heads, o.size, first, rows?.first ?? 0];
  const { bias } = o;
  const steps = bias === undefined ? [] : [bias.head, bias.row, bias.query, bias.key, bias.first];
  return {
    uints: [...dims, ...layout, ...flags, ...drop, o.window ?? 0, ...steps.map((step) => step >>> 0)],
    floats: [o.scale ?? 1 / Math.sqrt(o.size), key === undefined ? 1 : 1 / (1 - key.p)],
  };
}

/** The first bindings. A buffer that is only read may be bound several times. */
function inputOperands(o: AttentionLaunch): Operand[] {
  const { inputs, mask, starts, bias } = o;
  const { q, k, v } = 'qkv' in inputs ? { q: inputs.qkv, k: inputs.qkv, v: inputs.qkv } : inputs;
  const columns = columnsOf(o);
  const bounds = mask ?? starts;
  // Some buffer must be bound: q's if there is neither.
  const last: Operand = bounds === undefined ? [q, columns] : [bounds];
  if (bias === undefined) return [[q, columns], [k, columns], [v, columns], last];
  return [[q, columns], bias.row === 0 ? [bias.slot] : [bias.slot, bias.row], last];
}

function run(gpu: GpuContext, part: Part, o: AttentionLaunch, operands: readonly Operand[]): void {
  const sides = sidesOf(o);
  const technique = chooseTechnique(gpu, part, sides);
  const variant = variantOf(technique, part, part === 'key' && 'qkv' in o.inputs, sides);
  const all = [...inputOperands(o), ...operands];
  for (const window of sequenceWindows(gpu, o, all)) {
    // Sequences before heads: adapters on the CPU give each core a run of workgroups, which then has some of
    // every sequence's length.
    const grid: Grid = [Math.ceil(o.length / technique.rows), window.count, o.heads];
    const slots = all.map((operand) => bindRows(operand, window));
    launch(gpu, variant, slots, scalars(o, window), grid);
  }
}

/**
 * `o`: [tokens, heads · size]. `stats`: [heads, tokens, 2], filled with the logarithm of each row's softmax
 * denominator, and room that backward writes to.
 */
export function attention(gpu: GpuContext, options: AttentionLaunch & { o: Slot; stats: Slot }): void {
  const width = options.heads * options.size;
  run(gpu, 'forward', options, [[options.o, width], [options.stats]]);
}

export interface AttentionGradientLaunch extends AttentionLaunch {
  o: Slot;
  stats: Slot;
  dy: Slot;
  /** Laid out as the inputs are. */
  gradients: Projections;
  /**
   * Beside a bias: float32 [tokens, heads, length], filled with the gradient of what was added to a query's
   * score of a key, but not of keys that the mask hides.
   */
  dbias?: Slot | undefined;
}

export function attentionGradient(gpu: GpuContext, options: AttentionGradientLaunch): void {
  const { gradients } = options;
  const width = options.heads * options.size;
  const columns = columnsOf(options);
  const [dy, stats, o]: Operand[] = [[options.dy, width], [options.stats], [options.o, width]];
  const fused = 'qkv' in gradients;
  const [dq, ...rest] = fused ? [gradients.qkv, gradients.qkv] : [gradients.q, gradients.k, gradients.v];
  const { dbias, heads, length } = options;
  const more: Operand[] = dbias === undefined ? [] : [[dbias, heads * length]];
  run(gpu, 'query', options, [dy!, stats!, o!, [dq!, columns], ...more]);
  run(gpu, 'key', options, [dy!, stats!, ...rest.map((slot): Operand => [slot, columns])]);
}
