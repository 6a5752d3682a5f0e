/**
 * Patterns of tokenizer.json (a text, or a regular expression of Oniguruma's kind), and what splitting at
 * their matches leaves.
 */
import { TokenizerError } from '../errors.ts';
import type { AlignedText } from './aligned-text.ts';
import type { Fields } from './json-fields.ts';
import { LETTER, NUMBER, SPACE, WORD } from './unicode.ts';

/** [from, to) in UTF-16 units, and whether the pattern matched there; together they cover the text. */
export type Segment = [from: number, to: number, matched: boolean];
export type Finder = (text: string) => Segment[];

export const BEHAVIORS = [
  'Removed',
  'Isolated',
  'MergedWithPrevious',
  'MergedWithNext',
  'Contiguous',
] as const;
export type Behavior = (typeof BEHAVIORS)[number];

/** Every match of a regular expression (flags `g` and `u`). */
export function regexFinder(regex: RegExp): Finder {
  return (text) => {
    const out: Segment[] = [];
    let at = 0;
    for (const match of text.matchAll(regex)) {
      const end = match.index + match[0].length;
      if (match.index > at) out.push([at, match.index, false]);
      out.push([match.index, end, true]);
      at = end;
    }
    if (at < text.length) out.push([at, text.length, false]);
    return out;
  };
}

/** Every character of a kind is a match of its own. */
export function characterFinder(test: (character: string) => boolean): Finder {
  return (text) => {
    const out: Segment[] = [];
    let from = 0;
    let at = 0;
    for (const character of text) {
      const end = at + character.length;
      if (test(character)) {
        if (at > from) out.push([from, at, false]);
        out.push([at, end, true]);
        from = end;
      }
      at = end;
    }
    if (at > from) out.push([from, at, false]);
    return out;
  };
}

export const inverted =
  (find: Finder): Finder =>
  (text) =>
    find(text).map(([from, to, matched]) => [from, to, !matched]);

/** The parts of a text between, with or without the matches; none is empty. */
export function splitAt(aligned: AlignedText, find: Finder, behavior: Behavior): AlignedText[] {
  const parts: [number, number][] = [];
  const segments = find(aligned.text);
  let previous = false;
  if (behavior === 'MergedWithNext') segments.reverse();
  for (const [from, to, matched] of segments) {
    const last = parts.at(-1);
    const joins =
      last !== undefined && (behavior === 'Contiguous' ? matched === previous : matched && !previous);
    if (behavior === 'Removed') {
      if (!matched) parts.push([from, to]);
    } else if (behavior === 'Isolated' || !joins) parts.push([from, to]);
    else if (behavior === 'MergedWithNext') last[0] = from;
    else last[1] = to;
    previous = matched;
  }
  if (behavior === 'MergedWithNext') parts.reverse();
  return parts.filter(([from, to]) => from < to).map(([from, to]) => aligned.slice(from, to));
}

/**
 * Reads `{"String": …}` or `{"Regex": …}`. Throws `TokenizerError` for an expression that JavaScript cannot
 * say.
 */
