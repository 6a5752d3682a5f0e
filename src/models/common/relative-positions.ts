/**
 * Attention scores by distance, `position_embedding_type` of transformers before version 5, which dropped it:
 * `relative_key` (Shaw et al., 2018) and `relative_key_query` (Huang et al., 2020, method 4).
 */
import type { Embedding } from '../../nn/layers.ts';
import type { Device } from '../../tensor/device.ts';
import {
  type DistanceAttentionOptions,
  type DistancePlaces,
  firstsOf,
} from '../../tensor/ops/distance-attention.ts';
import { byDistance, type DistanceRows } from '../../tensor/ops/distances.ts';
import { add } from '../../tensor/ops/elementwise.ts';
import { matmul } from '../../tensor/ops/matmul.ts';
import { reshape } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { PretrainedConfig } from './config.ts';
import { distanceRule, type LengthRule, type LengthTables, lengthTable } from './length-tables.ts';

export const positionEmbeddingTypes = ['absolute', 'relative_key', 'relative_key_query'] as const;
export type PositionEmbeddingType = (typeof positionEmbeddingTypes)[number];

/**
 * What distances add to the products of queries and keys [B, heads, L, size]: [B, heads, L, L]. `distances`
 * has a row for each distance from −(n − 1) to n − 1.
 */
export function distanceScores(
  query: Tensor,
  key: Tensor,
  distances: Embedding,
  type: PositionEmbeddingType,
): Tensor {
  const last = (distances.weight.shape[0]! - 1) / 2;
  const rule = distanceRule(last + 1, (distance) => last + distance);
  const table = distances.forward(lengthTable(query.device, query.shape[2]!, rule));
  const at = (x: Tensor, rows: DistanceRows) => byDistance(matmul(x, table, { transposeB: true }), rows);
  return type === 'relative_key' ? at(query, 'query') : add(at(query, 'query'), at(key, 'key'));
}

/** Rows of embeddings of distances: `count` of them, from `low` on, for distances up to those of L tokens. */
export interface Distances extends DistancePlaces {
  count: number;
  /** Embeddings that all layers share, [count, H]. */
  table?: Tensor | undefined;
  /** int32 [count, heads]: the rows once for each head, if its embeddings have the width of a head. */
  repeated?: Tensor | undefined;
}

/** Rows of an embedding of `all` rows: `count` from `low` on. */
interface Range {
  low: number;
  count: number;
}

/** The rows between two, and more up to a multiple of four, if there are as many. */
function rangeOf(first: number, last: number, all: number): Range {
  const wanted = Math.ceil((last + 1 - first) / 4) * 4;
  const count = Math.min(wanted, all);
  return { low: Math.min(first, all - count), count };
}

/** Which rows of an embedding of `all` rows distances have, in texts of any length. */
export class DistanceRule {
  private readonly firsts: LengthRule;

  constructor(
    private readonly rows: LengthRule,
    private readonly all: number,
  ) {
    const values = (length: number) => firstsOf(rows.values(length) as Int32Array, all);
    this.firsts = { ...rows, values };
  }

  of(tables: LengthTables, device: Device, length: number): Distances {
    const rows = tables.of(device, length, this.rows);
    const known = rows.integers!;
    const firsts = tables.of(device, length, this.firsts);
    return { rows, firsts, ...rangeOf(known[0]!, known.at(-1)!, this.all) };
  }
}

/** The rule of embeddings that each layer has, as wide as a head, and its rows once for each head. */
export class HeadDistanceRule extends DistanceRule {
  private readonly repeated: LengthRule;

  constructor({ maxPositionEmbeddings: longest, numAttentionHeads: heads }: PretrainedConfig) {
    const rows = distanceRule(longest, (distance) => longest - 1 + distance);
    const all = 2 * longest - 1;
    super(rows, all);
    const values = (length: number) => {
      const { low, count } = rangeOf(longest - length, longest + length - 2, all);
      return Int32Array.from({ length: count * heads }, (_, at) => low + Math.floor(at / heads));
    };
    this.repeated = { ...rows, values };
  }

  override of(tables: LengthTables, device: Device, length: number): Distances {
    const distances = super.of(tables, device, length);
    return { ...distances, repeated: tables.of(device, length, this.repeated) };
  }
}

/** Such embeddings as `distanceAttention` takes them. */
export function distanceTables(
  embeddings: Embedding,
  { count, repeated }: Distances,
  type: PositionEmbeddingType,
): Pick<DistanceAttentionOptions, 'byQuery' | 'byKey'> {
  const table = reshape(embeddings.forward(repeated!), [count, -1]);
  return { byQuery: table, byKey: type === 'relative_key' ? undefined : table };
}
