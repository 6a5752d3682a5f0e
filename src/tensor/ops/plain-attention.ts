/** Attention as separate ops, which keeps the matrix of weights for callers that ask for it. */
import type { Device } from '../device.ts';
import type { Tensor } from '../tensor.ts';
import type { AttentionOptions } from './attention.ts';
import { add, dropout as drop, type FloatDtype, mul, scale, to } from './elementwise.ts';
import { embedding } from './embedding.ts';
import { matmul } from './matmul.ts';
import { softmax } from './normalize.ts';
import { permute, reshape, select } from './view.ts';

const LOWEST = -3.4028234663852886e38;

/** The bias [B, 1, 1, L] for scores [B, heads, L, L]: the lowest float for padding, as in transformers. */
export function maskBias(mask: Tensor): Tensor {
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

/** The bias [L, L] for keys that are too far: so large that a padding's, added to it, does not overflow. */
export function windowBias(device: Device, length: number, window: number): Tensor | undefined {
  if (window >= length - 1) return undefined;
  const far = (at: number) => Math.abs(Math.floor(at / length) - (at % length)) > window;
  const values = Float32Array.from({ length: length * length }, (_, at) => (far(at) ? -1e30 : 0));
  return device.tensor(values, [length, length]);
}

export interface PlainAttentionOptions extends Omit<AttentionOptions, 'mask'> {
  /** `maskBias` of the mask, and `windowBias` of a layer that sees near tokens only. */
  hidden?: Tensor | undefined;
  near?: Tensor | undefined;
  /** float32, added to the scores: broadcasts to [B, heads, L, L]. */
  bias?: Tensor | undefined;
  /** float32 [B, 1, L, 1], by which the scores are multiplied before. */
  queries?: Tensor | undefined;
  /** Products that are summed up before they are scaled by 1 / √(products · size). Default 1. */
  products?: number | undefined;
  /**
   * What to add to the products of queries and keys, both [B, heads, L, size], before they are scaled: a
   * tensor that broadcasts to [B, heads, L, L].
   */
  more?: ((query: Tensor, key: Tensor) => Tensor) | undefined;
}

/**
 * `selfAttention` without `starts`, and with its weights: qkv [B, L, 3 · heads · size] → result [B, L, heads
 * · size] and weights float32 [B, heads, L, L], after dropout. If every key is masked, all weights are equal,
 * as in transformers.
 */
export function plainSelfAttention(
  qkv: Tensor,
  { heads, hidden, near, bias, queries, more, products = 1, dropout = 0 }: PlainAttentionOptions,
): { result: Tensor; weights: Tensor } {
  const [batch, length, columns] = qkv.shape as [number, number, number];
  const width = columns / 3;
  const size = width / heads;
  // [3, B, heads, L, size].
  const parts = permute(reshape(qkv, [batch, length, 3, heads, size]), [2, 0, 3, 1, 4]);
  const [query, key, value] = [select(parts, 0, 0), select(parts, 0, 1), select(parts, 0, 2)];
  const product = to(matmul(query, key, { transposeB: true }), 'float32');
  const sum = more === undefined ? product : add(product, to(more(query, key), 'float32'));
  const scaled = scale(sum, 1 / Math.sqrt(products * size));
  const scores = [bias, near, hidden].reduce<Tensor>(
    (total, one) => (one === undefined ? total : add(total, one)),
    queries === undefined ? scaled : mul(scaled, queries),
  );
  const weights = drop(softmax(scores), dropout);
  const mixed = matmul(to(weights, qkv.dtype as FloatDtype), value);
  return { result: reshape(permute(mixed, [0, 2, 1, 3]), [batch, length, width]), weights };
}
