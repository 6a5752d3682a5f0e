/** SentencePiece's replacement table: a double-array trie of UTF-8 keys, and zero-terminated texts. */
import type { AlignedText } from './aligned-text.ts';
import { decodeBytes, utf8 } from './byte-level.ts';
import type { Fields } from './json-fields.ts';
import type { Normalizer } from './normalizers.ts';
import { remembered } from './unicode.ts';

/** Throws `TokenizerError` if `precompiled_charsmap` is not a valid table. */
export function readPrecompiled(fields: Fields): Normalizer {
  const key = 'precompiled_charsmap';
  const encoded = fields.optionalString(key);
  if (encoded === null || encoded === '') return (text) => text;
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
  } catch {
    return fields.fail(key, 'is not base64');
  }
  const view = new DataView(bytes.buffer);
  const size = bytes.length < 4 ? 0 : view.getUint32(0, true);
  if (size === 0 || size % 4 !== 0 || size + 4 > bytes.length)
    fields.fail(key, 'is no table of replacements');
  const trie = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const texts = bytes.subarray(4 + size);
  const replace = remembered((part) => {
    const at = shortestPrefix(trie, utf8(part));
    if (at === null) return null;
    const end = texts.indexOf(0, at);
    return decodeBytes(texts.subarray(at, end < 0 ? texts.length : end));
  });
  const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });
  return (text) => normalize(text, graphemes, replace);
}

/** The value of the shortest key that is a prefix of `bytes`. */
function shortestPrefix(trie: Uint32Array, bytes: Uint8Array): number | null {
  const offset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
  let at = offset(trie[0]!);
  for (const byte of bytes) {
    if (byte === 0) return null;
    at ^= byte;
    const unit = trie[at];
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return null;
    at ^= offset(unit);
    if ((unit >>> 8) & 1) return (trie[at] ?? 0) & 0x7fffffff;
  }
  return null;
}

/** Looks up each short grapheme as a whole first, as the original does, then each code point. */
function normalize(
  text: AlignedText,
  graphemes: Intl.Segmenter,
  replace: (part: string) => string | null,
): AlignedText {
  const characters: string[] = [];
  const changes: number[] = [];
  let changed = false;
  const put = (part: string, made: string): void => {
    changed = true;
    const [old, now] = [Array.from(part).length, Array.from(made)];
    for (const [index, character] of now.entries()) {
      characters.push(character);
      changes.push(index >= old ? 1 : 0);
    }
    // Surplus old characters are dropped with the last character emitted, even if an earlier part emitted it.
    if (now.length < old && changes.length > 0) changes[changes.length - 1]! += now.length - old;
  };
  for (const { segment } of graphemes.segment(text.text)) {
    const whole = segment.length < 6 && utf8(segment).length < 6 ? replace(segment) : null;
    if (whole !== null) {
      put(segment, whole);
      continue;
    }
    for (const character of segment) {
      const made = replace(character);
      if (made !== null) put(character, made);
      else {
        characters.push(character);
        changes.push(0);
      }
    }
  }
  return changed ? text.transform(characters, changes) : text;
}
