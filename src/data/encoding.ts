/** Decodes bytes to text: byte-order marks, encodings by name, errors naming the line of invalid bytes. */
import { ConfigError, DataError } from '../errors.ts';
import { decoded, isMostlyUtf8, likelyEncodings } from './guess-encoding.ts';

/** Python's encoding names that the Encoding Standard lacks. */
const aliases: Record<string, string> = {
  'utf-8-sig': 'utf-8',
  utf8sig: 'utf-8',
  ascii: 'utf-8',
  'us-ascii': 'utf-8',
  utf16: 'utf-16',
  'utf-16-le': 'utf-16le',
  'utf-16-be': 'utf-16be',
  'latin-1': 'latin1',
  'mac-roman': 'macintosh',
  macroman: 'macintosh',
  cp932: 'shift_jis',
  'shift-jis': 'shift_jis',
  cp936: 'gbk',
  cp949: 'euc-kr',
  cp950: 'big5',
};

/** The Encoding Standard's name for an encoding's name, or Python's. Throws `ConfigError` if unknown. */
export function encodingNamed(label: string): string {
  const plain = label.trim().toLowerCase();
  const dashed = plain.replaceAll('_', '-');
  for (const name of [aliases[plain], aliases[dashed], plain, dashed]) {
    if (name === undefined) continue;
    try {
      return new TextDecoder(name).encoding;
    } catch {
      // Try the next spelling.
    }
  }
  throw new ConfigError(`the encoding '${label}' is not known`, {
    remedy: 'use a name such as utf-8, utf-16le, windows-1252, windows-1251, shift_jis or gb18030',
  });
}

export interface Encoding {
  name: string;
  /** Bytes of the byte-order mark, which are not part of the text. */
  markBytes: number;
}

const marks: readonly { name: string; bytes: readonly number[] }[] = [
  { name: 'utf-32le', bytes: [0xff, 0xfe, 0, 0] },
  { name: 'utf-32be', bytes: [0, 0, 0xfe, 0xff] },
  { name: 'utf-8', bytes: [0xef, 0xbb, 0xbf] },
  { name: 'utf-16le', bytes: [0xff, 0xfe] },
  { name: 'utf-16be', bytes: [0xfe, 0xff] },
];

/** Files that are not text, by their first bytes. */
const packedFiles: readonly { what: string; bytes: readonly number[] }[] = [
  { what: 'packed with gzip', bytes: [0x1f, 0x8b, 8] },
  { what: 'a zip archive (or an .xlsx workbook)', bytes: [0x50, 0x4b, 3, 4] },
  { what: 'packed with zstd', bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { what: 'packed with xz', bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a] },
  { what: 'an old .xls workbook', bytes: [0xd0, 0xcf, 0x11, 0xe0] },
  { what: 'a PNG image', bytes: [0x89, 0x50, 0x4e, 0x47] },
  { what: 'a JPEG image', bytes: [0xff, 0xd8, 0xff] },
  { what: 'a PDF document', bytes: [0x25, 0x50, 0x44, 0x46, 0x2d] },
  { what: 'a Parquet file', bytes: [0x50, 0x41, 0x52, 0x31, 0x15] },
];

/** Whether more bytes could still turn the start of a file into another byte-order mark. */
export function mayBeMark(head: Uint8Array): boolean {
  return marks.some(
    ({ bytes }) => head.length < bytes.length && head.every((byte, at) => byte === bytes[at]),
  );
}

/**
 * The encoding of a file: from its byte-order mark, else `named`, else UTF-8. Throws `DataError` if mark and
 * name disagree, and for UTF-32, which `TextDecoder` does not support.
 */
export function encodingOf(source: string, head: Uint8Array, named?: string): Encoding {
  const wanted = named === undefined ? null : encodingNamed(named);
  const kind = packedFiles.find(({ bytes }) => bytes.every((byte, at) => head[at] === byte));
  if (kind !== undefined)
    throw new DataError(`${source}: the file is ${kind.what}, whatever its name`, {
      remedy: 'unpack or export it as text',
    });
  const mark = marks.find(({ bytes }) => bytes.every((byte, at) => head[at] === byte));
  if (mark === undefined) return { name: wanted ?? 'utf-8', markBytes: 0 };
  if (mark.name.startsWith('utf-32'))
    throw new DataError(`${source}: the file is ${mark.name}`, { remedy: 'save it as UTF-8' });
  const same = mark.name === wanted || (mark.name === 'utf-16be' && /^utf[-_]?16$/i.test(named ?? ''));
  if (wanted !== null && !same) {
    throw new DataError(`${source}: the file begins with the mark of ${mark.name}, not of ${wanted}`, {
      remedy: `leave --encoding out (encoding), or pass ${mark.name}`,
    });
  }
  return { name: mark.name, markBytes: mark.bytes.length };
}

