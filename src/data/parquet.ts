/** Parquet files as JSON lines, a row each. The packages that read them are loaded when one is met. */
import type { AsyncBuffer, FileMetaData } from 'hyparquet';
import { ConfigError, DataError } from '../errors.ts';
import type { FileSource } from '../platform/contract.ts';
import { classNamesIn, nameOfClass } from './class-names.ts';

/** How a column's values are written as JSON. */
interface Column {
  /** Names of classes, which the hub's files have as numbers. */
  names: readonly string[] | null;
  /** Keeps the decimal point of whole numbers, which tells values from classes. */
  isFloat: boolean;
}

async function packages() {
  try {
    const [hyparquet, { compressors }] = await Promise.all([
      import('hyparquet'),
      import('hyparquet-compressors'),
    ]);
    return { ...hyparquet, compressors };
  } catch (cause) {
    throw new ConfigError('Parquet files need the packages hyparquet and hyparquet-compressors', {
      remedy: 'npm install hyparquet hyparquet-compressors',
      cause,
    });
  }
}

function bufferOf(file: FileSource): AsyncBuffer {
  const slice = async (start: number, end = file.size): Promise<ArrayBuffer> => {
    const from = start < 0 ? file.size + start : start;
    const bytes = await file.read(from, Math.min(end, file.size) - from);
    return bytes.slice().buffer as ArrayBuffer;
  };
  return { byteLength: file.size, slice };
}

/** The names of classes by column, as the hub's `datasets` keeps them in a file's metadata. */
function classNames({ key_value_metadata }: FileMetaData): ReadonlyMap<string, readonly string[]> {
  const text = key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return new Map();
  try {
    const { info } = JSON.parse(text) as { info?: { features?: Record<string, unknown> } };
    return new Map(
      Object.entries(info?.features ?? {}).flatMap(([column, given]) => {
        const names = classNamesIn(given);
        return names === null ? [] : [[column, names] as const];
      }),
    );
  } catch {
    // Somebody else's metadata.
    return new Map();
  }
}

function columnsOf(metadata: FileMetaData): Map<string, Column> {
  const names = classNames(metadata);
  const [root, ...elements] = metadata.schema;
  const columns = new Map<string, Column>();
  let at = 0;
  // Elements are in depth-first order.
  const skip = (count: number): void => {
    for (let child = 0; child < count; child += 1) skip(elements[at++]!.num_children ?? 0);
  };
  for (let child = 0; child < (root?.num_children ?? 0); child += 1) {
    const { name, type, num_children: children = 0 } = elements[at++]!;
    columns.set(name, { names: names.get(name) ?? null, isFloat: type === 'DOUBLE' || type === 'FLOAT' });
    skip(children);
  }
  return columns;
}

/** A value as JSON has it: a class by its name; numbers out of 64 bits if they are safe, else as text. */
function plain(value: unknown, names: Column['names']): unknown {
  if (Array.isArray(value)) return value.map((item) => plain(item, names));
  if (value instanceof Uint8Array || value === undefined) return null;
  if (value === null || value instanceof Date || typeof value === 'string') return value;
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? plain(number, names) : String(value);
  }
  if (typeof value === 'number') return names === null ? value : nameOfClass(value, names);
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, null)]));
  return value;
}

function lineOf(row: Readonly<Record<string, unknown>>, columns: ReadonlyMap<string, Column>): string {
  const cells = Object.entries(row).map(([name, value]) => {
    const { names = null, isFloat = false } = columns.get(name) ?? {};
    const json = JSON.stringify(plain(value, names));
    return `${JSON.stringify(name)}:${isFloat && /^-?\d+$/.test(json) ? `${json}.0` : json}`;
  });
  return `{${cells.join(',')}}\n`;
}

const ROWS_AT_ONCE = 2000;

/**
 * Yields the rows as JSON lines in UTF-8. Throws `DataError` for a file that is damaged, `ConfigError` if the
 * packages are missing.
 */
export async function* parquetLines(file: FileSource): AsyncGenerator<Uint8Array> {
  const { parquetMetadataAsync, parquetReadObjects, compressors } = await packages();
  const encoder = new TextEncoder();
  const buffer = bufferOf(file);
  try {
    const metadata = await parquetMetadataAsync(buffer);
    const columns = columnsOf(metadata);
    const total = Number(metadata.num_rows);
    for (let rowStart = 0; rowStart < total; rowStart += ROWS_AT_ONCE) {
      const rowEnd = Math.min(rowStart + ROWS_AT_ONCE, total);
      const rows = await parquetReadObjects({ file: buffer, metadata, compressors, rowStart, rowEnd });
      yield encoder.encode(rows.map((row) => lineOf(row, columns)).join(''));
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`${file.path} cannot be read as Parquet: ${reason}`, {
      remedy: 'write the file again, or export it as .jsonl',
      cause,
    });
  }
}
