/** The normalizers of tokenizer.json, as in Python's tokenizers. */
import type { AlignedText } from './aligned-text.ts';
import { byteCharacters } from './byte-level.ts';
import type { Fields } from './json-fields.ts';
import { type NormalForm, toNormalForm } from './normal-forms.ts';
import { readPattern } from './pattern.ts';
import { readPrecompiled } from './precompiled.ts';
import { isChinese, isControl, isMark, isNonspacingMark, isSpace, remembered } from './unicode.ts';

export type Normalizer = (text: AlignedText) => AlignedText;

/** Throws `TokenizerError` for an unknown kind or an invalid value. */
export function readNormalizer(fields: Fields | null): Normalizer | null {
  return fields === null ? null : fields.kind(READERS, 'normalizer')(fields);
}

const READERS: Record<string, (fields: Fields) => Normalizer> = {
  Sequence(fields) {
    const parts = fields.objects('normalizers').map((part) => readNormalizer(part)!);
    return (text) => parts.reduce((now, part) => part(now), text);
  },
  BertNormalizer: readBert,
  Lowercase: () => lowercase,
  StripAccents: () => (text) => text.mapEach((c) => (isMark(c) ? '' : c)),
  NFC: () => form('NFC'),
  NFD: () => form('NFD'),
  NFKC: () => form('NFKC'),
  NFKD: () => form('NFKD'),
  Strip(fields) {
    const [left, right] = [fields.boolean('strip_left', true), fields.boolean('strip_right', true)];
    return (text) => strip(text, left, right);
  },
  Replace(fields) {
    const pattern = readPattern(fields, 'pattern');
    const content = fields.string('content');
    return (text) => text.replace(pattern, content);
  },
  Prepend(fields) {
    const prefix = fields.string('prepend');
    return (text) => text.prepend(prefix);
  },
  Nmt: () => (text) => text.mapEach(nmt),
  Precompiled: readPrecompiled,
  ByteLevel: () => toByteCharacters,
};

const form =
  (name: NormalForm): Normalizer =>
  (text) =>
    toNormalForm(text, name);

const lower = remembered((character) => character.toLowerCase());
/** Maps character by character, so that a final sigma is treated like any other. */
const lowercase: Normalizer = (text) => text.mapEach(lower);

const clean = (character: string): string =>
  isControl(character) ? '' : isSpace(character) ? ' ' : character;

/** Replaces each character by its UTF-8 bytes, written as printable characters. */
export const toByteCharacters: Normalizer = (text) => text.mapEach(byteCharacters);

function readBert(fields: Fields): Normalizer {
  const lowers = fields.boolean('lowercase', true);
  const accents = fields.boolean('strip_accents', lowers);
  const cleans = fields.boolean('clean_text', true);
  const chinese = fields.boolean('handle_chinese_chars', true);
  const single = remembered((character) => {
    let out = cleans ? clean(character) : character;
    if (chinese && out !== '' && isChinese(out)) out = ` ${out} `;
    if (accents)
      out = Array.from(out.normalize('NFD'))
        .filter((c) => !isNonspacingMark(c))
        .join('');
    return lowers ? Array.from(out, lower).join('') : out;
  });
  return (text) => {
    // Only marks change order, so a text without any takes one pass.
    if (!accents || /^[\0-\u02ff\u2000-\u2e7f\u3000-\ua66e]*$/.test(text.text)) return text.mapEach(single);
    let now = cleans ? text.mapEach(clean) : text;
    if (chinese) now = now.mapEach((c) => (isChinese(c) ? ` ${c} ` : c));
    now = toNormalForm(now, 'NFD').mapEach((c) => (isNonspacingMark(c) ? '' : c));
    return lowers ? lowercase(now) : now;
  };
}

function strip(text: AlignedText, left: boolean, right: boolean): AlignedText {
  let [from, to] = [0, text.text.length];
  if (left) while (from < to && isSpace(text.text[from]!)) from += 1;
  if (right) while (to > from && isSpace(text.text[to - 1]!)) to -= 1;
  return text.slice(from, to);
}

/** SentencePiece's rules for machine translation: drops control characters, unifies spaces. */
function nmt(character: string): string {
  if (/[\p{Cc}]/u.test(character) && !/[\0\t\n\f\r\u0080-\u008e\u0090-\u009e]/.test(character)) return '';
  return /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/.test(character) ? ' ' : character;
}
