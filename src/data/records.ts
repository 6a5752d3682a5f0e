/** Records of a file, whatever its format: JSON lines, a JSON array, CSV or TSV with a header. */
import { collected } from '../arrays.ts';
import { DataError } from '../errors.ts';
import { shownNames } from '../models/common/class-names.ts';
import { defined, type OptionNames } from '../options.ts';
import { parseCells, usualDelimiter } from './cells.ts';
import { type ReadOptions, readChunks } from './chunks.ts';
import { type ClassNames, nameOfClass } from './class-names.ts';
import { jsonEntries } from './json-entries.ts';
import { parseEntry, placeOf } from './json-rows.ts';
import { checkFile, formatOf, type TableFormat } from './table.ts';

/** Values by name, and their place in the file. */
export interface DataRecord {
  readonly values: Readonly<Record<string, unknown>>;
  /** For messages: `train.jsonl: line 3`. */
  readonly place: string;
}

export interface RecordOptions extends Pick<ReadOptions, 'encoding'> {
  /** Default: from the file's extension. */
  format?: TableFormat;
  /** Between the cells of CSV or TSV. */
  delimiter?: string;
  /** Names of classes by column, in files that hold their numbers. */
  classNames?: ClassNames;
}

export const recordOptionNames: OptionNames<RecordOptions> = {
  format: true,
  encoding: true,
  delimiter: true,
  classNames: true,
};

/**
 * Reads all records. A JSON file holds a record a line, an array of records, or an object whose `data` is
 * that array, as in SQuAD's files. Throws `FileError` for a missing file, and `DataError` naming the place of
 * what is no record.
 */
export async function readRecords(path: string, options: RecordOptions = {}): Promise<DataRecord[]> {
  return collected(recordsOf(path, options));
}

/** The records as they are read. Throws as `readRecords` does. */
export async function* recordsOf(path: string, options: RecordOptions): AsyncGenerator<DataRecord> {
  await checkFile(path);
  const format = options.format ?? formatOf(path);
  const records = format === 'jsonl' ? jsonRecords(path, options) : rowRecords(path, format, options);
  let count = 0;
  for await (const record of records) {
    count += 1;
    yield withNames(record, options.classNames, format !== 'jsonl');
  }
  if (count === 0) throw new DataError(`${path}: there are no records`, { remedy: 'check the file' });
}

function withNames(record: DataRecord, classNames: ClassNames | undefined, digits: boolean): DataRecord {
  if (classNames === undefined) return record;
  const named = Object.entries(classNames)
    .filter(([column]) => record.values[column] !== undefined)
    .map(([column, names]) => [column, nameOfClass(record.values[column], names, digits)]);
  return { ...record, values: { ...record.values, ...Object.fromEntries(named) } };
}

async function* jsonRecords(path: string, options: RecordOptions): AsyncGenerator<DataRecord> {
  for await (const entry of jsonEntries(path, readChunks(path, options)))
    yield { values: parseEntry(path, entry), place: placeOf(path, entry) };
}

async function* rowRecords(
  path: string,
  format: 'csv' | 'tsv',
  options: RecordOptions,
): AsyncGenerator<DataRecord> {
  const delimiter = options.delimiter ?? usualDelimiter[format];
  let names: string[] | null = null;
  for await (const chunk of readChunks(path, { ...options, quoted: format === 'csv' })) {
    if (chunk.text.trim() === '') continue;
    for (const { cells, line } of parseCells(path, chunk, format, delimiter)) {
      if (names === null) {
        names = cells.map((cell) => cell.trim());
        continue;
      }
      if (cells.length !== names.length)
        throw new DataError(`${path}: line ${line} has ${cells.length} columns, the header ${names.length}`, {
          remedy: `the columns are ${shownNames(names, 20)}`,
        });
      const values = Object.fromEntries(names.map((name, at) => [name, cells[at]]));
      yield { values, place: `${path}: line ${line}` };
    }
  }
}

/** What a table's options say about its records. */
export function recordOptions({ format, encoding, delimiter, classNames }: RecordOptions): RecordOptions {
  return defined({ format, encoding, delimiter, classNames });
}

/**
 * A column by its name, or by its number among a record's names; undefined if none is asked for. Throws
 * `DataError` for one that the record has not.
 */
export function columnIn(
  { values, place }: DataRecord,
  column: string | number | undefined,
): string | undefined {
  if (column === undefined) return undefined;
  const names = Object.keys(values);
  const name = typeof column === 'number' ? names[column] : column;
  if (name !== undefined && names.includes(name)) return name;
  throw new DataError(`${place} has no column '${column}'`, {
    remedy: `columns: ${names.slice(0, 20).join(', ')}`,
  });
}

/** The first of some names that a record has; undefined if it has none. */
export function nameIn({ values }: DataRecord, names: readonly string[]): string | undefined {
  const lower = new Map(Object.keys(values).map((name) => [name.toLowerCase(), name]));
  return names.map((name) => lower.get(name)).find((name) => name !== undefined);
}

/** A record's text. Throws `DataError` naming the place unless it is a string or a number. */
export function textIn({ values, place }: DataRecord, name: string): string {
  const value = values[name];
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw new DataError(
    `${place} has ${value === undefined || value === null ? 'no' : 'no text as'} '${name}'`,
    {
      remedy: 'give it a string',
    },
  );
}

/** A record's list. Throws `DataError` naming the place unless it is one. A cell may hold JSON. */
export function listIn({ values, place }: DataRecord, name: string): unknown[] {
  const value = values[name];
  if (Array.isArray(value)) return value;
  if (typeof value === 'string' && value.trimStart().startsWith('[')) {
    try {
      const parsed: unknown = JSON.parse(value);
      if (Array.isArray(parsed)) return parsed;
    } catch {
      // Reported below.
    }
  }
  throw new DataError(`${place}: '${name}' is no list`, { remedy: 'write a JSON list' });
}
