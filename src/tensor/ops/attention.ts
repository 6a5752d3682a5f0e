/** Fused multi-head attention of three tensors, or of one tensor whose rows hold query, key and value. */

import { ShapeError } from '../../errors.ts';
import {
  attentionGradient,
  attention as attentionKernel,
  MAX_HEAD_SIZE,
  type Projections,
  type ScoreBias,
} from '../../kernels/attention.ts';
import { biasOfDistances, sumByDistance } from '../../kernels/distance-scores.ts';
import type { DropoutKey } from '../../kernels/pointwise.ts';
import { checkOptions, type OptionNames } from '../../options.ts';
import { withAutocast } from '../autocast.ts';
import { defineOp } from '../op.ts';
import { formatShape, type Shape, sameShape } from '../shape.ts';
import type { Dtype, Tensor } from '../tensor.ts';
import { checkDropout } from './elementwise.ts';
import { sumTo } from './reduction.ts';

/** @internal */
export interface Options {
  heads: number;
  dropout: DropoutKey | undefined;
  /** The largest distance between a query and a key that it sees. */
  window?: number | undefined;
  /** Default: 1 / √size. */
  scale?: number | undefined;
}

/** @internal */
export interface Dims {
  batch: number;
  tokens: number;
  length: number;
  heads: number;
  size: number;
}

/** @internal A mask of keys, or the starts of sequences; at most one of the two. */
export interface Bounds {
  mask?: Tensor | undefined;
  starts?: Tensor | undefined;
}

/** @internal */
export const slotsOf = ({ mask, starts }: Bounds) => ({
  mask: mask?.slot,
  starts: starts?.slot,
  knownStarts: starts?.integers ?? undefined,
});

/** The window for the kernels: none if it shows everything. */
const windowOf = ({ window = Infinity }: Options, { length }: Dims): number | undefined =>
  window >= length - 1 ? undefined : window;

/** @internal Fills y; what it returns, backward needs. */
export function attentionForward(
  inputs: Projections,
  bounds: Bounds,
  y: Tensor,
  dims: Dims,
  options: Options,
  bias?: ScoreBias,
): { stats: Tensor } {
  const { dropout, scale } = options;
  const window = windowOf(options, dims);
  const stats = y.device.raw([dims.heads, dims.tokens, 2]);
  const outputs = { o: y.slot, stats: stats.slot };
  attentionKernel(y.device.gpu, {
    inputs,
    ...slotsOf(bounds),
    ...dims,
    dropout,
    window,
    scale,
    bias,
    ...outputs,
  });
  return { stats };
}

/**
 * @internal Fills the gradients. Beside a bias, returns the gradient of what was added to the scores, float32
 * [tokens, heads, length]; the caller disposes of it.
 */
export function attentionBackward(
  inputs: Projections,
  saved: Bounds & { y: Tensor; stats: Tensor },
  dy: Tensor,
  gradients: Projections,
  dims: Dims,
  options: Options,
  bias?: ScoreBias,
): Tensor | null {
  const { device } = dy;
  const { dropout, scale } = options;
  const window = windowOf(options, dims);
  const dbias = bias === undefined ? null : device.raw([dims.tokens, dims.heads, dims.length]);
  // Kernels pass over keys that the mask hides.
  if (dbias !== null && saved.mask !== undefined) device.fill(dbias, 0);
  attentionGradient(device.gpu, {
    inputs,
    ...slotsOf(saved),
    ...dims,
    dropout,
    window,
    scale,
    bias,
    o: saved.y.slot,
    stats: saved.stats.slot,
    dy: dy.slot,
    gradients,
    dbias: dbias?.slot,
  });
  return dbias;
}

function checkHeads(op: string, given: string, width: number, heads: number): void {
  const size = width / heads;
  if (!Number.isInteger(size) || size < 1 || size > MAX_HEAD_SIZE) {
    throw new ShapeError(`${op}: ${given} does not divide into ${heads} heads`, {
      remedy: `the width must be a multiple of the heads, at most ${MAX_HEAD_SIZE} each`,
    });
  }
}

