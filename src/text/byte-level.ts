/**
 * Byte-level pre-tokenization (Radford et al., GPT-2): represents bytes as printable characters, and splits a
 * text into words first.
 */
import { LETTER, NUMBER, remembered, SPACE } from './unicode.ts';

export const BYTE_LEVEL_WORDS = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?${LETTER}+| ?${NUMBER}+| ?(?:(?!${SPACE}|${LETTER}|${NUMBER})[^])+|${SPACE}+(?!\\P{White_Space})|${SPACE}+`,
  'gu',
);

/** The character for each byte: the byte itself if printable, else one from U+0100 up. */
const OF_BYTE: readonly string[] = (() => {
  const printable = (b: number): boolean =>
    (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
})();
const BYTE_OF = new Map(OF_BYTE.map((character, byte) => [character, byte]));

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The byte characters of one character's UTF-8 bytes. */
export const byteCharacters = remembered((character) =>
  Array.from(encoder.encode(character), (byte) => OF_BYTE[byte]!).join(''),
);

/** Decodes UTF-8; invalid bytes become U+FFFD. */
export function decodeBytes(bytes: ArrayLike<number>): string {
  return decoder.decode(Uint8Array.from(bytes));
}

/** The bytes of a token of byte characters. A token with any other character stands for its own text. */
export function bytesOfToken(token: string): number[] {
  const bytes = Array.from(token, (character) => BYTE_OF.get(character));
  return bytes.includes(undefined) ? [...encoder.encode(token)] : (bytes as number[]);
}

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}
