/** Reads text files in chunks that end at a line or row end, so that a large file is never held in memory. */
import { joined } from '../arrays.ts';
import { countOf, encodingOf, LineDecoder, mayBeMark } from './encoding.ts';
import { readBytes } from './packed.ts';

/**
 * Some whole rows of a file. Lines end with '\n' or '\r\n'; in a file without any '\n' they end with '\r',
 * which is converted to '\n'.
 */
export interface Chunk {
  text: string;
  /** Number of lines in the file before this text. */
  linesBefore: number;
}

export interface ReadOptions {
  /** Default: the encoding of the file's byte-order mark, else UTF-8. */
  encoding?: string;
  /** Bytes read at a time. Default 4 MiB. */
  chunkBytes?: number;
}

export interface ChunkOptions extends ReadOptions {
  /** A line end inside double quotes does not end a row (CSV). Default false. */
  quoted?: boolean;
}

/**
 * Reads a file in order, without its byte-order mark; gzip is unpacked, and Parquet read as JSON lines.
 * Throws `FileError` if it cannot be read, and `DataError` naming the line that is not valid in the encoding.
 */
export async function* readChunks(path: string, options: ChunkOptions = {}): AsyncGenerator<Chunk> {
  const chunks = decoded(path, readBytes(path, options), options.encoding);
  yield* options.quoted === true ? wholeRows(chunks) : chunks;
}

/**
 * Reads the lines of a file without their ends, as Python's `open` does: '\r\n', '\n' and '\r' all end a
 * line. Throws like `readChunks`.
 */
export async function* readLines(path: string, options: ReadOptions = {}): AsyncGenerator<string> {
  yield* linesOf(path, readBytes(path, options), options.encoding);
}

/** The lines that hold text, with their numbers from 1. Throws like `readChunks`. */
export async function* textLines(
  path: string,
  { encoding }: { encoding?: string | undefined } = {},
): AsyncGenerator<{ text: string; line: number }> {
  let line = 0;
  for await (const text of readLines(path, encoding === undefined ? {} : { encoding })) {
    line += 1;
    if (text.trim() !== '') yield { text, line };
  }
}

/**
 * Splits a stream of bytes into lines like `readLines`, and yields each line as soon as it is complete.
 * `source` names the stream in errors.
 */
export async function* linesOf(
  source: string,
  bytes: AsyncIterable<Uint8Array>,
  encoding?: string,
): AsyncGenerator<string> {
  for await (const { text } of decoded(source, bytes, encoding)) {
    const lines = text.split(/\r\n|\n|\r/);
    // The empty text after the last line end is not a line.
    if (lines.at(-1) === '') lines.pop();
    yield* lines;
  }
}

async function* decoded(
  source: string,
  bytes: AsyncIterable<Uint8Array>,
  encoding: string | undefined,
): AsyncGenerator<Chunk> {
  let decoder: LineDecoder | null = null;
  let first = true;
  for await (const { name, lines } of wholeLines(source, bytes, encoding)) {
    decoder ??= new LineDecoder(source, name);
    const { text, linesBefore } = decoder.decode(lines);
    // The first chunk of a file without '\n' is the whole file.
    const returns = first && !text.includes('\n') && text.includes('\r');
    first = false;
    yield { text: returns ? text.replaceAll('\r', '\n') : text, linesBefore };
  }
}

/**
 * Splits bytes into chunks that end with a line feed (except possibly the last), without the byte-order mark,
 * and yields each with the name of the encoding.
 */
async function* wholeLines(
  source: string,
  bytes: AsyncIterable<Uint8Array>,
  named: string | undefined,
): AsyncGenerator<{ name: string; lines: Uint8Array }> {
  let name = '';
  // Holds no line end, so only new bytes need searching.
  let rest: Uint8Array[] = [];
  const begin = (front: Uint8Array): Uint8Array => {
    const encoding = encodingOf(source, front, named);
    name = encoding.name;
    return front.subarray(encoding.markBytes);
  };
  for await (const part of bytes) {
    let piece = part;
    if (name === '') {
      piece = whole([...rest, piece]);
      rest = [];
      if (piece.length === 0 || mayBeMark(piece)) {
        rest = [piece];
        continue;
      }
      piece = begin(piece);
    }
    const wide = name.startsWith('utf-16');
    // A UTF-16 character may span both parts, so this searches the whole.
    if (wide) {
      piece = whole([...rest, piece]);
      rest = [];
    }
    const end = wide ? lastWideLineEnd(piece, name) : piece.lastIndexOf(LINE_FEED) + 1;
    if (end > 0) yield { name, lines: whole([...rest.splice(0), piece.subarray(0, end)]) };
    rest.push(piece.slice(end));
  }
  let last = whole(rest);
  if (name === '') last = begin(last);
  if (last.length > 0) yield { name, lines: last };
}

const LINE_FEED = 10;

/** The position after the last UTF-16 line feed; 0 if there is none. */
function lastWideLineEnd(bytes: Uint8Array, encoding: string): number {
  const low = encoding === 'utf-16le' ? 0 : 1;
  for (let at = bytes.length - (bytes.length % 2) - 2; at >= 0; at -= 2)
    if (bytes[at + low] === LINE_FEED && bytes[at + 1 - low] === 0) return at + 2;
  return 0;
}

/** Regroups chunks to end outside double quotes. A doubled quote inside quotes keeps the parity. */
async function* wholeRows(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk> {
  let held: Chunk[] = [];
  let open = false;
  const release = (text: string): Chunk => {
    const whole = { text: held.map((part) => part.text).join('') + text, linesBefore: held[0]!.linesBefore };
    held = [];
    return whole;
  };
  for await (const chunk of chunks) {
    const end = lastRowEnd(chunk.text, open);
    const linesBefore = chunk.linesBefore + countOf(chunk.text.slice(0, end), '\n');
    open = open !== (countOf(chunk.text, '"') % 2 === 1);
    if (end === 0) {
      held.push(chunk);
      continue;
    }
    if (held.length === 0) held.push({ text: '', linesBefore: chunk.linesBefore });
    yield release(chunk.text.slice(0, end));
    if (end < chunk.text.length) held = [{ text: chunk.text.slice(end), linesBefore }];
  }
  if (held.length > 0) yield release('');
}

/** The position after the last line end outside quotes; 0 if there is none. */
function lastRowEnd(text: string, openAtStart: boolean): number {
  let open = openAtStart;
  let end = 0;
  let from = 0;
  while (from < text.length) {
    const quote = text.indexOf('"', from);
    const to = quote < 0 ? text.length : quote;
    if (!open) {
      const line = text.lastIndexOf('\n', to - 1);
      if (line >= from) end = line + 1;
    }
    if (quote >= 0) open = !open;
    from = to + 1;
  }
  return end;
}

/** The parts in one array; a single part as it is. */
function whole(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : joined(Uint8Array, parts);
}