function checkMask(op: string, given: string, mask: Tensor | undefined, shape: Shape): void {
  if (mask !== undefined && !sameShape(mask.shape, shape.slice(0, 2))) {
    throw new ShapeError(`${op}: mask ${formatShape(mask.shape)} does not fit ${given}`, {
      remedy: 'it must be [batch, length]',
    });
  }
}

function dimsOf(shape: Shape, heads: number): Dims {
  const [batch, length, width] = shape as [number, number, number];
  return { batch, tokens: batch * length, length, heads, size: width / heads };
}

const attentionOp = defineOp({
  name: 'attention',
  inputs: { q: 'float', k: 'float', v: 'float', mask: 'int32?' },
  shape: ({ q, k, v, mask }, { heads }: Options) => {
    const given = `q ${formatShape(q.shape)} · k ${formatShape(k.shape)} · v ${formatShape(v.shape)}`;
    if (q.rank !== 3 || !sameShape(q.shape, k.shape) || !sameShape(q.shape, v.shape)) {
      throw new ShapeError(`attention: q, k and v must all be [batch, length, width]: ${given}`);
    }
    checkHeads('attention', given, q.shape[2]!, heads);
    checkMask('attention', given, mask, q.shape);
    return { shape: q.shape, dtype: q.dtype };
  },
  forward: ({ q, k, v, mask }, y, options) => {
    const inputs = { q: q.slot, k: k.slot, v: v.slot };
    return attentionForward(inputs, { mask }, y, dimsOf(q.shape, options.heads), options);
  },
  saves: ['q', 'k', 'v', 'mask', 'y', 'stats'],
  backward: ({ dy, saved, options }) => {
    const [q, k, v] = [0, 1, 2].map(() => dy.device.raw(dy.shape, dy.dtype)) as [Tensor, Tensor, Tensor];
    const inputs = { q: saved.q.slot, k: saved.k.slot, v: saved.v.slot };
    const gradients = { q: q.slot, k: k.slot, v: v.slot };
    attentionBackward(inputs, saved, dy, gradients, dimsOf(dy.shape, options.heads), options);
    return { q, k, v };
  },
});

/** @internal */
export interface FusedOptions extends Options {
  /** Length of the longest sequence; needed beside `starts`. */
  length: number | undefined;
}

/**
 * Throws `ShapeError` if the starts do not cut the tokens into sequences of at most `length`. Values are
 * checked only if the host knows them.
 */
function checkStarts(
  op: string,
  given: string,
  starts: Tensor,
  [tokens, length]: readonly [number, number | undefined],
): void {
  const remedy = 'starts must be [batch + 1], from 0 to the number of tokens';
  if (starts.rank !== 1 || starts.size < 2) {
    throw new ShapeError(`${op}: starts ${formatShape(starts.shape)} do not fit ${given}`, {
      remedy,
    });
  }
  if (length === undefined || !Number.isInteger(length) || length < 0) {
    throw new ShapeError(`${op}: length is ${length}`, {
      remedy: 'beside starts, give the length of the longest sequence',
    });
  }
  const known = starts.integers;
  if (known === null) return;
  if (known[0] !== 0 || known.at(-1) !== tokens) {
    const ends = `${known[0]} … ${known.at(-1)}`;
    throw new ShapeError(`${op}: starts ${ends} do not cover ${given}`, { remedy });
  }
  for (let b = 0; b + 1 < known.length; b += 1) {
    const own = known[b + 1]! - known[b]!;
    if (own >= 0 && own <= length) continue;
    throw new ShapeError(`${op}: sequence ${b} has ${own} tokens, the longest ${length}`, {
      remedy: 'starts must not fall, and length must be that of the longest sequence',
    });
  }
}

