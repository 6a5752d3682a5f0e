/** Patterns of tokenizer.json (a literal text, or an Oniguruma expression), and splitting at matches. */
import type { AlignedText } from './aligned-text.ts';
import type { Fields } from './json-fields.ts';
import { fromOniguruma } from './oniguruma.ts';

/** [from, to) in UTF-16 units, and whether the pattern matched there. The segments cover the whole text. */
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

/** Finds every match of a regular expression (flags `g` and `u`). */
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

/** Matches each character of a kind separately. */
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

/** The parts of a text between the matches, with or without the matches themselves. No part is empty. */
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

/** Reads `{"String": …}` or `{"Regex": …}`. Throws `TokenizerError` for unsupported expressions. */
export function readPattern(fields: Fields, key: string): RegExp {
  const pattern = fields.object(key);
  const text = pattern.optionalString('String');
  if (text !== null) {
    if (text === '') fields.fail(key, 'is an empty text');
    return new RegExp(escaped(text), 'gu');
  }
  const source = pattern.string('Regex');
  try {
    return new RegExp(fromOniguruma(source), 'gv');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return fields.fail(key, `is ${JSON.stringify(source)}, which JavaScript cannot say: ${reason}`);
  }
}

export function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
