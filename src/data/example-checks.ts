/** Whether examples are what a batch can be made of. In plain JavaScript nothing else holds them to it. */
import { ConfigError, DataError, DawngradError, UserCodeError } from '../errors.ts';

const LARGEST = 2 ** 31 - 1;

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

const show = (value: unknown): string => (typeof value === 'string' ? `'${value}'` : String(value));

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

/** Throws `DataError` naming the example whose ids or token types are no lists of whole numbers of one length. */
export function checkExample(example: unknown, index: number): void {
  if (typeof example !== 'object' || example === null || example instanceof Promise)
    throw new DataError(
      `example ${index} is ${example instanceof Promise ? 'a promise' : show(example)}, no example`,
      {
        remedy: 'a dataset gives { inputIds, label } at once: await what it needs before',
      },
    );
  const { inputIds, tokenTypeIds } = example as { inputIds?: unknown; tokenTypeIds?: unknown };
  const tokens = checkIds('inputIds', inputIds, index);
  if (tokenTypeIds === undefined || tokenTypeIds === null) return;
  const types = checkIds('tokenTypeIds', tokenTypeIds, index);
  if (types !== tokens)
    throw new DataError(`example ${index}: tokenTypeIds: ${types}, inputIds: ${tokens}`, {
      remedy: 'give each token one type',
    });
}

/** Throws `DataError` naming the example whose label is no number, or no class where it is to be one. */
export function checkLabel(label: unknown, float: boolean, example: number): void {
  if (float ? Number.isFinite(label) : Number.isInteger(label)) return;
  throw new DataError(
    `example ${example}: the label ${show(label)} is no ${float ? 'finite number' : 'class number'}`,
    { remedy: float ? 'give numbers' : 'give whole numbers, or pass floatLabels for regression' },
  );
}

/** Throws `ConfigError` for a padding that cannot be. */
export function checkPadding({
  padTokenId,
  padToMultipleOf = 1,
}: {
  padTokenId: number;
  padToMultipleOf?: number;
}): void {
  if (!Number.isInteger(padTokenId) || padTokenId < 0 || padTokenId > LARGEST)
    throw new ConfigError(`padTokenId is ${show(padTokenId)}`, { remedy: "use the tokenizer's padTokenId" });
  if (!Number.isSafeInteger(padToMultipleOf) || padToMultipleOf < 1)
    throw new ConfigError(`padToMultipleOf is ${show(padToMultipleOf)}`, {
      remedy: 'use an integer of 1 or more',
    });
}

/** What code of the user's own gives; what it throws becomes the cause of a `UserCodeError` that says where. */
export function callUser<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (cause instanceof DawngradError) throw cause;
    throw new UserCodeError(`${what} failed: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}
