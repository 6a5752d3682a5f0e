/** Checks of datasets and examples, for plain JavaScript, which has no compiler to check them. */
import { ConfigError, DataError, DawngradError, UserCodeError } from '../errors.ts';
import type { PaddingOptions } from './collate.ts';
import type { Example } from './dataset.ts';

const LARGEST = 2 ** 31 - 1;

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

const show = (value: unknown): string =>
  typeof value === 'string' ? `'${value}'` : `${String(value)}${typeof value === 'bigint' ? 'n' : ''}`;

/** Throws `ConfigError` for a dataset without `length` or `get(index)`; undefined counts as not given. */
export function checkDataset(name: string, dataset: unknown): void {
  if (dataset === undefined) return;
  if (Array.isArray(dataset))
    throw new ConfigError(`${name} is a list`, { remedy: 'pass new ArrayDataset(list)' });
  const { length, get } = (dataset ?? {}) as { length?: unknown; get?: unknown };
  if (typeof get !== 'function' || typeof length !== 'number')
    throw new ConfigError(`${name} has no ${typeof get === 'function' ? 'length' : 'get(index)'}`, {
      remedy: 'pass an object with length and get(index), as encodeTable gives it',
    });
}

function checkIds(name: string, ids: unknown, example: number): number {
  if (!isList(ids))
    throw new DataError(`example ${example}: ${name} is ${show(ids)}`, {
      remedy: 'give a list of numbers, as a tokenizer does',
    });
  for (let i = 0; i < ids.length; i += 1) {
    const id = ids[i];
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > LARGEST)
      throw new DataError(`example ${example}: ${name}[${i}] is ${show(id)}`, {
        remedy: 'use whole numbers of 0 or more',
      });
  }
  return ids.length;
}

/** Remedies for Python's names, and for inputs that a collator would drop. */
const otherNames: Readonly<Record<string, string>> = {
  input_ids: 'its name is inputIds',
  token_type_ids: 'its name is tokenTypeIds',
  attention_mask: 'leave it out: every token of an example counts, padding is added later',
  labels: 'its name is label',
  start_positions: 'its name is startPositions',
  end_positions: 'its name is endPositions',
  position_ids: 'leave it out: positions follow from the order, or write the loop yourself with positionIds',
  positionIds: 'leave it out: positions follow from the order, or write the loop yourself with positionIds',
};

/** Throws `DataError` naming a key that padding would silently drop. A mask of ones is allowed. */
export function checkKeys(example: object, index: number): void {
  for (const [name, remedy] of Object.entries(otherNames)) {
    if ((example as Record<string, unknown>)[name] === undefined) continue;
    throw new DataError(`example ${index} has '${name}', which is not read`, { remedy });
  }
  const { inputIds, attentionMask: mask } = example as Partial<Example> & { attentionMask?: unknown };
  if (mask === undefined || mask === null) return;
  if (isList(mask) && mask.length === inputIds?.length && Array.from(mask).every((one) => one === 1)) return;
  throw new DataError(`example ${index}: attentionMask is not 1 for each token`, {
    remedy: 'leave padding out of an example: it is added, and masked, for each batch',
  });
}

/**
 * Throws `DataError` naming the example unless its ids and token types are whole numbers in lists of one
 * length.
 */
export function checkExample(example: unknown, index: number): void {
  if (typeof example !== 'object' || example === null || example instanceof Promise)
    throw new DataError(
      `example ${index} is ${example instanceof Promise ? 'a promise' : show(example)}, no example`,
      { remedy: 'a dataset gives { inputIds, label } at once: await what it needs before' },
    );
  const { inputIds, tokenTypeIds } = example as Record<string, unknown>;
  const tokens = checkIds('inputIds', inputIds, index);
  if (tokenTypeIds === undefined || tokenTypeIds === null) return;
  const types = checkIds('tokenTypeIds', tokenTypeIds, index);
  if (types !== tokens)
    throw new DataError(`example ${index}: tokenTypeIds: ${types}, inputIds: ${tokens}`, {
      remedy: 'give each token one type',
    });
}

/** Throws `DataError` naming the example unless its label is a finite number (`float`) or a whole one. */
export function checkLabel(label: unknown, float: boolean, example: number): void {
  if (float ? Number.isFinite(label) : Number.isInteger(label)) return;
  throw new DataError(
    `example ${example}: the label ${show(label)} is no ${float ? 'finite number' : 'class number'}`,
    { remedy: float ? 'give numbers' : 'give whole numbers, or pass floatLabels for regression' },
  );
}

/** Throws `DataError` naming the example unless its position is a whole number of 0 or more. */
export function checkPosition(name: string, position: unknown, example: number): void {
  if (Number.isInteger(position) && (position as number) >= 0) return;
  throw new DataError(`example ${example}: ${name} is ${show(position)}`, {
    remedy: 'count tokens from 0; a question without an answer has that of the first token, 0',
  });
}

/** Throws `ConfigError` for an invalid padding token or multiple. */
export function checkPadding({ padTokenId, padToMultipleOf = 1 }: PaddingOptions): void {
  if (!Number.isInteger(padTokenId) || padTokenId < 0 || padTokenId > LARGEST)
    throw new ConfigError(`padTokenId is ${show(padTokenId)}`, { remedy: "use the tokenizer's padTokenId" });
  if (!Number.isSafeInteger(padToMultipleOf) || padToMultipleOf < 1)
    throw new ConfigError(`padToMultipleOf is ${show(padToMultipleOf)}`, {
      remedy: 'use an integer of 1 or more',
    });
}

/**
 * Wraps an error of the user's code into a `UserCodeError` that says what failed, and when (`at step 3`). The
 * engine's own stay as they are.
 */
export function userError(what: string, cause: unknown, when?: string): DawngradError {
  if (cause instanceof DawngradError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new UserCodeError(`${what} failed${when === undefined ? '' : ` ${when}`}: ${message}`, { cause });
}

/** Calls the user's code. Throws `UserCodeError` if that throws. */
export function callUser<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw userError(what, cause);
  }
}
