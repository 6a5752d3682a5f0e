/**
 * Translates Oniguruma regular expressions (Ruby's syntax, used by Python's tokenizers) to JavaScript with
 * flag `v`. Throws an `Error` naming anything that JavaScript cannot express.
 */
import { NEW_CHARACTERS } from './unicode.ts';

const known = (content: string): string => `[[${content}]--[${NEW_CHARACTERS}]]`;
const WORD = known('\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}');
/** Outside a class, Latin-1's fractions and superscript digits count too. */
const W = `[${WORD}²³¹¼½¾]`;
/** Escapes for a class, inside or outside brackets. */
const CLASSES: Record<string, string> = {
  s: '\\p{White_Space}',
  S: '\\P{White_Space}',
  d: known('\\p{Nd}'),
  D: `[^${known('\\p{Nd}')}]`,
  w: W,
  W: `[^${W}]`,
  h: '[0-9a-fA-F]',
  H: '[^0-9a-fA-F]',
};
const IN_CLASS: Record<string, string> = { w: WORD, W: `[^${WORD}]` };
/** Escapes for a position. */
const PLACES: Record<string, string> = {
  A: '(?<![^])',
  z: '(?![^])',
  Z: '(?=\\n?(?![^]))',
  b: `(?:(?<=${W})(?!${W})|(?<!${W})(?=${W}))`,
  B: `(?:(?<=${W})(?=${W})|(?<!${W})(?!${W}))`,
};
const CONTROLS: Record<string, string> = {
  n: '\n',
  r: '\r',
  t: '\t',
  f: '\f',
  v: '\v',
  a: '\x07',
  e: '\x1b',
};

/** Throws an `Error` for anything that JavaScript cannot express. */
export function fromOniguruma(source: string): string {
  let out = '';
  for (let at = 0; at < source.length; ) {
    const [piece, taken] = outside(source.slice(at));
    out += piece;
    at += taken;
  }
  return out;
}

/** The translation of what `rest` starts with, and the length consumed. */
type Piece = [text: string, taken: number];

function outside(rest: string): Piece {
  if (rest.startsWith('\\')) return escapeSequence(rest, false);
  if (rest.startsWith('[')) return characterClass(rest);
  if (rest.startsWith('(?')) return group(rest);
  const quantifier = /^(?:[*+?]|\{(?:\d+,?\d*|,\d+)\})(.?)/su.exec(rest);
  if (quantifier !== null) {
    const [whole, next] = [quantifier[0], quantifier[1]!];
    const own = whole.slice(0, whole.length - next.length);
    if (next === '+' && !own.startsWith('{'))
      throw new Error(`the possessive quantifier '${whole}' is not supported`);
    return [own.replace('{,', '{0,'), own.length];
  }
  if (rest.startsWith('.')) return ['[^\n]', 1];
  if (rest.startsWith('^')) return ['(?:(?<![^])|(?<=\n)(?=[^]))', 1];
  if (rest.startsWith('$')) return ['(?![^\n])', 1];
  if (/^[|()]/.test(rest)) return [rest[0]!, 1];
  return literal(rest);
}

/** A character that stands for itself. */
function literal(rest: string): Piece {
  const character = String.fromCodePoint(rest.codePointAt(0)!);
  return [plain(character), character.length];
}

const plain = (character: string): string =>
  /^[\p{L}\p{N}\s]$/u.test(character) ? character : `\\u{${character.codePointAt(0)!.toString(16)}}`;

