/** Guesses the encoding of bytes that are not UTF-8, for messages. */

/** The letters that dominate text in an encoding, and their minimum share of its non-ASCII letters. */
const candidates: readonly { name: string; letters: RegExp; share: number }[] = [
  { name: 'shift_jis', letters: /[\u3040-\u30ff]/gu, share: 0.25 },
  { name: 'euc-jp', letters: /[\u3040-\u30ff]/gu, share: 0.25 },
  { name: 'euc-kr', letters: /\p{Script=Hangul}/gu, share: 0.9 },
  { name: 'gb18030', letters: /\p{Script=Han}/gu, share: 0.8 },
  { name: 'big5', letters: /\p{Script=Han}/gu, share: 0.8 },
  // Decoded as the other one, lower-case letters become capitals.
  { name: 'windows-1251', letters: /[а-яё]/gu, share: 0.6 },
  { name: 'koi8-r', letters: /[а-яё]/gu, share: 0.6 },
];

/** Punctuation that Windows encodes at 0x80 to 0x9F: euro, ellipsis, quotes, bullet, dashes, trade mark. */
const windowsMarks = new Set([0x80, 0x85, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x99]);

/**
 * Whether bytes are UTF-8 with some damage: few of the non-ASCII characters, including the `before` earlier
 * ones, are broken. Other encodings hardly ever pass this test.
 */
export function isMostlyUtf8(bytes: Uint8Array, before: number): boolean {
  const text = new TextDecoder().decode(bytes);
  const broken = text.match(/\uFFFD/g)?.length ?? 0;
  const whole = text.match(/[^\p{ASCII}\uFFFD]/gu)?.length ?? 0;
  return before + whole > 3 * broken;
}

/** Encoding names for `TextDecoder`, most likely first. */
export function likelyEncodings(bytes: Uint8Array): string[] {
  let [runs, alone, high, odd] = [0, 0, 0, 0];
  for (const [at, byte] of bytes.entries()) {
    if (byte < 0x80) continue;
    high += 1;
    if (byte < 0xa0 && !windowsMarks.has(byte)) odd += 1;
    if ((bytes[at - 1] ?? 0) >= 0x80) continue;
    runs += 1;
    if ((bytes[at + 1] ?? 0) < 0x80) alone += 1;
  }
  // In Western text, an accented letter is usually surrounded by ASCII.
  const western = [odd > high / 2 ? 'macintosh' : 'windows-1252'];
  if (alone > runs / 2) return western;
  const likely = candidates.filter(({ name, letters, share }) => {
    const text = decoded(name, bytes);
    const all = text?.match(/[^\p{ASCII}\p{P}\p{S}\s]/gu)?.length ?? 0;
    return text !== null && all > 0 && (text.match(letters)?.length ?? 0) >= share * all;
  });
  return likely.length > 0 ? likely.map(({ name }) => name) : western;
}

/** The text; null if the bytes are not valid in the encoding. */
export function decoded(encoding: string, bytes: Uint8Array, options: TextDecodeOptions = {}): string | null {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes, options);
  } catch {
    return null;
  }
}
