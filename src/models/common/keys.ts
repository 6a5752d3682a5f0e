/** Makers of config keys, and the schemas of their values. */
import * as v from 'valibot';
import { ConfigError } from '../../errors.ts';
import { hiddenActivations } from './activations.ts';
import type { Key } from './config.ts';
import { positionEmbeddingTypes } from './relative-positions.ts';

/** A key of config.json. */
export function key<T>(json: string, schema: v.GenericSchema<unknown, T>, value: NoInfer<T>): Key<T> {
  const read = (given: unknown, where: string): T => {
    const result = v.safeParse(schema, given);
    if (result.success) return result.output;
    throw new ConfigError(`${where}: ${result.issues[0].message}`);
  };
  return { json, default: value, float: v.is(schema, 0.5), read };
}

/** A value that the family's config.json lacks, for the common parts that ask for it. */
export function fixed<T>(value: T): Key<T> {
  return { json: null, default: value, read: () => value };
}

/** No tensor with more elements along an axis can be bound. */
const LARGEST = 2 ** 31 - 1;
/** Layers are made one by one: a damaged count must not make millions. */
const MOST_LAYERS = 1000;
export const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LARGEST));
export const layers = v.pipe(size, v.maxValue(MOST_LAYERS));
export const index = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(LARGEST));
export const probability = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
/** Refuses NaN too: valibot takes it for no number. */
export const notNegative = v.pipe(v.number(), v.minValue(0));
export const activation = v.picklist(
  hiddenActivations,
  ({ received }) => `${received} is not supported · supported: ${hiddenActivations.join(', ')}`,
);

/** null is 'absolute'. */
export const positionType = v.pipe(
  v.nullable(
    v.picklist(
      positionEmbeddingTypes,
      ({ received }) => `${received} is not supported · supported: ${positionEmbeddingTypes.join(', ')}`,
    ),
  ),
  v.transform((value) => value ?? 'absolute'),
);

export const INITIALIZER_RANGE = 0.02;
/** transformers takes 0 and null for the default. */
export const deviation = v.pipe(
  v.nullable(notNegative),
  v.transform((value) => value || INITIALIZER_RANGE),
);
/** null is false. */
export const flag = v.pipe(
  v.nullable(v.boolean()),
  v.transform((value) => value ?? false),
);
