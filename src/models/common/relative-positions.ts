/**
 * Attention scores by distance, `position_embedding_type` of transformers before version 5, which dropped it:
 * `relative_key` (Shaw et al., 2018) and `relative_key_query` (Huang et al., 2020, method 4).
 */
import type { Embedding } from '../../nn/layers.ts';
import { byDistance, type DistanceRows } from '../../tensor/ops/distances.ts';
import { add } from '../../tensor/ops/elementwise.ts';
import { matmul } from '../../tensor/ops/matmul.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { distanceRule, lengthTable } from './length-tables.ts';

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