function group(rest: string): Piece {
  const folded = /^\(\?i:([^()]*)\)/.exec(rest);
  if (folded !== null) return [`(?:${eitherCase(folded[1]!)})`, folded[0].length];
  const known = /^\(\?(?:[:=!]|<[=!])/.exec(rest);
  if (known === null) throw new Error(`the group '${rest.slice(0, 4)}' is not supported`);
  return [known[0], known[0].length];
}

/** Letters in either case, for `(?i:…)`; supports only plain letters and alternatives. */
function eitherCase(source: string): string {
  if (/[[\]\\{}.*+?^$]/.test(source)) throw new Error("'(?i:…)' with more than letters is not supported");
  return Array.from(source, (letter) => {
    if (letter === '|') return letter;
    const more = /s/i.test(letter) ? 'ſ' : /k/i.test(letter) ? '\u212a' : '';
    const cases = [...new Set([letter, letter.toLowerCase(), letter.toUpperCase(), ...more])];
    if (cases.some((one) => Array.from(one).length !== 1))
      throw new Error(`'(?i:…)' with '${letter}' is not supported`);
    return cases.length === 1 ? plain(letter) : `[${cases.join('')}]`;
  }).join('');
}

/** A class, which may contain classes and intersections (`&&`). */
function characterClass(rest: string): Piece {
  let at = rest.startsWith('[^') ? 2 : 1;
  const negated = at === 2;
  const operands = [''];
  const begin = at;
  while (at < rest.length) {
    const now = rest.slice(at);
    if (now.startsWith(']') && at > begin) {
      const inner =
        operands.length === 1 ? operands[0]! : operands.map((operand) => `[${operand}]`).join('&&');
      return [`[${negated ? '^' : ''}${inner}]`, at + 1];
    }
    if (now.startsWith('&&')) {
      operands.push('');
      at += 2;
      continue;
    }
    const [piece, taken] = inside(now);
    operands[operands.length - 1] += piece;
    at += taken;
  }
  throw new Error('a class has no end');
}

function inside(rest: string): Piece {
  if (rest.startsWith('[:')) throw new Error(`the class '${rest.slice(0, 9)}…' is not supported`);
  if (rest.startsWith('[')) return characterClass(rest);
  const [first, taken, set] = rest.startsWith('\\')
    ? [...escapeSequence(rest, true), isClass(rest)]
    : [...literal(rest), false];
  const last = rest.slice(taken);
  if (set || !/^-[^\]]/.test(last) || last.startsWith('-[')) return [first, taken];
  if (last.startsWith('-\\') && isClass(last.slice(1))) return [first, taken];
  const [end, more] = last.startsWith('-\\') ? escapeSequence(last.slice(1), true) : literal(last.slice(1));
  return [`${first}-${end}`, taken + 1 + more];
}

const isClass = (rest: string): boolean => /^\\[sSdDwWhHpP]/.test(rest);

function escapeSequence(rest: string, inClass: boolean): Piece {
  const name = /^\\(.)/su.exec(rest)?.[1] ?? '';
  if (name === '') throw new Error('it ends with a backslash');
  const found = (inClass ? IN_CLASS : PLACES)[name] ?? CLASSES[name];
  if (found !== undefined) return [found, name.length + 1];
  const property = /^\\([pP])\{(\^?)([\w= ]+)\}/.exec(rest);
  if (property !== null) {
    const positive = (property[1] === 'p') === (property[2] === '');
    return [propertyClass(property[3]!, positive), property[0].length];
  }
  const code = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|x\{([0-9a-fA-F]{1,6})\})/.exec(rest);
  if (code !== null) {
    const digits = code[1] ?? code[2] ?? code[3]!;
    return [`\\u{${Number.parseInt(digits, 16).toString(16)}}`, code[0].length];
  }
  if (CONTROLS[name] !== undefined) return [plain(CONTROLS[name]), 2];
  if (/^[\p{L}\p{N}]$/u.test(name)) throw new Error(`'\\${name}' is not supported`);
  return [plain(name), 1 + name.length];
}

/** Oniguruma allows `\p{Han}` for a script; JavaScript requires `Script=`. */
function propertyClass(name: string, positive: boolean): string {
  for (const full of [name, `Script=${name}`]) {
    try {
      new RegExp(`\\p{${full}}`, 'v');
      const members = known(`\\p{${full}}`);
      return positive ? members : `[^${members}]`;
    } catch {
      // Not a name of this kind.
    }
  }
  throw new Error(`there is no property '${name}'`);
}
