/** Disentangled attention (He et al., 2021): products of contents, and of contents with embeddings of distances. */
import * as v from 'valibot';
import { Dropout, Linear } from '../../nn/layers.ts';
import { declarePure } from '../../nn/module.ts';
import type { Device } from '../../tensor/device.ts';
import type { DistanceAttentionOptions } from '../../tensor/ops/distance-attention.ts';
import { byDistance, type DistanceRows } from '../../tensor/ops/distances.ts';
import { add, type FloatDtype, mul, scale, to } from '../../tensor/ops/elementwise.ts';
import { embedding } from '../../tensor/ops/embedding.ts';
import { matmul } from '../../tensor/ops/matmul.ts';
import { mean } from '../../tensor/ops/reduction.ts';
import { narrow, permute, reshape } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { ConfigValues, PretrainedConfig } from './config.ts';
import { type Attended, attend, type PlainlySeen, type SeenTokens, SelfAttention } from './encoder.ts';
import { shownAs } from './inputs.ts';
import { flag, key } from './keys.ts';
import { distanceRule, type LengthRule } from './length-tables.ts';

const whole = v.pipe(v.number(), v.integer());
const kinds = v.picklist(['c2p', 'p2c']);
/** A list, or names between bars. */
const attentionTypes = v.pipe(
  v.nullable(v.union([v.string(), v.array(v.string())])),
  v.transform((given) =>
    typeof given === 'string'
      ? given
          .toLowerCase()
          .split('|')
          .map((name) => name.trim())
      : (given ?? []),
  ),
  v.array(kinds),
);

export const disentangledKeys = {
  relativeAttention: key('relative_attention', flag, false),
  /** Distances up to which each has an embedding; below 1: `max_position_embeddings`. */
  maxRelativePositions: key('max_relative_positions', whole, -1),
  /** Buckets of distances on either side; below 1: none. */
  positionBuckets: { ...key('position_buckets', whole, -1), omitted: true },
  posAttType: key<('c2p' | 'p2c')[]>('pos_att_type', attentionTypes, []),
  /** Whether distances are projected by the layers of queries and keys. */
  shareAttKey: { ...key('share_att_key', flag, false), omitted: true },
  normRelEbd: { ...key('norm_rel_ebd', v.string(), 'none'), omitted: true },
} as const;

type DisentangledConfig = PretrainedConfig & ConfigValues<typeof disentangledKeys>;

/** Distances that embeddings tell apart, on either side. */
export function spanOf({
  positionBuckets,
  maxRelativePositions,
  maxPositionEmbeddings,
}: DisentangledConfig): number {
  if (positionBuckets > 0) return positionBuckets;
  return maxRelativePositions < 1 ? maxPositionEmbeddings : maxRelativePositions;
}

/**
 * The bucket of a query's position minus a key's: the distance itself up to half of the buckets, then growing
 * as its logarithm, up to `buckets` − 1 for `most` − 1. float32, as transformers computes it.
 */
export function logBucket(distance: number, buckets: number, most: number): number {
  const { abs, ceil, fround, log, sign } = Math;
  const middle = Math.floor(buckets / 2);
  if (abs(distance) <= middle) return distance;
  const far = fround(log(fround(abs(distance) / middle)));
  const steps = fround(fround(far / fround(log(fround((most - 1) / middle)))) * (middle - 1));
  return sign(distance) * (ceil(steps) + middle);
}

/** The row of the embeddings for each distance. */
export function rowsOf(config: DisentangledConfig): LengthRule {
  const { positionBuckets, maxRelativePositions, maxPositionEmbeddings } = config;
  const most = maxRelativePositions < 1 ? maxPositionEmbeddings : maxRelativePositions;
  const span = spanOf(config);
  const row = (distance: number) => {
    const place = positionBuckets > 0 ? logBucket(distance, positionBuckets, most) : distance;
    return Math.min(Math.max(place + span, 0), 2 * span - 1);
  };
  return distanceRule(Math.max(most, span) + 1, row, { saturates: true });
}

export class DisentangledSelfAttention extends SelfAttention {
  /** Projections of distances; null if those of queries and keys serve, or nothing needs them. */
  readonly pos_key_proj: Linear | null;
  readonly pos_query_proj: Linear | null;
  readonly pos_dropout: Dropout;

