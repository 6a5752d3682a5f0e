/** A vector for a text from the states of its tokens, as sentence-transformers' `Pooling` module. */
import { hostValues } from '../models/common/inputs.ts';
import type { KeptTables } from '../models/common/length-tables.ts';
import { withoutAutocast } from '../tensor/autocast.ts';
import { add, mul } from '../tensor/ops/elementwise.ts';
import { matmul } from '../tensor/ops/matmul.ts';
import { maxTokens } from '../tensor/ops/text-vectors.ts';
import { reshape } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** In the order in which several modes are concatenated, with their keys in `1_Pooling/config.json`. */
export const poolingKeys = {
  cls: 'pooling_mode_cls_token',
  max: 'pooling_mode_max_tokens',
  mean: 'pooling_mode_mean_tokens',
  mean_sqrt_len_tokens: 'pooling_mode_mean_sqrt_len_tokens',
  weightedmean: 'pooling_mode_weightedmean_tokens',
  lasttoken: 'pooling_mode_lasttoken',
} as const;

export type PoolingMode = keyof typeof poolingKeys;

export const poolingModes = Object.keys(poolingKeys) as readonly PoolingMode[];

/** Weights of a text's tokens in its vector; `first`: its first token, `seen`: those that are pooled. */
type Weights = (seen: readonly number[], first: number) => (token: number) => number;

const weightsOf: Record<Exclude<PoolingMode, 'max'>, Weights> = {
  cls:
    ([head = 0]) =>
    (token) =>
      Number(token === head),
  mean: (seen) => () => 1 / seen.length,
  mean_sqrt_len_tokens: (seen) => () => 1 / Math.sqrt(seen.length),
  weightedmean: (seen, first) => {
    const total = seen.reduce((sum, token) => sum + token - first + 1, 0);
    return (token) => (token - first + 1) / total;
  },
  lasttoken: (seen) => (token) => Number(token === seen.at(-1)),
};

const valuesOf = (mask: Tensor): Int32Array => hostValues('pooling: the mask', mask);

export interface PooledTokens {
  /** int32 [texts, length], ones for tokens. */
  mask: Tensor;
  /** int32 [texts, length], ones for those that are pooled, without the prompt's say. Default: all tokens. */
  seen?: Tensor | undefined;
  /** Keeps the weights of the tokens of one text without padding, by its length and the modes. */
  tables: KeptTables<string>;
}

/** states [texts, length, width] → [texts, modes · width]. float32 under `autocast` too. */
export function pool(
  states: Tensor,
  modes: readonly PoolingMode[],
  { mask, seen = mask, tables }: PooledTokens,
): Tensor {
  return withoutAutocast(() => {
    const largest = modes.includes('max') ? maxTokens(states, seen) : null;
    if (modes.length === 1 && largest !== null) return largest;
    const { device } = states;
    const [texts, length, width] = states.shape as [number, number, number];
    const [tokens, pooled] = [valuesOf(mask), valuesOf(seen)];
    const whole = texts === 1 && pooled.every((one) => one !== 0);
    const kept = (key: string, make: () => Tensor): Tensor => (whole ? tables.of(key, make) : make());
    const weights = kept(`${modes} of ${length}`, () =>
      device.tensor(tokenWeights(modes, tokens, pooled, [texts, length]), [texts, modes.length, length]),
    );
    const parts = matmul(weights, states);
    if (largest === null) return reshape(parts, [texts, -1]);
    const place = kept(`${modes}`, () =>
      device.tensor(
        Float32Array.from(modes, (mode) => Number(mode === 'max')),
        [modes.length, 1],
      ),
    );
    const spread = mul(reshape(largest, [texts, 1, width]), place);
    return reshape(add(parts, spread), [texts, -1]);
  });
}

/** [texts, modes, length]; zeros for `max`, which is no sum. */
function tokenWeights(
  modes: readonly PoolingMode[],
  mask: Int32Array,
  seen: Int32Array,
  [texts, length]: readonly [number, number],
): Float32Array {
  const weights = new Float32Array(texts * modes.length * length);
  for (let text = 0; text < texts; text += 1) {
    const first = Math.max(0, mask.subarray(text * length, (text + 1) * length).indexOf(1));
    const tokens: number[] = [];
    for (let token = 0; token < length; token += 1) if (seen[text * length + token] !== 0) tokens.push(token);
    for (const [at, mode] of modes.entries()) {
      if (mode === 'max') continue;
      const weight = weightsOf[mode](tokens, first);
      // A text without a token has the state of its first place, as in Python, for `cls` alone.
      for (const token of tokens.length === 0 && mode === 'cls' ? [0] : tokens)
        weights[(text * modes.length + at) * length + token] = weight(token);
    }
  }
  return weights;
}
