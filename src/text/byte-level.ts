/**
 * Byte-level splitting (Radford et al., GPT-2): a text into words, each word's UTF-8 bytes written as printable characters.
 * Ours, because JavaScript's `\s` counts U+FEFF as a space and U+0085 not, unlike the Unicode property that Python's tokenizers use.
 */

const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** One character for each byte: itself where it prints, else one from U+0100 on. */
const byteCharacters: readonly string[] = (() => {
  const printable = (b: number): boolean =>
    (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
})();

const utf8 = new TextEncoder();

/** Words of a text, in byte characters. `split` is false where the whole text is one word. */
export function byteLevelWords(text: string, split: boolean): string[] {
  const words = split ? (text.match(WORDS) ?? []) : [text];
  return words.map((word) => Array.from(utf8.encode(word), (byte) => byteCharacters[byte]!).join(''));
}