  constructor(
    device: Device,
    private readonly values: DisentangledConfig,
  ) {
    super(device, values);
    const { hiddenSize: H, relativeAttention, shareAttKey, posAttType } = values;
    const project = (type: 'c2p' | 'p2c') =>
      relativeAttention && !shareAttKey && posAttType.includes(type) ? new Linear(device, H, H) : null;
    this.pos_key_proj = project('c2p');
    this.pos_query_proj = project('p2c');
    this.pos_dropout = new Dropout(values.hiddenDropoutProb);
  }

  override forward(x: Tensor, seen: SeenTokens): Attended {
    const { numAttentionHeads: heads, attentionProbsDropoutProb, posAttType } = this.values;
    const plain = 'plain' in seen ? seen.plainDistances : undefined;
    const dropout = this.training ? attentionProbsDropoutProb : 0;
    // The sum of as many products has the variance of one.
    const options = { heads, dropout, products: 1 + posAttType.length };
    const qkv = this.qkv.forward(x);
    const { result, ...more } = attend(qkv, seen, options, {
      plainly: { more: plain && ((query, key) => this.distanceScores(query, key, plain)) },
      tables: ({ table }) => this.tablesOf(table!),
    });
    return { result: seen.shown === undefined ? result : showing(result, qkv, seen.shown), ...more };
  }

  /** Projections of embeddings of distances: what queries, and keys, are multiplied by. */
  private tablesOf(embeddings: Tensor): Pick<DistanceAttentionOptions, 'byQuery' | 'byKey'> {
    const table = this.pos_dropout.forward(embeddings);
    const { shareAttKey, posAttType, hiddenSize: H } = this.values;
    const both = shareAttKey ? this.qkv.forward(table) : null;
    const projected = (layer: Linear | null, first: number) =>
      both === null ? layer!.forward(table) : narrow(both, 1, first, H);
    return {
      byQuery: posAttType.includes('c2p') ? projected(this.pos_key_proj, H) : undefined,
      byKey: posAttType.includes('p2c') ? projected(this.pos_query_proj, 0) : undefined,
    };
  }

  /** Contents of queries by distances, and distances by contents of keys: [B, heads, L, L]. */
  private distanceScores(query: Tensor, key: Tensor, { table, rows }: PlainDistances): Tensor {
    const { byQuery, byKey } = this.tablesOf(table);
    const scores = [
      byQuery && this.scoresOf(query, byQuery, rows, 'query'),
      byKey && this.scoresOf(key, byKey, rows, 'key'),
    ];
    return scores.filter((one) => one !== undefined).reduce((a, b) => add(a, b));
  }

  /** x [B, heads, L, size] by a table [n, H] of distances, of which `rows` has each one's: [B, heads, L, L]. */
  private scoresOf(x: Tensor, table: Tensor, rows: Tensor, side: DistanceRows): Tensor {
    const [batch, heads, length, size] = x.shape as [number, number, number, number];
    // Heads first: the embeddings are the same for all texts.
    const tokens = reshape(permute(x, [1, 0, 2, 3]), [heads, batch * length, size]);
    const each = permute(reshape(embedding(table, rows), [rows.size, heads, size]), [1, 0, 2]);
    const products = reshape(matmul(tokens, each, { transposeB: true }), [heads, batch, length, rows.size]);
    return permute(byDistance(products, side), [1, 0, 2, 3]);
  }
}

type PlainDistances = NonNullable<PlainlySeen['plainDistances']>;

/**
 * The result of attention for tokens that are shown; the mean of all values, with equal weights, for those
 * that the mask hides, as in transformers.
 */
function showing(result: Tensor, qkv: Tensor, shown: Tensor): Tensor {
  const dtype = result.dtype as FloatDtype;
  const width = result.shape[2]!;
  const values = to(narrow(qkv, 2, 2 * width, width), 'float32');
  const alike = mul(mean(values, 1, true), scale(shown, -1, 1));
  return add(mul(result, to(shown, dtype)), to(alike, dtype));
}

/** transformers hides padding from keys, and everything from padding: the weights of its rows are all equal. */
export function hidingPadding(mask: Tensor): Pick<PlainlySeen, 'bias' | 'queries'> {
  const [batch, length] = mask.shape as [number, number];
  const queries = shownAs(mask, [batch, 1, length, 1]);
  const both = mul(queries, reshape(queries, [batch, 1, 1, length]));
  return { queries, bias: scale(both, 3.4e38, -3.4e38) };
}

declarePure(DisentangledSelfAttention);