/** @internal */
export function fusedDims(shape: Shape, starts: Tensor | undefined, { heads, length }: FusedOptions): Dims {
  const size = shape.at(-1)! / 3 / heads;
  if (starts === undefined) return { ...dimsOf(shape, heads), size };
  return { batch: starts.size - 1, tokens: shape[0]!, length: length!, heads, size };
}

/** Inputs of attention over one tensor that holds queries, keys and values. */
interface FusedInputs extends Bounds {
  qkv: Tensor;
}

/** @internal The result's shape and type. Throws `ShapeError` naming the op. */
export function fusedSpec(
  op: string,
  { qkv, mask, starts }: FusedInputs,
  { heads, length }: FusedOptions,
): { shape: Shape; dtype: Dtype } {
  const given = `qkv ${formatShape(qkv.shape)}`;
  const rank = starts === undefined ? 3 : 2;
  if (qkv.rank !== rank || qkv.shape.at(-1)! % 3 !== 0) {
    throw new ShapeError(`${op}: ${given}, ${starts === undefined ? 'without' : 'with'} starts`, {
      remedy: 'it must be [batch, length, 3 · width], or beside starts [tokens, 3 · width]',
    });
  }
  if (mask !== undefined && starts !== undefined) {
    throw new ShapeError(`${op}: a mask and starts are given`, { remedy: 'pass one of the two' });
  }
  const width = qkv.shape.at(-1)! / 3;
  checkHeads(op, given, width, heads);
  checkMask(op, given, mask, qkv.shape);
  if (starts !== undefined) checkStarts(op, given, starts, [qkv.shape[0]!, length]);
  return { shape: [...qkv.shape.slice(0, -1), width], dtype: qkv.dtype };
}

/** Throws `ShapeError` unless a bias has a number for each head and distance. */
function checkBias(bias: Tensor, { heads, length }: Dims, window: number | undefined): void {
  const [rows, width = 0] = bias.shape;
  if (window !== undefined)
    throw new ShapeError('selfAttention: a bias and a window are given', { remedy: 'pass one of the two' });
  if (bias.rank !== 2 || rows !== heads || width % 2 === 0 || width < 2 * length - 1)
    throw new ShapeError(
      `selfAttention: bias ${formatShape(bias.shape)} does not fit ${heads} heads and ${length} tokens`,
      { remedy: 'it must be [heads, 2 · n − 1], n at least the length of the longest sequence' },
    );
}

const scoreBiasOf = (bias: Tensor | undefined): ScoreBias | undefined =>
  bias && biasOfDistances(bias.slot, bias.shape[1]!);

/** The gradient of a bias [heads, width] from those of the scores. */
function biasGradient(scores: Tensor, starts: Tensor | undefined, dims: Dims, width: number): Tensor {
  const { device } = scores;
  const sums = device.raw([dims.batch, dims.heads, width]);
  const slots = { scores: scores.slot, sums: sums.slot, ...slotsOf({ starts }) };
  sumByDistance(device.gpu, { ...dims, ...slots, width });
  const total = sumTo(sums, [dims.heads, width]);
  sums.dispose();
  return total;
}

const selfAttentionOp = defineOp({
  name: 'selfAttention',
  inputs: { qkv: 'float', mask: 'int32?', starts: 'int32?', bias: 'float32?' },
  shape: (inputs, options: FusedOptions) => {
    const spec = fusedSpec('selfAttention', inputs, options);
    const { qkv, starts, bias } = inputs;
    if (bias !== undefined) checkBias(bias, fusedDims(qkv.shape, starts, options), options.window);
    return spec;
  },
  forward: ({ qkv, mask, starts, bias }, y, options) => {
    const dims = fusedDims(qkv.shape, starts, options);
    return attentionForward({ qkv: qkv.slot }, { mask, starts }, y, dims, options, scoreBiasOf(bias));
  },
  saves: ['qkv', 'mask', 'starts', 'bias', 'y', 'stats'],
  backward: ({ dy, saved, options, needs }) => {
    const { shape, slot } = saved.qkv;
    const { starts, bias } = saved;
    const qkv = dy.device.raw(shape, dy.dtype);
    const dims = fusedDims(shape, starts, options);
    const gradients = { qkv: qkv.slot };
    const added = scoreBiasOf(bias);
    const scores = attentionBackward({ qkv: slot }, saved, dy, gradients, dims, options, added);
    if (scores === null) return { qkv };
    const dbias = needs.bias ? biasGradient(scores, starts, dims, bias!.shape[1]!) : undefined;
    scores.dispose();
    return { qkv, bias: dbias };
  },
});

