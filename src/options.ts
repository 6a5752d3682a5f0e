/**
 * Options by name: one that does not exist is refused, in plain JavaScript too, where no compiler looks at
 * it.
 */
import { ConfigError } from './errors.ts';

/**
 * The names of an options object, each once: the compiler refuses a list that lacks one, or has one too many.
 */
export type OptionNames<T> = Readonly<Record<keyof T & string, true>>;

/** What stands in the way of a name that people bring from elsewhere, by name: a remedy for each. */
export type Advice = Readonly<Record<string, string>>;

/** `label_smoothing` and `labelSmoothing` are one name to whoever comes from Python. */
function plain(name: string): string {
  return name.replaceAll(/[_-]/g, '').toLowerCase();
}

/** Edits that turn one word into the other, at most `limit`. */
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

/** The name that was probably meant. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const word = plain(name);
  const [best] = known
    .map((candidate) => ({ candidate, edits: distance(word, plain(candidate), MOST_EDITS) }))
    .sort((a, b) => a.edits - b.edits);
  return best !== undefined && best.edits <= MOST_EDITS ? best.candidate : undefined;
}

/** What to do about a name that is none of the known ones. */
export function remedyFor(name: string, known: readonly string[], advice: Advice = {}): string {
  if (Object.hasOwn(advice, name)) return advice[name]!;
  const meant = nearest(name, known);
  if (meant !== undefined) return `did you mean ${meant}?`;
  return known.length > 0 ? `there are ${known.join(', ')}` : 'there are none';
}

/**
 * Throws `ConfigError` naming the option that `where` does not have, and what to do instead. An option that
 * is undefined counts as not given.
 */
export function checkOptions(
  where: string,
  given: object | undefined,
  names: Readonly<Record<string, true>>,
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

/** Throws `ConfigError` for a value that is none of the choices; undefined counts as not given. */
export function checkChoice(name: string, value: unknown, choices: readonly unknown[]): void {
  if (value === undefined || choices.includes(value)) return;
  const shown = (choice: unknown): string => (typeof choice === 'string' ? `'${choice}'` : String(choice));
  throw new ConfigError(`${name} is ${shown(value)}`, { remedy: `use ${choices.map(shown).join(' or ')}` });
}
