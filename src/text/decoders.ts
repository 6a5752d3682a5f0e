/** The decoders of tokenizer.json: turn tokens back into text. */
import { bytesOfToken, decodeBytes, utf8 } from './byte-level.ts';
import type { Fields } from './json-fields.ts';
import { readPattern } from './pattern.ts';
import { metaspaceOptions } from './pre-tokenizers.ts';

/** Maps tokens to parts of the text, which the caller joins. */
export type Decoder = (tokens: string[]) => string[];

/** Throws `TokenizerError` for an unknown kind or an invalid value. */
export function readDecoder(fields: Fields | null): Decoder | null {
  return fields === null ? null : fields.kind(READERS, 'decoder')(fields);
}

const READERS: Record<string, (fields: Fields) => Decoder> = {
  Sequence(fields) {
    const parts = fields.objects('decoders').map((part) => readDecoder(part)!);
    return (tokens) => parts.reduce((now, part) => part(now), tokens);
  },
  ByteLevel: () => (tokens) => [decodeBytes(tokens.flatMap(bytesOfToken))],
  WordPiece(fields) {
    const prefix = fields.string('prefix', '##');
    const cleans = fields.boolean('cleanup', true);
    return (tokens) =>
      tokens.map((token, index) => {
        let joined = token;
        if (index > 0) joined = token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
        return cleans ? tidied(joined).replaceAll(' do not', " don't") : joined;
      });
  },
  Metaspace(fields) {
    const { replacement, prepend } = metaspaceOptions(fields);
    return (tokens) =>
      tokens.map((token, index) =>
        Array.from(token, (c) =>
          c !== replacement ? c : index === 0 && prepend !== 'never' ? '' : ' ',
        ).join(''),
      );
  },
  BPEDecoder(fields) {
    const suffix = fields.string('suffix', '</w>');
    return (tokens) =>
      tokens.map((token, index) => token.replaceAll(suffix, index === tokens.length - 1 ? '' : ' '));
  },
  CTC: readCtc,
  Replace(fields) {
    const pattern = readPattern(fields, 'pattern');
    const content = fields.string('content');
    return (tokens) => tokens.map((token) => token.replace(pattern, () => content));
  },
  Fuse: () => (tokens) => [tokens.join('')],
  Strip(fields) {
    const content = fields.string('content');
    const [left, right] = [fields.count('start'), fields.count('stop')];
    return (tokens) => tokens.map((token) => stripped(Array.from(token), content, left, right));
  },
  ByteFallback: () => bytesToText,
};

/** Removes spaces before punctuation and contractions; the rules run in Python's order. */
export function tidied(text: string): string {
  return text
    .replaceAll(' .', '.')
    .replaceAll(' ?', '?')
    .replaceAll(' !', '!')
    .replaceAll(' ,', ',')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}

function readCtc(fields: Fields): Decoder {
  const pad = fields.string('pad_token', '<pad>');
  const delimiter = fields.string('word_delimiter_token', '|');
  const cleans = fields.boolean('cleanup', true);
  return (tokens) =>
    tokens
      .filter((token, index) => token !== tokens[index - 1])
      .map((token) => {
        const text = token.replaceAll(pad, '');
        return cleans ? tidied(text).replaceAll(' do not', " don't").replaceAll(delimiter, ' ') : text;
      })
      .filter((token) => token !== '');
}

/** Removes `content` up to `left` times from the start and up to `right` times from the end. */
function stripped(characters: string[], content: string, left: number, right: number): string {
  let [from, to] = [0, characters.length];
  while (from < left && characters[from] === content) from += 1;
  while (characters.length - to < right && characters[to - 1] === content) to -= 1;
  return characters.slice(from, to).join('');
}

/** Decodes adjacent byte tokens (`<0xE2>`) together as UTF-8; if they are invalid, each becomes U+FFFD. */
function bytesToText(tokens: string[]): string[] {
  const out: string[] = [];
  let bytes: number[] = [];
  const flush = (): void => {
    if (bytes.length === 0) return;
    const text = decodeBytes(bytes);
    const valid = utf8(text).length === bytes.length && utf8(text).every((byte, i) => byte === bytes[i]);
    out.push(...(valid ? [text] : bytes.map(() => '\ufffd')));
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
    if (byte !== null) bytes.push(Number.parseInt(byte[1]!, 16));
    else {
      flush();
      out.push(token);
    }
  }
  flush();
  return out;
}
