/**
 * Fused attention whose scores are products of queries and keys, and of both with embeddings of their
 * distances (Shaw et al., 2018; He et al., 2021).
 */
import { ShapeError } from '../../errors.ts';
import {
  biasOfScores,
  type DistanceScoresLaunch,
  distanceGradients,
  distanceScores,
} from '../../kernels/distance-scores.ts';
import { checkOptions } from '../../options.ts';
import { withAutocast } from '../autocast.ts';
import { defineOp } from '../op.ts';
import { formatShape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import {
  attentionBackward,
  attentionForward,
  type Bounds,
  type Dims,
  dropoutKey,
  type FusedOptions,
  fusedDims,
  fusedSpec,
  type PackedOptions,
  packedOptionNames,
  slotsOf,
} from './attention.ts';

/** The row of a table of embeddings for each distance of a query from a key. */
export interface DistancePlaces {
  /** int32 [2 · n − 1]: of the distances from −(n − 1) to n − 1, n at least the longest sequence; rising. */
  rows: Tensor;
  /**
   * int32 [all rows + 1]: of each row the place of its first distance among those, then 2 · n − 1. A row
   * without distances has the place of the next one's.
   */
  firsts: Tensor;
  /** The row that is the first one of the tables. */
  low: number;
}

interface Options extends FusedOptions {
  low: number;
}

interface Inputs extends Bounds {
  qkv: Tensor;
  byQuery?: Tensor | undefined;
  byKey?: Tensor | undefined;
  rows: Tensor;
  firsts: Tensor;
}

function checkTables({ qkv, starts, byQuery, byKey, rows, firsts }: Inputs, options: Options): void {
  const tables = [byQuery, byKey].filter((table) => table !== undefined);
  const shapes = tables.map(({ shape }) => formatShape(shape)).join(' · ');
  const width = qkv.shape.at(-1)! / 3;
  const [count] = tables[0]?.shape ?? [];
  if (tables.length === 0 || tables.some(({ shape }) => !sameShape(shape, [count!, width])))
    throw new ShapeError(`distanceAttention: tables ${shapes} do not fit qkv ${formatShape(qkv.shape)}`, {
      remedy: 'pass byQuery, byKey or both: [n, width] each',
    });
  const { length } = fusedDims(qkv.shape, starts, options);
  const { low } = options;
  if (rows.rank !== 1 || rows.size % 2 === 0 || rows.size < 2 * length - 1)
    throw new ShapeError(`distanceAttention: rows ${formatShape(rows.shape)} do not fit ${length} tokens`, {
      remedy: 'they must be [2 · n − 1], n at least the length of the longest sequence',
    });
  if (!Number.isInteger(low) || low < 0 || firsts.rank !== 1 || firsts.size < low + count! + 1)
    throw new ShapeError(
      `distanceAttention: firsts ${formatShape(firsts.shape)} do not fit rows ${low} to ${low + count! - 1}`,
      { remedy: 'there must be one for each row of the tables, and one more' },
    );
  const known = rows.integers;
  if (known === null) return;
  const zero = (rows.size - 1) / 2;
  const [first, last] = [known[zero - length + 1]!, known[zero + length - 1]!];
  if (length > 0 && (first < low || last >= low + count!))
    throw new ShapeError(`distanceAttention: rows ${first} to ${last} are not all in tables ${shapes}`, {
      remedy: `the tables have rows ${low} to ${low + count! - 1}`,
    });
}

/** What the kernels of scores take, with memory for scores and products; the caller disposes of both. */
function launchOf(
  { qkv, starts, byQuery, byKey, rows, firsts }: Inputs,
  dims: Dims,
  { low, scale }: Options,
): { launch: DistanceScoresLaunch; memory: readonly Tensor[] } {
  const { device, dtype } = qkv;
  const [count] = (byQuery ?? byKey)!.shape as [number];
  const sides = byQuery === undefined || byKey === undefined ? 1 : 2;
  const scores = device.raw([dims.tokens, dims.heads, dims.length]);
  const ofTables = device.raw([dims.tokens, sides, dims.heads, count], dtype);
  const launch = {
    ...dims,
    ...slotsOf({ starts }),
    qkv: qkv.slot,
    tables: { byQuery: byQuery?.slot, byKey: byKey?.slot },
    count,
    rows: rows.slot,
    firsts: firsts.slot,
    zero: (rows.size - 1) / 2,
    low,
    products: ofTables.slot,
    scores: scores.slot,
    scale: scale ?? 1 / Math.sqrt(dims.size),
  };
  return { launch, memory: [scores, ofTables] };
}

const dispose = (memory: readonly Tensor[]): void => {
  for (const tensor of memory) tensor.dispose();
};

const distanceAttentionOp = defineOp({
  name: 'distanceAttention',
  inputs: {
    qkv: 'float',
    byQuery: 'float?',
    byKey: 'float?',
    rows: 'int32',
    firsts: 'int32',
    mask: 'int32?',
    starts: 'int32?',
  },
  shape: (inputs: Inputs, options: Options) => {
    const spec = fusedSpec('distanceAttention', inputs, options);
    checkTables(inputs, options);
    return spec;
  },
  forward: (inputs, y, options) => {
    const { qkv, starts } = inputs;
    const dims = fusedDims(qkv.shape, starts, options);
    const { launch, memory } = launchOf(inputs, dims, options);
    distanceScores(y.device.gpu, launch);
    const bias = biasOfScores(launch);
    const kept = attentionForward({ qkv: qkv.slot }, inputs, y, dims, options, bias);
    dispose(memory);
    return kept;
  },
  saves: ['qkv', 'byQuery', 'byKey', 'rows', 'firsts', 'mask', 'starts', 'y', 'stats'],
  backward: ({ dy, saved, options, needs, gradient }) => {
    const { device } = dy;
    const { shape, slot } = saved.qkv;
    const dims = fusedDims(shape, saved.starts, options);
    const { launch, memory } = launchOf(saved, dims, options);
    // Computed again: kept, they would take as much memory as the scores of every layer.
    distanceScores(device.gpu, launch);
    const qkv = device.raw(shape, dy.dtype);
    const bias = biasOfScores(launch);
    const dscores = attentionBackward({ qkv: slot }, saved, dy, { qkv: qkv.slot }, dims, options, bias)!;
    const byQuery = needs.byQuery ? gradient('byQuery') : undefined;
    const byKey = needs.byKey ? gradient('byKey') : undefined;
    distanceGradients(device.gpu, {
      ...launch,
      scores: dscores.slot,
      dqkv: qkv.slot,
      dtables: { byQuery: byQuery?.slot, byKey: byKey?.slot },
    });
    dispose([...memory, dscores]);
    return { qkv, byQuery, byKey };
  },
});

export interface DistanceAttentionOptions extends PackedOptions, DistancePlaces {
  /** Embeddings of distances that queries, or keys, are multiplied by: [n, heads · size]. At least one. */
  byQuery?: Tensor | undefined;
  byKey?: Tensor | undefined;
}

/**
 * `selfAttention` with scores (q·k + q·byQuery[d] + k·byKey[d]) · scale, d the row of the
 * distance of a query from a key: qkv [batch, length, 3 · heads · size] → [batch, length, heads · size]; with
 * `starts`: [tokens, 3 · heads · size] → [tokens, heads · size]. Memory of length² exists only while a layer
 * is computed. Throws `ShapeError` if shapes, starts or rows do not fit.
 */
export function distanceAttention(qkv: Tensor, options: DistanceAttentionOptions): Tensor {
  checkOptions<DistanceAttentionOptions>('distanceAttention', options, {
    ...packedOptionNames,
    rows: true,
    firsts: true,
    low: true,
    byQuery: true,
    byKey: true,
  });
  const { heads, mask, starts, length, rows, firsts, low, scale } = options;
  const dropout = dropoutKey(qkv, options.dropout);
  const cast = (x: Tensor | undefined, use: (x: Tensor | undefined) => Tensor): Tensor =>
    x === undefined ? use(x) : withAutocast(x, use);
  return withAutocast(qkv, (input) =>
    cast(options.byQuery, (byQuery) =>
      cast(options.byKey, (byKey) =>
        distanceAttentionOp(
          { qkv: input, byQuery, byKey, rows, firsts, mask, starts },
          { heads, dropout, length, low, scale },
        ),
      ),
    ),
  );
}

/** `firsts` of `DistancePlaces`, for `count` rows in all. */
export function firstsOf(rows: Int32Array, count: number): Int32Array {
  const firsts = new Int32Array(count + 1).fill(rows.length);
  for (let at = rows.length - 1; at >= 0; at -= 1) firsts[rows[at]!] = at;
  for (let row = count - 1; row >= 0; row -= 1) firsts[row] = Math.min(firsts[row]!, firsts[row + 1]!);
  return firsts;
}
