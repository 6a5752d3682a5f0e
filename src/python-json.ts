/**
 * Reads and writes JSON as Python does, including NaN, Infinity and -Infinity: bare, or in the form of
 * transformers 5, `{"__float__": "NaN"}`.
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

/** Throws `SyntaxError` for anything that Python's json module rejects too. */
export function parsePythonJson(text: string): unknown {
  // Matches strings too, so that their contents stay unchanged.
  const plain = text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (match) =>
    match.startsWith('"') ? match : JSON.stringify({ [KEY]: match }),
  );
  return JSON.parse(plain, (_key, value: unknown) => decoded(value));
}

/**
 * Indents by two spaces; writes non-finite numbers as transformers 5 does, where JSON would have null. Whole
 * numbers of the top-level keys in `floats`, and of those of rotary positions below, get a fraction, which to
 * Python makes them floats: `2.0`.
 */
export function stringifyPythonJson(value: unknown, floats: ReadonlySet<string> = new Set()): string {
  const encoded = (_key: string, item: unknown): unknown =>
    typeof item === 'number' && !Number.isFinite(item) ? { [KEY]: String(item) } : item;
  // No string has a line break in JSON, so these lines are keys.
  return JSON.stringify(value, encoded, 2).replaceAll(
    /^ {2}( *)"(\w+)": -?\d+(?=,?$)/gm,
    (line, depth: string, name: string) =>
      (depth === '' ? floats : rotaryFloats).has(name) ? `${line}.0` : line,
  );
}

/** Floats of `rope_parameters`, as transformers' `RopeParameters` has them. */
const rotaryFloats: ReadonlySet<string> = new Set([
  'rope_theta',
  'partial_rotary_factor',
  'factor',
  'attention_factor',
  'beta_fast',
  'beta_slow',
  'low_freq_factor',
  'high_freq_factor',
]);