/** Decodes chunks of a file that end at a line end. */
export class LineDecoder {
  private readonly decoder: TextDecoder;
  private linesBefore = 0;
  /** Non-ASCII characters so far, if the encoding is UTF-8; longer ones count more. */
  private beyondAscii = 0;

  constructor(
    private readonly source: string,
    private readonly encoding: string,
  ) {
    this.decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  }

  /**
   * Decodes a chunk; also returns the number of lines before it. Throws `DataError` naming the line that is
   * not valid in the encoding.
   */
  decode(bytes: Uint8Array): { text: string; linesBefore: number } {
    const { linesBefore } = this;
    this.checkZeros(bytes);
    const text = this.text(bytes);
    this.linesBefore += countOf(text, '\n');
    this.beyondAscii += bytes.length - text.length;
    return { text, linesBefore };
  }

  private text(bytes: Uint8Array): string {
    try {
      const text = this.decoder.decode(bytes);
      return this.encoding === 'windows-1252' ? mended1252(text) : text;
    } catch (cause) {
      const valid = validBytes(this.encoding, bytes);
      const before = new TextDecoder(this.encoding).decode(bytes.subarray(0, valid));
      const line = this.linesBefore + countOf(before, before.includes('\n') ? '\n' : '\r') + 1;
      const what = `${this.source}: line ${line} is not ${this.encoding}`;
      const fail = (message: string, remedy: string) => new DataError(message, { remedy, cause });
      if (this.encoding === 'utf-8' && isMostlyUtf8(bytes, this.beyondAscii))
        throw fail(
          `${what}, though other lines are`,
          'mend or remove the line: the file may be cut off, or joined from files in two encodings',
        );
      const likely = this.encoding === 'utf-8' ? likelyEncodings(bytes) : [];
      const [best] = likely;
      if (best === undefined)
        throw fail(what, 'pass the encoding in which the file was saved (--encoding), or save it as UTF-8');
      throw fail(
        `${what}; its bytes look like ${likely.join(', ')}`,
        `save the file as UTF-8, or pass --encoding ${best} (encoding: '${best}')`,
      );
    }
  }

  /** Detects UTF-16 without a byte-order mark, which is valid UTF-8 with a NUL beside each letter. */
  private checkZeros(bytes: Uint8Array): void {
    const first = bytes.indexOf(0);
    if (first < 0 || this.encoding.startsWith('utf-16')) return;
    const zeros = bytes.reduce((sum, byte) => sum + (byte === 0 ? 1 : 0), 0);
    if (zeros < bytes.length / 4) return;
    const name = first % 2 === 0 ? 'utf-16be' : 'utf-16le';
    throw new DataError(`${this.source}: every other byte is zero: the file looks like ${name}`, {
      remedy: `pass --encoding ${name} (encoding: '${name}'), or save it as UTF-8`,
    });
  }
}

export function countOf(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + 1)) count += 1;
  return count;
}

/** Length of the longest valid prefix; a character cut off at its end counts as valid. */
function validBytes(encoding: string, bytes: Uint8Array): number {
  let [valid, broken] = [0, bytes.length];
  while (broken - valid > 1) {
    const middle = Math.floor((valid + broken) / 2);
    if (decoded(encoding, bytes.subarray(0, middle), { stream: true }) !== null) valid = middle;
    else broken = middle;
  }
  return valid;
}

/** The characters of windows-1252 at 0x80 to 0x9F; blank if undefined. */
const windows1252 = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ';

/** Corrects Node's windows-1252 decoder, which returns Latin-1's control characters (seen in 20.20). */
function mended1252(text: string): string {
  return text.replace(/[\u0080-\u009f]/g, (control) => {
    const mark = windows1252[control.charCodeAt(0) - 0x80]!;
    return mark === ' ' ? control : mark;
  });
}
