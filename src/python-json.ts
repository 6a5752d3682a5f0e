/**
 * JSON as Python writes it: NaN, Infinity and -Infinity as such, or as transformers 5 puts them:
 * `{"__float__": "NaN"}`.
 */

const KEY = '__float__';
const floats: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

function decoded(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 1) return value;
  const name = (value as Record<string, unknown>)[KEY];
  return typeof name === 'string' && Object.hasOwn(floats, name) ? floats[name] : value;
}

/** Throws `SyntaxError` for what Python's json refuses too. */
export function parsePythonJson(text: string): unknown {
  // Strings are matched so that what they hold stays as it is.
  const plain = text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (match) =>
    match.startsWith('"') ? match : JSON.stringify({ [KEY]: match }),
  );
  return JSON.parse(plain, (_key, value: unknown) => decoded(value));
}

/**
 * Two spaces deep; a number that is not finite as transformers 5 writes it, where `JSON.stringify` would say
 * null.
 */
export function stringifyPythonJson(value: unknown): string {
  const encoded = (_key: string, item: unknown): unknown =>
    typeof item === 'number' && !Number.isFinite(item) ? { [KEY]: String(item) } : item;
  return JSON.stringify(value, encoded, 2);
}
