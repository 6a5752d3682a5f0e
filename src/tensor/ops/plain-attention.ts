/**
 * Attention as its formula stands, with a matrix of weights in memory: for those who want to look at the
 * weights.
 */
import type { Tensor } from '../tensor.ts';
import type { AttentionOptions } from './attention.ts';
import { add, dropout as drop, type FloatDtype, scale, to } from './elementwise.ts';
import { embedding } from './embedding.ts';
import { matmul } from './matmul.ts';
import { softmax } from './normalize.ts';
import { permute, reshape, select } from './view.ts';

const LOWEST = -3.4028234663852886e38;

/**
 * What is added to scores [B, heads, L, L]: the lowest float where a key is padding, as transformers does.
 */
function maskBias(mask: Tensor): Tensor {
  const [batch, length] = mask.shape as [number, number];
  const shape = [batch, 1, 1, length];
  const { device, integers } = mask;
  if (integers !== null)
    return device.tensor(
      Float32Array.from(integers, (seen) => (seen === 0 ? LOWEST : 0)),
      shape,
    );
  return reshape(embedding(device.tensor([LOWEST, 0], [2, 1]), mask), shape);
}

/**
 * As `selfAttention`, without `starts`, and its weights: qkv [B, L, 3 · heads · size] → result [B, L, heads ·
 * size] and weights float32 [B, heads, L, L], after dropout. Where every key is masked, the weights are
 * alike, as transformers' are.
 */
export function plainSelfAttention(
  qkv: Tensor,
  { heads, mask, dropout = 0 }: AttentionOptions,
): { result: Tensor; weights: Tensor } {
  const [batch, length, columns] = qkv.shape as [number, number, number];
  const width = columns / 3;
  const size = width / heads;
  // Thirds of the columns, and heads, in front of the rows.
  const parts = permute(reshape(qkv, [batch, length, 3, heads, size]), [2, 0, 3, 1, 4]);
  const [query, key, value] = [select(parts, 0, 0), select(parts, 0, 1), select(parts, 0, 2)];
  const product = to(matmul(query, key, { transposeB: true }), 'float32');
  const scores = scale(product, 1 / Math.sqrt(size));
  const seen = mask === undefined ? scores : add(scores, maskBias(mask));
  const weights = drop(softmax(seen), dropout);
  const mixed = matmul(to(weights, qkv.dtype as FloatDtype), value);
  return { result: reshape(permute(mixed, [0, 2, 1, 3]), [batch, length, width]), weights };
}
