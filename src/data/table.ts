/** Reads rows of labeled text from TSV, CSV and JSON-lines files. */

import { platform } from '#platform';
import { DataError, FileError } from '../errors.ts';
import { type Advice, checkOptions, type OptionNames } from '../options.ts';
import { cellReader } from './cells.ts';
import { type Chunk, type ReadOptions, readChunks } from './chunks.ts';
import { type ClassNames, nameOfClass } from './class-names.ts';
import { type ColumnNames, type ColumnOptions, columnOptionNames } from './columns.ts';
import { encodingNamed } from './encoding.ts';
import { jsonEntries } from './json-entries.ts';
import { jsonReader } from './json-rows.ts';
import type { LabelCell } from './label-cells.ts';
import { endingOf } from './packed.ts';

export type TableFormat = 'tsv' | 'csv' | 'jsonl';

export interface TableOptions extends ColumnOptions, ReadOptions {
  /** Default: from the file's extension. */
  format?: TableFormat;
  /** The character between cells. Default: tab or comma, or what splits a header into usual names. */
  delimiter?: string;
  /**
   * Whether the first row names the columns. Default: true if a column is chosen by name, or the first row
   * has a usual column name (text, sentence, label, …).
   */
  header?: boolean;
  /** Names of classes by column, in files that hold their numbers. */
  classNames?: ClassNames;
}

const tableOptionNames: OptionNames<TableOptions> = {
  ...columnOptionNames,
  format: true,
  delimiter: true,
  header: true,
  encoding: true,
  chunkBytes: true,
  classNames: true,
};

/** Remedies for pandas' names. */
const advice: Advice = { sep: 'its name is delimiter', names: 'name the columns: textColumn, labelColumn' };

export interface TextRow {
  /** May be empty, in which case only special tokens are encoded. */
  text: string;
  pair?: string;
  /** Empty if the row has none; a list if the file has lists or a column for each class. */
  label?: LabelCell;
  /** Line in the file, from 1, on which the row starts. */
  line: number;
}

/** How a file was read. */
export interface TableLayout {
  format: TableFormat;
  /** The delimiter between cells; null for JSON lines. */
  delimiter: string | null;
  /** Whether the first row, or the keys, named the columns. */
  header: boolean;
  columns: ColumnNames;
}

export interface TextTable {
  path: string;
  rows: TextRow[];
  /** Class names, if each class has its own column. */
  classes?: readonly string[];
  layout?: TableLayout;
  /** @internal All rows, if these are some of them: their labels say how the column is written. */
  whole?: TextTable;
}

/** Reads the chunks of a file in order; knows the layout once it has seen a row. */
export interface RowReader {
  layout: TableLayout | null;
  read(chunk: Chunk): TextRow[];
}

/**
 * Reads a file chunk by chunk. TSV has no quoting, as in GLUE; CSV does. A byte-order mark is dropped. Throws
 * `FileError` for a missing file, `ConfigError` for an unknown encoding, and `DataError` naming file, line
 * and column for anything else.
 */
export async function readTable(path: string, options: TableOptions = {}): Promise<TextTable> {
  return readTableAs(path, options, (row) => row);
}

/** @internal `readTable`, holding of each row what `keep` makes of it. */
export async function readTableAs(
  path: string,
  options: TableOptions,
  keep: (row: TextRow) => TextRow,
): Promise<TextTable> {
  const rows: TextRow[] = [];
  let layout: TableLayout | null = null;
  for await (const some of tableRows(path, options)) {
    layout = some.layout;
    for (const row of some.rows) rows.push(keep(row));
  }
  if (rows.length === 0 || layout === null)
    throw new DataError(`${path}: there are no rows`, { remedy: 'the file is empty, or has only a header' });
  if (options.header === undefined && !layout.header) checkFirstRow(path, rows);
  const { label } = layout.columns;
  return { path, rows, layout, ...(typeof label === 'object' && label !== null && { classes: label }) };
}

/** @internal The rows as they are read, some at a time. Throws like `readTable`. */
export async function* tableRows(
  path: string,
  options: TableOptions,
): AsyncGenerator<{ rows: TextRow[]; layout: TableLayout }> {
  checkOptions('readTable', options, tableOptionNames, advice);
  await checkFile(path);
  const { encoding, delimiter } = options;
  if (encoding !== undefined) encodingNamed(encoding);
  if (delimiter !== undefined && delimiter.length !== 1)
    throw new DataError(`the delimiter '${delimiter}' is not one character`, {
      remedy: "use ',', ';', or a tab",
    });
  const format = options.format ?? formatOf(path);
  const text = readChunks(path, { ...options, quoted: format === 'csv' });
  if (format === 'jsonl') {
    const reader = jsonReader(path, options);
    for await (const entry of jsonEntries(path, text))
      yield { rows: [reader.read(entry)], layout: reader.layout! };
  } else {
    const reader = cellReader(path, format, options);
    for await (const chunk of text) {
      const rows = reader.read(chunk);
      if (rows.length === 0) continue;
      const layout = reader.layout!;
      const { label } = layout.columns;
      nameClasses(rows, typeof label === 'string' ? options.classNames?.[label] : undefined);
      yield { rows, layout };
    }
  }
}

/** Puts names in place of classes' numbers in cells; a number without a name stays, and −1 is no label. */
function nameClasses(rows: readonly TextRow[], names: readonly string[] | undefined): void {
  if (names === undefined) return;
  for (const row of rows)
    if (row.label !== undefined) row.label = (nameOfClass(row.label, names, true) ?? '') as LabelCell;
}

/** Throws `FileError` unless there is a file. */
export async function checkFile(path: string): Promise<void> {
  if (!(await platform.exists(path)))
    throw new FileError(`data file '${path}' does not exist`, { remedy: 'check the path' });
  if (!platform.isRemote(path) && (await platform.isFolder(path)))
    throw new FileError(`'${path}' is a folder`, { remedy: 'give the data file in it' });
}

/**
 * Throws `DataError` if the first row looks like a header with unusual names, which would be read as data and
 * its label as a class.
 */
function checkFirstRow(path: string, [first, ...others]: readonly TextRow[]): void {
  const label = first!.label;
  if (typeof label !== 'string' || others.length < 2) return;
  const counts = new Map<string, number>();
  for (const row of others) counts.set(String(row.label), (counts.get(String(row.label)) ?? 0) + 1);
  const numbers = (text: string): boolean => text.trim() !== '' && Number.isFinite(Number(text));
  const odd = [...counts.keys()].every(numbers)
    ? !numbers(label)
    : !counts.has(label) && [...counts.values()].every((count) => count > 1);
  if (odd)
    throw new DataError(`${path}: the first row, labelled '${label}' unlike all others, may be a header`, {
      remedy: 'pass --header or --no-header (header: true or false)',
    });
}

export function formatOf(path: string): TableFormat {
  const ending = endingOf(path);
  if (ending === 'tsv' || ending === 'csv') return ending;
  if (['jsonl', 'ndjson', 'json', 'parquet'].includes(ending)) return 'jsonl';
  if (/^(zip|bz|xz|zst|z|xlsx?|ods|arrow|pkl)$/.test(ending) || /\.(bz2|7z)$/i.test(path))
    throw new DataError(`${path}: .${path.split('.').at(-1)} files are not read`, {
      remedy: 'unpack or export it as .tsv, .csv, .jsonl or .parquet',
    });
  throw new DataError(`${path}: cannot tell the format from the name`, {
    remedy:
      "end the name with .tsv, .csv, .jsonl or .parquet, or pass --format (format: 'tsv', 'csv' or 'jsonl')",
  });
}