export function readPattern(fields: Fields, key: string): RegExp {
  const pattern = fields.object(key);
  const text = pattern.optionalString('String');
  if (text !== null) {
    if (text === '') fields.fail(key, 'is an empty text');
    return new RegExp(escaped(text), 'gu');
  }
  const source = pattern.string('Regex');
  try {
    return new RegExp(translated(source), 'gmv');
  } catch (cause) {
    throw new TokenizerError(
      `${fields.place(key)}: the regular expression ${JSON.stringify(source)} has no counterpart in JavaScript: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

export function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

const OUTSIDE: Record<string, string> = {
  s: `\\p{White_Space}`,
  S: `\\P{White_Space}`,
  d: '\\p{Nd}',
  D: '\\P{Nd}',
  w: WORD,
  W: `(?:(?!${WORD})[^])`,
  h: '[0-9a-fA-F]',
  A: '(?<![^])',
  z: '(?![^])',
  'p{L}': LETTER,
  'p{N}': NUMBER,
};
const INSIDE: Record<string, string> = {
  s: `\\p{White_Space}`,
  S: `\\P{White_Space}`,
  d: '\\p{Nd}',
  D: '\\P{Nd}',
  w: '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}',
  h: '0-9a-fA-F',
};
/** Escapes that mean the same in both. */
const SHARED = /^\\(?:[nrtfv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[pP]\{[\w=]+\}|[bB]|[\\^$.*+?()[\]{}|/])/;

/**
 * An expression of Oniguruma's Ruby syntax for JavaScript's flags `m` and `v`. Throws an `Error` that says
 * what it has no word for.
 */
function translated(source: string): string {
  let out = '';
  let depth = 0;
  for (let at = 0; at < source.length; ) {
    const rest = source.slice(at);
    const [piece, taken] = rest.startsWith('\\')
      ? escapeSequence(rest, depth > 0)
      : depth > 0
        ? insideClass(rest)
        : outsideClass(rest);
    if (rest.startsWith('[')) depth += 1;
    if (rest.startsWith(']') && depth > 0) depth -= 1;
    out += piece;
    at += taken;
  }
  return out;
}

function escapeSequence(rest: string, inClass: boolean): [string, number] {
  const name = /^\\(p\{[LN]\}|.)/su.exec(rest)?.[1] ?? '';
  const known = (inClass ? INSIDE : OUTSIDE)[name];
  if (known !== undefined) return [known, name.length + 1];
  const negated = /^\\p\{\^([\w=]+)\}/.exec(rest);
  if (negated !== null) return [property(negated[1]!, 'P'), negated[0].length];
  const named = /^\\([pP])\{([\w=]+)\}/.exec(rest);
  if (named !== null) return [property(named[2]!, named[1]!), named[0].length];
  const shared = SHARED.exec(rest);
  if (shared !== null) return [shared[0], shared[0].length];
  if (/^\\[^\w\s]/u.test(rest)) return [escapedCharacter(rest[1]!), 2];
  throw new Error(`'${rest.slice(0, 2)}' is not supported`);
}

const escapedCharacter = (character: string): string => `\\u{${character.codePointAt(0)!.toString(16)}}`;

/** `\p{Han}` names a script there, and nothing here. */
function property(name: string, kind: string): string {
  for (const full of [name, `Script=${name}`]) {
    try {
      new RegExp(`\\p{${full}}`, 'v');
      return `\\${kind}{${full}}`;
    } catch {}
  }
  throw new Error(`there is no property '${name}'`);
}

function insideClass(rest: string): [string, number] {
  if (rest.startsWith('[:')) throw new Error("a class such as '[:alpha:]' is not supported");
  if (rest.startsWith('&&') || rest.startsWith('[') || rest.startsWith(']'))
    return [rest[0] === '&' ? '&&' : rest[0]!, rest[0] === '&' ? 2 : 1];
  const character = String.fromCodePoint(rest.codePointAt(0)!);
  // Under the flag `v` more characters need an escape than in Oniguruma.
  const plain = /^[\p{L}\p{N}\s^-]$/u.test(character);
  return [plain ? character : escapedCharacter(character), character.length];
}

function outsideClass(rest: string): [string, number] {
  if (/^(?:[*+?]|\{\d*,?\d*\})\+/.test(rest) && !/^\{/.test(rest))
    throw new Error('a possessive quantifier is not supported');
  if (rest.startsWith('(?')) {
    const folded = /^\(\?i:([^()]*)\)/.exec(rest);
    if (folded !== null) return [`(?:${eitherCase(folded[1]!)})`, folded[0].length];
    const group = /^\(\?(?:[:=!]|<[=!])/.exec(rest);
    if (group === null) throw new Error(`the group '${rest.slice(0, 4)}' is not supported`);
    return [group[0], group[0].length];
  }
  if (rest.startsWith('.')) return ['[^\\n]', 1];
  const character = String.fromCodePoint(rest.codePointAt(0)!);
  if (/[\]}]/.test(character) || (character === '{' && !/^\{\d*,?\d*\}/.test(rest)))
    return [`\\${character}`, 1];
  return [character, character.length];
}

/** Letters in either case, as `(?i:…)` has them; only plain letters and alternatives are known. */
function eitherCase(source: string): string {
  if (/[[\]\\{}]/.test(source)) throw new Error("'(?i:…)' with more than letters is not supported");
  return source.replace(/\p{L}/gu, (letter) => {
    const long = /s/i.test(letter) ? 'ſ' : /k/i.test(letter) ? '\u212a' : '';
    return `[${letter.toLowerCase()}${letter.toUpperCase()}${long}]`;
  });
}

/** White space that goes with an added token. */
export const LEADING_SPACE = new RegExp(`^${SPACE}*`, 'u');
