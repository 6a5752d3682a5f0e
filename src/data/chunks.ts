/** Text files in pieces that end where a row ends, so that a large file is never held whole. */
import { platform } from '#platform';

/** Some whole rows of a file. */
export interface Chunk {
  text: string;
  /** Lines of the file before this text. */
  linesBefore: number;
}

export interface ChunkOptions {
  /** A line end between double quotes does not end a row (CSV). Default false. */
  quoted?: boolean;
  /** Bytes read at a time. Default 4 MiB. */
  chunkBytes?: number;
}

const NEWLINE = 10;
const QUOTE = 34;

/** A UTF-8 file from front to back, without its byte-order mark. Throws `FileError` where it cannot be read. */
export async function* readChunks(path: string, options: ChunkOptions = {}): AsyncGenerator<Chunk> {
  const { quoted = false, chunkBytes = 2 ** 22 } = options;
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let linesBefore = 0;
  let rest: Uint8Array[] = [];
  let first = true;
  const decode = (bytes: Uint8Array): Chunk => {
    const text = decoder.decode(bytes);
    const chunk = { text: first ? text.replace(/^\uFEFF/, '') : text, linesBefore };
    first = false;
    linesBefore += countOf(bytes, NEWLINE);
    return chunk;
  };
  // `rest` holds no row end, so only new bytes are searched; with quotes, `open` says whether they start inside a pair.
  let open = false;
  for await (const bytes of readBytes(path, chunkBytes)) {
    const end = quoted ? lastRowEnd(bytes, open) : bytes.lastIndexOf(NEWLINE) + 1;
    if (quoted) open = open !== (countOf(bytes, QUOTE) % 2 === 1);
    if (end === 0) {
      rest.push(bytes);
      continue;
    }
    yield decode(joined([...rest, bytes.subarray(0, end)]));
    rest = [bytes.slice(end)];
  }
  const last = joined(rest);
  if (last.length > 0) yield decode(last);
}

async function* readBytes(path: string, chunkBytes: number): AsyncGenerator<Uint8Array> {
  const file = await platform.openFile(path);
  try {
    for (let at = 0; at < file.size; at += chunkBytes)
      yield await file.read(at, Math.min(chunkBytes, file.size - at));
  } finally {
    await file.close();
  }
  // A pipe has no size of its own.
  if (file.size === 0) yield new TextEncoder().encode(await platform.readText(path));
}

/** The byte after the last line end outside quotes, 0 where there is none. A doubled quote inside a pair leaves the parity as it is. */
function lastRowEnd(bytes: Uint8Array, openAtStart: boolean): number {
  let open = openAtStart;
  let end = 0;
  for (let i = 0; i < bytes.length; i += 1) {
    if (bytes[i] === QUOTE) open = !open;
    else if (bytes[i] === NEWLINE && !open) end = i + 1;
  }
  return end;
}

function countOf(bytes: Uint8Array, value: number): number {
  let count = 0;
  for (let at = bytes.indexOf(value); at >= 0; at = bytes.indexOf(value, at + 1)) count += 1;
  return count;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
