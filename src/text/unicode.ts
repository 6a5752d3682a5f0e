/**
 * Character classes as in Python's tokenizers. Its Unicode tables are of several versions, all older than a
 * JavaScript engine's, so characters that they do not know yet are excluded here. test/text/unicode.test.ts
 * checks every code point against Python.
 */

/** New in Unicode 17: not yet letters, marks or symbols for Python's regular expressions. */
export const NEW_CHARACTERS =
  '\\u088f\\u0c5c\\u0cdc\\u1acf-\\u1add\\u1ae0-\\u1aeb\\u20c1\\u2b96\\ua7ce\\ua7cf\\ua7d2\\ua7d4\\ua7f1' +
  '\\ufbc3-\\ufbd2\\ufd90\\ufd91\\ufdc8-\\ufdce\\u{10940}-\\u{10959}\\u{10ec5}-\\u{10ec7}' +
  '\\u{10ed0}-\\u{10ed8}\\u{10efa}\\u{10efb}\\u{11b60}-\\u{11b67}\\u{11db0}-\\u{11ddb}' +
  '\\u{11de0}-\\u{11de9}\\u{16ea0}-\\u{16eb8}\\u{16ebb}-\\u{16ed3}\\u{16ff2}-\\u{16ff6}' +
  '\\u{187f8}-\\u{187ff}\\u{18d09}-\\u{18d1e}\\u{18d80}-\\u{18df2}\\u{1ccfa}-\\u{1ccfc}' +
  '\\u{1ceba}-\\u{1ced0}\\u{1cee0}-\\u{1cef0}\\u{1e6c0}-\\u{1e6de}\\u{1e6e0}-\\u{1e6f5}' +
  '\\u{1e6fe}\\u{1e6ff}\\u{1f6d8}\\u{1f777}-\\u{1f77a}\\u{1f8d0}-\\u{1f8d8}\\u{1fa54}-\\u{1fa57}' +
  '\\u{1fa8a}\\u{1fa8e}\\u{1fac8}\\u{1facd}\\u{1faea}\\u{1faef}\\u{1fbfa}\\u{2b73a}-\\u{2b73f}' +
  '\\u{2cea2}-\\u{2cead}\\u{323b0}-\\u{33479}';
/** New after Unicode 9, with code points beside them that have no character yet. */
const NEW_SINCE_9 =
  '\\u0560\\u0588\\u05ef\\u061d\\u07fd-\\u07ff\\u0860-\\u089f\\u08b5\\u08be-\\u08d3\\u09fc-\\u09fe\\u0a76' +
  '\\u0afa-\\u0aff\\u0b55\\u0c04\\u0c3c\\u0c5c\\u0c5d\\u0c77\\u0c84\\u0cdc\\u0cdd\\u0cf3-\\u0d00\\u0d04\\u0d3b\\u0d3c' +
  '\\u0d81\\u0e86\\u0e89\\u0e8c\\u0e8e-\\u0e93\\u0e98\\u0ea0\\u0ea8\\u0ea9\\u0eac\\u0eba\\u0ece\\u170d\\u1715-\\u171f' +
  '\\u180f\\u1878\\u1abf-\\u1aeb\\u1b4c-\\u1b4f\\u1b7d-\\u1b7f\\u1c89-\\u1cbf\\u1cf7\\u1cfa\\u1df6-\\u1dfa' +
  '\\u20bf-\\u20c1\\u23ff\\u2427-\\u2429\\u2b96\\u2b97\\u2bba-\\u2bbc\\u2bc9\\u2bd2-\\u2beb\\u2bf0-\\u2bff\\u2c2f' +
  '\\u2c5f\\u2e45-\\u2e5d\\u2ffc-\\u2fff\\u312e\\u312f\\u31bb-\\u31bf\\u31e4-\\u31ef\\u32ff\\u4db6-\\u4dbf' +
  '\\u9fd6-\\u9fff\\ua7af\\ua7b8-\\ua7f6\\ua82c\\ua8fe\\ua8ff\\uab66-\\uab6b\\ufbc2-\\ufbd2\\ufd40-\\ufd4f' +
  '\\ufd90\\ufd91\\ufdc8-\\ufdcf\\ufdfe\\ufdff\\u{1019c}\\u{1032d}-\\u{1032f}\\u{10570}-\\u{105f3}' +
  '\\u{10780}-\\u{107ba}\\u{10a34}\\u{10a35}\\u{10a48}\\u{10d00}-\\u{10d8f}\\u{10e80}-\\u{10ff6}' +
  '\\u{11070}-\\u{11075}\\u{110c2}-\\u{110cd}\\u{11144}-\\u{11147}\\u{111ce}\\u{111cf}\\u{1123f}-\\u{11241}' +
  '\\u{1133b}\\u{11380}-\\u{113e2}\\u{1145a}\\u{1145e}-\\u{11461}\\u{116b8}\\u{116b9}\\u{116d0}-\\u{116e3}' +
  '\\u{1171a}\\u{11740}-\\u{1183b}\\u{11900}-\\u{11abf}\\u{11b00}-\\u{11bf9}\\u{11d00}-\\u{11fff}' +
  '\\u{12f90}-\\u{12ff2}\\u{1342f}-\\u{143fa}\\u{16100}-\\u{16139}\\u{16a70}-\\u{16ac9}\\u{16d40}-\\u{16e9a}' +
  '\\u{16f45}-\\u{16f4f}\\u{16f7f}-\\u{16f87}\\u{16fe1}-\\u{16ff6}\\u{187ed}-\\u{187ff}\\u{18af3}-\\u{1affe}' +
  '\\u{1b002}-\\u{1b2fb}\\u{1cc00}-\\u{1cfc3}\\u{1d1e9}\\u{1d1ea}\\u{1d2c0}-\\u{1d2f3}\\u{1d372}-\\u{1d378}' +
  '\\u{1df00}-\\u{1df2a}\\u{1e030}-\\u{1e7fe}\\u{1e94b}\\u{1ec71}-\\u{1ed3d}\\u{1f10d}-\\u{1f10f}\\u{1f12f}' +
  '\\u{1f16c}-\\u{1f16f}\\u{1f1ad}\\u{1f260}-\\u{1f265}\\u{1f6d3}-\\u{1f6df}\\u{1f6f7}-\\u{1f6fc}' +
  '\\u{1f774}-\\u{1f77f}\\u{1f7d5}-\\u{1f7f0}\\u{1f8b0}-\\u{1f90f}\\u{1f91f}\\u{1f928}-\\u{1f92f}' +
  '\\u{1f931}\\u{1f932}\\u{1f93f}\\u{1f94c}-\\u{1f94f}\\u{1f95f}-\\u{1f97f}\\u{1f992}-\\u{1f9bf}' +
  '\\u{1f9c1}-\\u{1fbfa}\\u{2a6d7}-\\u{2a6df}\\u{2b735}-\\u{2b73f}\\u{2cea2}-\\u{2ee5d}\\u{30000}-\\u{33479}';
