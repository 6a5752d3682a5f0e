/** Text files in pieces that end where a line or a row ends, so that a large file is never held whole. */
import { platform } from '#platform';
import { joined } from '../arrays.ts';
import { countOf, encodingOf, LineDecoder, mayBeMark } from './encoding.ts';

/**
 * Some whole rows of a file; a line ends with '\n', '\r\n', or, in a file without any '\n', with '\r', which
 * is then given as '\n'.
 */
export interface Chunk {
  text: string;
  /** Lines of the file before this text. */
  linesBefore: number;
}

export interface ReadOptions {
  /** UTF-8, or what the file's byte-order mark says, where absent. */
  encoding?: string;
  /** Bytes read at a time. Default 4 MiB. */
  chunkBytes?: number;
}

export interface ChunkOptions extends ReadOptions {
  /** A line end between double quotes does not end a row (CSV). Default false. */
  quoted?: boolean;
}

/**
 * A file from front to back, without its byte-order mark. Throws `FileError` where it cannot be read,
 * `DataError` naming the line that is not in the encoding.
 */
export async function* readChunks(path: string, options: ChunkOptions = {}): AsyncGenerator<Chunk> {
  const chunks = decoded(path, readBytes(path, options.chunkBytes), options.encoding);
  yield* options.quoted === true ? wholeRows(chunks) : chunks;
}

/**
 * Lines of a file without their ends, as Python's `open` gives them: '\r\n', '\n' and '\r' all end one.
 * Throws as `readChunks` does.
 */
export async function* readLines(path: string, options: ReadOptions = {}): AsyncGenerator<string> {
  yield* linesOf(path, readBytes(path, options.chunkBytes), options.encoding);
}

/**
 * The same from bytes that arrive by and by; a line is given as soon as it is whole. `source` names them in
 * errors.
 */
export async function* linesOf(
  source: string,
  bytes: AsyncIterable<Uint8Array>,
  encoding?: string,
): AsyncGenerator<string> {
  for await (const { text } of decoded(source, bytes, encoding)) {
    const lines = text.split(/\r\n|\n|\r/);
    // What follows the last line end is no line.
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
    // The first piece of a file without '\n' is the whole file.
    const returns = first && !text.includes('\n') && text.includes('\r');
    first = false;
    yield { text: returns ? text.replaceAll('\r', '\n') : text, linesBefore };
  }
}

/**
 * Bytes without their mark, in pieces that end with a line feed (the last one may not), and their encoding's
 * name.
 */
async function* wholeLines(
  source: string,
  bytes: AsyncIterable<Uint8Array>,
  named: string | undefined,
): AsyncGenerator<{ name: string; lines: Uint8Array }> {
  let name = '';
  // Holds no line end, so that only new bytes are searched.
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
    // A character of UTF-16 may lie on both sides, so that the whole is searched.
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

/** The byte after the last line feed of UTF-16, 0 where there is none. */
function lastWideLineEnd(bytes: Uint8Array, encoding: string): number {
  const low = encoding === 'utf-16le' ? 0 : 1;
  for (let at = bytes.length - (bytes.length % 2) - 2; at >= 0; at -= 2)
    if (bytes[at + low] === LINE_FEED && bytes[at + 1 - low] === 0) return at + 2;
  return 0;
}

/** Pieces that end outside double quotes. A doubled quote inside a pair leaves the parity as it is. */
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

/** The place after the last line end outside quotes, 0 where there is none. */
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

async function* readBytes(path: string, chunkBytes = 2 ** 22): AsyncGenerator<Uint8Array> {
  const file = await platform.openFile(path);
  try {
    for (let at = 0; at < file.size; at += chunkBytes)
      yield await file.read(at, Math.min(chunkBytes, file.size - at));
  } finally {
    await file.close();
  }
}

/** The parts in one array; a single part as it is. */
function whole(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : joined(Uint8Array, parts);
}
