/** Files that hold text in another form: gzip and Parquet, told from their first bytes. */
import { platform } from '#platform';
import { joined } from '../arrays.ts';
import { ConfigError, DataError } from '../errors.ts';
import type { FileSource } from '../platform/contract.ts';
import { parquetLines } from './parquet.ts';

const GZIP = [0x1f, 0x8b, 8];
const PARQUET = [0x50, 0x41, 0x52, 0x31];

const begins = (bytes: Uint8Array, mark: readonly number[]): boolean =>
  mark.every((byte, at) => bytes[at] === byte);

/**
 * The bytes of a file's text, in order: unpacked if gzip packed it, JSON lines if it is Parquet. Throws
 * `DataError` for a damaged file, `ConfigError` for an `encoding` of Parquet.
 */
export async function* readBytes(
  path: string,
  { chunkBytes = 2 ** 22, encoding }: { chunkBytes?: number | undefined; encoding?: string | undefined },
): AsyncGenerator<Uint8Array> {
  const file = await platform.openFile(path);
  try {
    const chunks = chunksOf(file, chunkBytes);
    const front: Uint8Array[] = [];
    let known = 0;
    while (known < PARQUET.length) {
      const next = await chunks.next();
      if (next.done === true) break;
      front.push(next.value);
      known += next.value.length;
    }
    if (known === 0) return;
    const head = front.length === 1 ? front[0]! : joined(Uint8Array, front);
    if (begins(head, PARQUET)) {
      if (encoding !== undefined)
        throw new ConfigError(`${path} is Parquet, which is always UTF-8`, {
          remedy: 'leave --encoding out (encoding)',
        });
      yield* parquetLines(file);
    } else if (begins(head, GZIP)) yield* unpacked(path, head, chunks);
    else {
      yield head;
      yield* chunks;
    }
  } finally {
    await file.close();
  }
}

async function* chunksOf(file: FileSource, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.size; at += chunkBytes)
    yield await file.read(at, Math.min(chunkBytes, file.size - at));
}

async function* unpacked(
  path: string,
  head: Uint8Array,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let first: Uint8Array | null = head;
  const packed = new ReadableStream<BufferSource>({
    async pull(controller) {
      const value = first ?? (await rest.next()).value;
      first = null;
      if (value === undefined) controller.close();
      else controller.enqueue(value as BufferSource);
    },
  });
  const reader = packed.pipeThrough(new DecompressionStream('gzip')).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (cause) {
    throw new DataError(`${path} cannot be unpacked: the gzip file is damaged or cut off`, {
      remedy: 'copy or pack it again',
      cause,
    });
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** A file's ending in lower case, without the point; `gz` is looked through. Empty if there is none. */
export function endingOf(path: string): string {
  return /\.([a-z]+)$/i.exec(path.replace(/\.gz$/i, ''))?.[1]?.toLowerCase() ?? '';
}

/** What a file holds, by its format or else its name: JSON's records, rows of cells, or lines of text. */
export function kindOfFile(path: string, format?: string): 'json' | 'rows' | 'lines' {
  const ending = format ?? endingOf(path);
  if (/^(jsonl|ndjson|json|parquet)$/.test(ending)) return 'json';
  return /^(tsv|csv)$/.test(ending) ? 'rows' : 'lines';
}