/** New in Unicode 9, with whole blocks; and nonspacing marks that were of other classes before. */
const NEW_IN_9 =
  '\\u08d4-\\u08e1\\u1885\\u1886\\u1dfb\\u2e43\\u2e44\\ua8c5\\ua9bd\\u{1123e}\\u{11400}-\\u{1147f}' +
  '\\u{11660}-\\u{1166c}\\u{11c00}-\\u{11cbf}\\u{1e000}-\\u{1e02f}\\u{1e900}-\\u{1e95f}';
/** Punctuation until Unicode 10. */
const ONCE_PUNCTUATION = '\\u{111c9}';

/** White space as in Unicode and Rust; JavaScript's `\s` includes U+FEFF and excludes U+0085. */
export const SPACE = '\\p{White_Space}';
/** Patterns of one character, with flag `u`: `\p{L}`, `\p{N}` and `\w` as in Python's tokenizers. */
export const LETTER = `(?:(?![${NEW_CHARACTERS}])\\p{L})`;
export const NUMBER = `(?:(?![${NEW_CHARACTERS}])\\p{N})`;
export const WORD = `(?:(?![${NEW_CHARACTERS}])[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}])`;

const space = /\p{White_Space}/u;
const punctuation = new RegExp(
  `(?![${NEW_SINCE_9}${NEW_IN_9}])[\\p{P}$+<=>^\`|~\u166d${ONCE_PUNCTUATION}]`,
  'u',
);
const control = /(?![\t\n\r\u0890\u0891\u08e2\u{110cd}\u{13430}-\u{1343f}])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\ufffd]/u;
const nonspacing = new RegExp(
  `(?![${NEW_SINCE_9}${NEW_IN_9}${ONCE_PUNCTUATION}])[\\p{Mn}\u1734\u{1171e}]`,
  'u',
);
const mark = new RegExp(`(?![${NEW_SINCE_9}${ONCE_PUNCTUATION}])[\\p{M}\u1cf2\u1cf3]`, 'u');
const numeric = /\p{N}/u;
const word = new RegExp(WORD, 'u');
export const newSince9 = new RegExp(`[${NEW_SINCE_9}]`, 'u');

const REMEMBERED = 50_000;

/** Caches a function of a short text: a lookup is several times as fast as a regular expression. */
export function remembered<T>(compute: (characters: string) => T): (characters: string) => T {
  const known = new Map<string, T>();
  return (characters) => {
    let value = known.get(characters);
    if (value === undefined) {
      value = compute(characters);
      if (known.size >= REMEMBERED) known.clear();
      known.set(characters, value);
    }
    return value;
  };
}

/** The UTF-16 units of the character at an index. */
export function sizeAt(text: string, unit: number): number {
  return text.codePointAt(unit)! > 0xffff ? 2 : 1;
}

export const isSpace = remembered((c) => space.test(c));
/** Punctuation as of Unicode 8, and ASCII symbols. */
export const isPunctuation = remembered((c) => punctuation.test(c));
/** Removed by BERT's cleaning: control and format characters, private use, U+FFFD. */
export const isControl = remembered((c) => control.test(c));
/** Removed by BERT's `strip_accents` after decomposition. */
export const isNonspacingMark = remembered((c) => nonspacing.test(c));
/** Removed by `StripAccents`. */
export const isMark = remembered((c) => mark.test(c));
export const isNumeric = remembered((c) => numeric.test(c));
export const isWordCharacter = remembered((c) => word.test(c));
/** Characters that normal forms compose or decompose only in newer versions of Unicode. */
export const isUnknownComposite = remembered((c) => newSince9.test(c) && c.normalize('NFKD') !== c);

/** Ideographs, which BERT surrounds with spaces. */
export function isChinese(character: string): boolean {
  const c = character.codePointAt(0)!;
  return (
    c >= 0x3400 &&
    (c <= 0x4dbf ||
      (c >= 0x4e00 && c <= 0x9fff) ||
      (c >= 0xf900 && c <= 0xfaff) ||
      (c >= 0x20000 && c <= 0x2a6df) ||
      (c >= 0x2a700 && c <= 0x2b81f) ||
      (c >= 0x2b920 && c <= 0x2ceaf) ||
      (c >= 0x2f800 && c <= 0x2fa1f))
  );
}
