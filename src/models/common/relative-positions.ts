/**
 * Attention scores by distance, `position_embedding_type` of transformers before version 5, which dropped it:
 * `relative_key` (Shaw et al., 2018) and `relative_key_query` (Huang et al., 2020, method 4).
 */
import type { Embedding } from '../../nn/layers.ts';
import { add } from '../../tensor/ops/elementwise.ts';
import { matmul } from '../../tensor/ops/matmul.ts';
import { narrow, reshape, transpose } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';

export const positionEmbeddingTypes = ['absolute', 'relative_key', 'relative_key_query'] as const;
export type PositionEmbeddingType = (typeof positionEmbeddingTypes)[number];

/**
 * x [B, heads, L, size] → [B, heads, L, L]: at (i, j) the product of x[i] with the embedding of the distance
 * sign · (i − j). `distances` has a row for each distance from −(n − 1) to n − 1.
 */
function atDistances(x: Tensor, distances: Embedding, sign: 1 | -1): Tensor {
  const [batch, heads, length] = x.shape as [number, number, number];
  const zero = (distances.weight.shape[0]! - 1) / 2;
  const width = 2 * length - 1;
  const ids = Int32Array.from({ length: width }, (_, column) => zero + sign * (length - 1 - column));
  const products = matmul(x, distances.forward(x.device.tensor(ids)), { transposeB: true });
  if (length === 1) return products;
  // Row i's distances to 0 … L − 1 begin at column L − 1 − i: in rows one narrower, all begin at one column.
  const flat = narrow(reshape(products, [batch, heads, length * width]), 2, length - 1, length * (width - 1));
  return narrow(reshape(flat, [batch, heads, length, width - 1]), 3, 0, length);
}

/** What distances add to the products of queries and keys [B, heads, L, size]: [B, heads, L, L]. */
export function distanceScores(
  query: Tensor,
  key: Tensor,
  distances: Embedding,
  type: PositionEmbeddingType,
): Tensor {
  const byQuery = atDistances(query, distances, 1);
  return type === 'relative_key' ? byQuery : add(byQuery, transpose(atDistances(key, distances, -1), 2, 3));
}
