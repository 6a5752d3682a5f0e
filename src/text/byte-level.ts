/** Bytes as printable characters (Radford et al., GPT-2), and the words that a text is split into first. */
import { LETTER, NUMBER, remembered, SPACE } from './unicode.ts';

export const BYTE_LEVEL_WORDS = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?${LETTER}+| ?${NUMBER}+| ?(?:(?!${SPACE}|${LETTER}|${NUMBER})[^])+|${SPACE}+(?!\\P{White_Space})|${SPACE}+`,
  'gu',
);

/** One character for each byte: itself where it prints, else one from U+0100 on. */
const OF_BYTE: readonly string[] = (() => {
  const printable = (b: number): boolean =>
    (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
})();
const BYTE_OF = new Map(OF_BYTE.map((character, byte) => [character, byte]));

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The characters of one character's UTF-8 bytes. */
export const byteCharacters = remembered((character) =>
  Array.from(encoder.encode(character), (byte) => OF_BYTE[byte]!).join(''),
);

/** UTF-8 as text; what is not UTF-8 becomes U+FFFD. */
export function decodeBytes(bytes: readonly number[]): string {
  return decoder.decode(Uint8Array.from(bytes));
}

/** Bytes of a token of byte characters; one that has others stands for itself. */
export function bytesOfToken(token: string): number[] {
  const bytes = Array.from(token, (character) => BYTE_OF.get(character));
  return bytes.includes(undefined) ? [...encoder.encode(token)] : (bytes as number[]);
}

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}
