/** Checks options by name, so that unknown options are rejected in plain JavaScript too. */
import { ConfigError } from './errors.ts';

/** Every name of an options object, once: the compiler rejects a list with a missing or an extra name. */
export type OptionNames<T> = Readonly<Record<keyof T & string, true>>;

/** Remedies for known wrong names (from PyTorch or transformers), keyed by name. */
export type Advice = Readonly<Record<string, string>>;

/** transformers' spelling of a name: `batch_size` of `batchSize`. */
export const snakeCase = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Normalizes case and separators, so that `label_smoothing` and `labelSmoothing` compare as equal. */
function plain(name: string): string {
  return name.replaceAll(/[_-]/g, '').toLowerCase();
}

/** Levenshtein distance between two words; stops at `limit` + 1. */
function distance(a: string, b: string, limit: number): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1)
      next.push(Math.min(row[j]! + Number(letter !== b[j]), row[j + 1]! + 1, next[j]! + 1));
    if (Math.min(...next) > limit) return limit + 1;
    row = next;
  }
  return row[b.length]!;
}

const MOST_EDITS = 2;

/** The known name closest to `name`, if any is close enough. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const word = plain(name);
  const [best] = known
    .map((candidate) => ({ candidate, edits: distance(word, plain(candidate), MOST_EDITS) }))
    .sort((a, b) => a.edits - b.edits);
  return best !== undefined && best.edits <= MOST_EDITS ? best.candidate : undefined;
}

/** Suggests what to do about an unknown name. */
export function remedyFor(name: string, known: readonly string[], advice: Advice = {}): string {
  if (Object.hasOwn(advice, name)) return advice[name]!;
  const meant = nearest(name, known);
  if (meant !== undefined) return `did you mean ${meant}?`;
  return known.length > 0 ? `there are ${known.join(', ')}` : 'there are none';
}

/**
 * Throws `ConfigError` naming the first option that `where` does not have, with a remedy. An option set to
 * `undefined` counts as not given. The compiler checks `names` if it knows the options' type `T`.
 */
export function checkOptions<T = Record<string, unknown>>(
  where: string,
  given: object | undefined,
  names: OptionNames<T>,
  advice: Advice = {},
): void {
  if (given === undefined) return;
  if (typeof given !== 'object' || given === null)
    throw new ConfigError(`${where}: the options are ${String(given)}`, { remedy: 'pass an object' });
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || Object.hasOwn(names, name)) continue;
    throw new ConfigError(`${where}: there is no option '${name}'`, {
      remedy: remedyFor(name, Object.keys(names), advice),
    });
  }
}

/** The options that are not undefined. */
export function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as typeof options;
}

/** Throws `ConfigError` saying what `name` is unless its value `holds`. */
export function check(name: string, value: unknown, holds: boolean, remedy: string): void {
  if (!holds) throw new ConfigError(`${name} is ${String(value)}`, { remedy });
}

/** Throws `ConfigError` unless `value` is one of the choices or `undefined`. */
export function checkChoice(name: string, value: unknown, choices: readonly unknown[]): void {
  if (value === undefined || choices.includes(value)) return;
  const shown = (choice: unknown): string => (typeof choice === 'string' ? `'${choice}'` : String(choice));
  throw new ConfigError(`${name} is ${shown(value)}`, { remedy: `use ${choices.map(shown).join(' or ')}` });
}