/** @internal */
export function dropoutKey(x: Tensor, p = 0): DropoutKey | undefined {
  checkDropout(p);
  return p === 0 ? undefined : x.device.nextDropoutKey(p);
}

export interface AttentionOptions {
  heads: number;
  /** int32 [batch, length], 0 for padding. If every key of a sequence is masked, its results are zeros. */
  mask?: Tensor | undefined;
  /** Probability of dropping an attention weight. */
  dropout?: number | undefined;
}

/**
 * softmax(q·kᵀ / √size) · v for each head (Vaswani et al., 2017), in one kernel: memory is linear in the
 * length. q, k, v and the result: [batch, length, heads · size].
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  checkOptions('attention', options, attentionOptionNames);
  const { heads, mask } = options;
  const dropout = dropoutKey(q, options.dropout);
  return withAutocast(q, (query) =>
    withAutocast(k, (key) =>
      withAutocast(v, (value) => attentionOp({ q: query, k: key, v: value, mask }, { heads, dropout })),
    ),
  );
}

/** @internal */
export const attentionOptionNames: OptionNames<AttentionOptions> = { heads: true, mask: true, dropout: true };

/** How tokens come that are packed. */
export interface PackedOptions extends AttentionOptions {
  /**
   * int32 [batch + 1], from 0 to the number of tokens, for contiguous sequences without padding: sequence b
   * has the rows starts[b] to starts[b + 1] − 1. Replaces the mask and needs `length`.
   */
  starts?: Tensor | undefined;
  /** Length of the longest sequence; needed beside `starts`. */
  length?: number | undefined;
  /** By which products of queries and keys are multiplied. Default: 1 / √size. */
  scale?: number | undefined;
}

/** @internal */
export const packedOptionNames: OptionNames<PackedOptions> = {
  ...attentionOptionNames,
  starts: true,
  length: true,
  scale: true,
};

export interface SelfAttentionOptions extends PackedOptions {
  /**
   * float32 [heads, 2 · n − 1], n at least the length of the longest sequence: a number for each distance from
   * −(n − 1) to n − 1 of a query from a key, which is added to the scaled product. Not beside a window.
   */
  bias?: Tensor | undefined;
  /** Largest distance between a query and a key that it sees (local attention); a whole number. Default: any. */
  window?: number | undefined;
}

/**
 * Attention over one tensor whose rows hold a token's query, key and value in this order, as one matrix
 * product gives them. qkv [batch, length, 3 · heads · size] → [batch, length, heads · size]; with `starts`:
 * [tokens, 3 · heads · size] → [tokens, heads · size]. Throws `ShapeError` if shapes, starts or length do not
 * fit.
 */
export function selfAttention(qkv: Tensor, options: SelfAttentionOptions): Tensor {
  checkOptions<SelfAttentionOptions>('selfAttention', options, {
    ...packedOptionNames,
    window: true,
    bias: true,
  });
  const { heads, mask, starts, bias, length, window, scale } = options;
  if (window !== undefined && (!Number.isInteger(window) || window < 0))
    throw new ShapeError(`selfAttention: window is ${window}`, { remedy: 'use a whole number, 0 or more' });
  const dropout = dropoutKey(qkv, options.dropout);
  return withAutocast(qkv, (input) =>
    selfAttentionOp({ qkv: input, mask, starts, bias }, { heads, dropout, length, window, scale }),
  );
}
