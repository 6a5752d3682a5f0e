/** Classes whose numbers a file holds, by their names. */
import { isObject } from '../json.ts';

/** Names of classes by column. */
export type ClassNames = Readonly<Record<string, readonly string[]>>;

/**
 * A class's name for its number, also within lists; null for −1, which stands for no label. `digits`: a text
 * of digits is a number, as in cells; elsewhere it may be a name.
 */
export function nameOfClass(value: unknown, names: readonly string[], digits = false): unknown {
  if (Array.isArray(value)) return value.map((item) => nameOfClass(item, names, digits));
  const isNumber =
    typeof value === 'number' || (digits && typeof value === 'string' && /^-?\d+$/.test(value));
  if (!isNumber) return value;
  const number = Number(value);
  return number === -1 ? null : (names[number] ?? value);
}

/** `{ dtype: { class_label: … } }` of a card, or `{ names: [] }` of a Parquet file; also within sequences. */
export function classNamesIn(feature: unknown): string[] | null {
  if (Array.isArray(feature)) return classNamesIn(feature[0]);
  if (!isObject(feature)) return null;
  const { names, dtype, class_label: label, sequence, list, feature: inner } = feature;
  if (Array.isArray(names)) return names.map(String);
  if (isObject(names))
    return Object.entries(names)
      .sort(([a], [b]) => Number(a) - Number(b))
      .map(([, name]) => String(name));
  const nested = [label, dtype, sequence, list, inner].map((one) =>
    isObject(one) ? classNamesIn(one) : null,
  );
  return nested.find((one) => one !== null) ?? null;
}
