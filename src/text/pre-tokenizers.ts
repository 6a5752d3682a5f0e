/** The pre-tokenizers of tokenizer.json: split a text into words, as Python's tokenizers do. */
import type { AlignedText } from './aligned-text.ts';
import { BYTE_LEVEL_WORDS } from './byte-level.ts';
import type { Fields } from './json-fields.ts';
import { toByteCharacters } from './normalizers.ts';
import {
  BEHAVIORS,
  characterFinder,
  escaped,
  inverted,
  readPattern,
  regexFinder,
  splitAt,
} from './pattern.ts';
import { splitScripts } from './scripts.ts';
import { isNumeric, isPunctuation, isSpace, SPACE, WORD } from './unicode.ts';

/** Splits a text into words, none of them empty. */
export type PreTokenizer = (text: AlignedText) => AlignedText[];

/** Throws `TokenizerError` for an unknown kind or an invalid value. */
export function readPreTokenizer(fields: Fields | null): PreTokenizer | null {
  return fields === null ? null : fields.kind(READERS, 'pre-tokenizer')(fields);
}

const spaces = characterFinder(isSpace);
const punctuation = characterFinder(isPunctuation);
const wordsOrSigns = regexFinder(new RegExp(`${WORD}+|(?:(?!${WORD}|${SPACE})[^])+`, 'gu'));

const READERS: Record<string, (fields: Fields) => PreTokenizer> = {
  Sequence(fields) {
    const parts = fields.objects('pretokenizers').map((part) => readPreTokenizer(part)!);
    return (text) => parts.reduce((now, part) => now.flatMap(part), [text]);
  },
  BertPreTokenizer: () => (text) =>
    splitAt(text, spaces, 'Removed').flatMap((word) => splitAt(word, punctuation, 'Isolated')),
  Whitespace: () => (text) => splitAt(text, inverted(wordsOrSigns), 'Removed'),
  WhitespaceSplit: () => (text) => splitAt(text, spaces, 'Removed'),
  Punctuation(fields) {
    const behavior = fields.choice('behavior', BEHAVIORS, 'Isolated');
    return (text) => splitAt(text, punctuation, behavior);
  },
  Digits(fields) {
    const behavior = fields.boolean('individual_digits', false) ? 'Isolated' : 'Contiguous';
    const digits = characterFinder(isNumeric);
    return (text) => splitAt(text, digits, behavior);
  },
  CharDelimiterSplit(fields) {
    const delimiter = oneCharacter(fields, 'delimiter');
    const finder = characterFinder((c) => c === delimiter);
    return (text) => splitAt(text, finder, 'Removed');
  },
  Split(fields) {
    const finder = regexFinder(readPattern(fields, 'pattern'));
    const behavior = fields.choice('behavior', BEHAVIORS);
    const find = fields.boolean('invert', false) ? inverted(finder) : finder;
    return (text) => splitAt(text, find, behavior);
  },
  ByteLevel: readByteLevel,
  Metaspace: readMetaspace,
  UnicodeScripts: () => splitScripts,
  FixedLength(fields) {
    const length = fields.count('length', 5, 1);
    const finder = regexFinder(new RegExp(`[^]{1,${length}}`, 'gu'));
    return (text) => splitAt(text, finder, 'Isolated');
  },
};

function oneCharacter(fields: Fields, key: string): string {
  const text = fields.string(key);
  return Array.from(text).length === 1 ? text : fields.fail(key, 'is not one character');
}

function readByteLevel(fields: Fields): PreTokenizer {
  const prefix = fields.boolean('add_prefix_space', true);
  const words = regexFinder(BYTE_LEVEL_WORDS);
  const splits = fields.boolean('use_regex', true);
  return (text) => {
    const spaced = prefix && !text.text.startsWith(' ') ? text.prepend(' ') : text;
    return (splits ? splitAt(spaced, words, 'Isolated') : [spaced]).map(toByteCharacters);
  };
}

interface MetaspaceOptions {
  replacement: string;
  /** When a text without a leading space gets one: never, at the source's start, or always. */
  prepend: 'never' | 'first' | 'always';
}

/** Older files have only `add_prefix_space`. */
export function metaspaceOptions(fields: Fields): MetaspaceOptions {
  const replacement = oneCharacter(fields, 'replacement');
  const older = fields.boolean('add_prefix_space', true);
  const prepend = fields.choice(
    'prepend_scheme',
    ['never', 'first', 'always'] as const,
    older ? 'always' : 'never',
  );
  if (!older && prepend !== 'never')
    fields.fail('add_prefix_space', `does not fit prepend_scheme '${prepend}'`);
  return { replacement, prepend };
}

function readMetaspace(fields: Fields): PreTokenizer {
  const { replacement, prepend } = metaspaceOptions(fields);
  const splits = fields.boolean('split', true);
  const marks = regexFinder(new RegExp(escaped(replacement), 'gu'));
  return (text) => {
    let now = text.replace(/ /g, replacement);
    const wanted = prepend === 'always' || (prepend === 'first' && now.origin === 0);
    if (wanted && !now.text.startsWith(replacement)) now = now.prepend(replacement);
    return splits ? splitAt(now, marks, 'MergedWithNext') : [now];
  };
}
