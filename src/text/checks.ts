/** Checks values that plain JavaScript may pass in place of a text or a number. */
import { ConfigError, TokenizerError } from '../errors.ts';

/**
 * Throws `TokenizerError` if `text` or `pair` is not a string, or a list of strings if it is split into words;
 * `pair` may be missing.
 */
export function checkTexts(text: unknown, pair: unknown, split: boolean): void {
  const isWords = (value: unknown): boolean =>
    Array.isArray(value) && value.every((word) => typeof word === 'string');
  for (const [name, value] of [
    ['text', text],
    ['pair', pair ?? (split ? [] : '')],
  ] as const) {
    if (split ? isWords(value) : typeof value === 'string') continue;
    const remedy = split ? 'with isSplitIntoWords, give a list of words' : 'give a string';
    throw new TokenizerError(`encode: the ${name} is ${describe(value)}`, {
      remedy: isWords(value) ? `${remedy}, or pass isSplitIntoWords` : remedy,
    });
  }
}

function describe(value: unknown): string {
  return Array.isArray(value) ? 'a list' : value === null ? 'null' : `of type ${typeof value}`;
}

/** Throws `ConfigError` unless lengths can be padded to a multiple of the value. */
export function checkMultiple(padToMultipleOf: number): void {
  if (!Number.isSafeInteger(padToMultipleOf) || padToMultipleOf < 1)
    throw new ConfigError(`padToMultipleOf is ${String(padToMultipleOf)}`, {
      remedy: 'use an integer of 1 or more',
    });
}

/** Converts a list or typed array to ids. Throws `TokenizerError` unless it is a list of whole numbers. */
export function checkedIds(where: string, ids: unknown): number[] {
  const isList = Array.isArray(ids) || (ArrayBuffer.isView(ids) && !(ids instanceof DataView));
  if (!isList)
    throw new TokenizerError(`${where}: the ids are ${describe(ids)}`, { remedy: 'give a list of numbers' });
  const list = Array.from(ids as ArrayLike<unknown>);
  const odd = list.findIndex((id) => !Number.isInteger(id));
  if (odd >= 0)
    throw new TokenizerError(
      `${where}: id ${odd} is ${Array.isArray(list[odd]) ? 'a list' : String(list[odd])}`,
      { remedy: 'give whole numbers' },
    );
  return list as number[];
}
