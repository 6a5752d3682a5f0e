/** Rows of labelled text from TSV, CSV and JSON-lines files. */

// The browser's build: the other one wants Node's Buffer.
import { parse } from 'csv-parse/browser/esm/sync';
import { platform } from '#platform';
import { DataError, FileError } from '../errors.ts';
import { type Chunk, type ChunkOptions, readChunks } from './chunks.ts';
import { type ColumnOptions, type Columns, chooseColumns, looksLikeHeader } from './columns.ts';

export type TableFormat = 'tsv' | 'csv' | 'jsonl';

export interface TableOptions extends ColumnOptions {
  /** From the file's ending where absent. */
  format?: TableFormat;
  /**
   * Whether the first row names the columns. Where absent: true if a column is chosen by name, or if the first row has a cell that is a
   * usual column name (text, sentence, label, …).
   */
  header?: boolean;
  /** Bytes read at a time. Default 4 MiB. */
  chunkBytes?: number;
}

export interface TextRow {
  /** May be empty: it is encoded as special tokens alone. */
  text: string;
  pair?: string;
  /** Several labels of a JSON list stand with commas between. Empty where the row has none. */
  label?: string;
  /** Line in the file, from 1, on which the row starts. */
  line: number;
}

export interface TextTable {
  path: string;
  rows: TextRow[];
}

/** Takes the pieces of a file one after the other. */
type RowReader = (chunk: Chunk) => TextRow[];

/**
 * Reads a file, piece by piece. TSV is taken as it stands, without quoting, as GLUE writes it; CSV with quotes. A byte-order mark is
 * dropped. Throws `FileError` for a missing file, `DataError` naming file, line and column for anything else.
 */
export async function readTable(path: string, options: TableOptions = {}): Promise<TextTable> {
  if (!(await platform.exists(path)))
    throw new FileError(`data file '${path}' does not exist`, { remedy: 'check the path' });
  const format = options.format ?? formatOf(path);
  const reader = format === 'jsonl' ? jsonReader(path, options) : cellReader(path, format, options);
  const chunks: ChunkOptions = {
    quoted: format === 'csv',
    ...(options.chunkBytes !== undefined && { chunkBytes: options.chunkBytes }),
  };
  const rows: TextRow[] = [];
  for await (const chunk of readChunks(path, chunks)) for (const row of reader(chunk)) rows.push(row);
  if (rows.length === 0)
    throw new DataError(`${path}: there are no rows`, { remedy: 'the file is empty, or has only a header' });
  if (options.header === undefined && rows[0]!.line === 1) checkFirstRow(path, rows);
  return { path, rows };
}

/** A header of unusual names would pass for a row, and its label for a class. Throws `DataError` where the first row looks like one. */
function checkFirstRow(path: string, [first, ...others]: readonly TextRow[]): void {
  const label = first!.label;
  if (label === undefined || others.length < 2) return;
  const counts = new Map<string, number>();
  for (const row of others) counts.set(row.label!, (counts.get(row.label!) ?? 0) + 1);
  const numbers = (text: string): boolean => text.trim() !== '' && Number.isFinite(Number(text));
  const odd = [...counts.keys()].every(numbers)
    ? !numbers(label)
    : !counts.has(label) && [...counts.values()].every((count) => count > 1);
  if (odd)
    throw new DataError(`${path}: the first row, labelled '${label}' unlike all others, may be a header`, {
      remedy: 'pass --header or --no-header (header: true or false)',
    });
}

function formatOf(path: string): TableFormat {
  const ending = /\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase();
  if (ending === 'tsv' || ending === 'csv') return ending;
  if (ending === 'jsonl' || ending === 'ndjson' || ending === 'json') return 'jsonl';
  throw new DataError(`${path}: cannot tell the format from the name`, {
    remedy: 'end the name with .tsv, .csv or .jsonl, or pass the format',
  });
}

interface Raw {
  cells: readonly string[];
  line: number;
}

function parseCells(path: string, { text, linesBefore }: Chunk, format: 'tsv' | 'csv'): Raw[] {
  try {
    const records = parse(text, {
      delimiter: format === 'tsv' ? '\t' : ',',
      record_delimiter: ['\r\n', '\n'],
      quote: format === 'tsv' ? null : '"',
      escape: format === 'tsv' ? null : '"',
      relax_column_count: true,
      skip_empty_lines: true,
      info: true,
    }) as unknown as { record: string[]; info: { lines: number } }[];
    return records.map(({ record, info }) => {
      // The parser counts to the row's last line.
      const inside = record.reduce((sum, cell) => sum + cell.split('\n').length - 1, 0);
      return { cells: record, line: linesBefore + info.lines - inside };
    });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const placed = message.replace(/\bat line (\d+)/, (_, line) => `at line ${linesBefore + Number(line)}`);
    throw new DataError(`${path}: ${placed}`, {
      remedy: 'put a text with quotes in double quotes, and double those inside',
      cause,
    });
  }
}

/** How a file's rows are taken apart, known once its first row is. */
interface CellLayout {
  columns: Columns;
  /** Cells that a row has at least. */
  least: number;
  /** Cells beyond this one are blank: text here would have moved the label. */
  most: number;
}

function cellReader(path: string, format: 'tsv' | 'csv', options: TableOptions): RowReader {
  let layout: CellLayout | null = null;
  return (chunk) => {
    let raw = parseCells(path, chunk, format);
    const first = raw[0];
    if (first === undefined) return [];
    if (layout === null) {
      const header = options.header ?? looksLikeHeader(first.cells, options);
      layout = cellLayout(path, first.cells, header, options);
      if (header) raw = raw.slice(1);
    }
    const { columns, least, most } = layout;
    return raw.map(({ cells, line }) => {
      checkWidth(path, format, { cells, line }, least, most);
      return {
        text: cells[columns.text]!,
        ...(columns.pair !== null && { pair: cells[columns.pair]! }),
        ...(columns.label !== null && { label: cells[columns.label]!.trim() }),
        line,
      };
    });
  };
}

function cellLayout(
  path: string,
  first: readonly string[],
  header: boolean,
  options: TableOptions,
): CellLayout {
  const columns = chooseColumns(path, first, header, options);
  const needed = Math.max(columns.text, columns.pair ?? 0, columns.label ?? 0) + 1;
  // Someone who numbers the columns of a file without a header may have rows of any width.
  const ragged = !header && options.textColumn !== undefined;
  return {
    columns,
    least: header ? first.length : needed,
    most: ragged ? Number.POSITIVE_INFINITY : first.length,
  };
}

function checkWidth(
  path: string,
  format: 'tsv' | 'csv',
  { cells, line }: Raw,
  least: number,
  most: number,
): void {
  const delimiter = format === 'tsv' ? '\t' : ',';
  const start = cells.join(delimiter).slice(0, 60);
  if (cells.length < least) {
    throw new DataError(
      `${path}: line ${line} has ${cells.length} columns, ${least} are needed: '${start}'`,
      { remedy: 'mend or remove the row' },
    );
  }
  if (cells.length > most && cells.slice(most).some((cell) => cell.trim() !== '')) {
    throw new DataError(
      `${path}: line ${line} has ${cells.length} columns, ${most} were expected: '${start}'`,
      { remedy: format === 'tsv' ? 'take the tab out of the text' : 'put the text in double quotes' },
    );
  }
}

function jsonReader(path: string, options: TableOptions): RowReader {
  let keys: string[] | null = null;
  let columns: Columns | null = null;
  return ({ text, linesBefore }) => {
    const rows: TextRow[] = [];
    for (const [index, source] of text.split('\n').entries()) {
      if (source.trim() === '') continue;
      const line = linesBefore + index + 1;
      const value = parseLine(path, source, line);
      keys ??= Object.keys(value);
      columns ??= chooseColumns(path, keys, true, options);
      const { pair, label } = columns;
      const textCell = (key: string): string => scalar(path, line, key, value[key]);
      rows.push({
        text: textCell(keys[columns.text]!),
        ...(pair !== null && { pair: textCell(keys[pair]!) }),
        ...(label !== null && { label: labelCell(path, line, keys[label]!, value[keys[label]!]) }),
        line,
      });
    }
    return rows;
  };
}

function scalar(path: string, line: number, key: string, value: unknown): string {
  if (value === undefined || value === null)
    throw new DataError(`${path}: line ${line} has no '${key}'`, {
      remedy: 'every line needs the same keys',
    });
  if (typeof value === 'object')
    throw new DataError(`${path}: line ${line} has a list or an object for '${key}'`, {
      remedy: 'use a string or a number',
    });
  return String(value);
}

function labelCell(path: string, line: number, key: string, value: unknown): string {
  const parts = Array.isArray(value) ? value : [value];
  return parts
    .map((part) => scalar(path, line, key, part))
    .join(',')
    .trim();
}

function parseLine(path: string, line: string, number: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new DataError(`${path}: line ${number} is not JSON: '${line.slice(0, 60)}'`, {
      remedy: 'write one object a line',
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DataError(`${path}: line ${number} is not a JSON object`, {
      remedy: 'write one object a line',
    });
  }
  return value as Record<string, unknown>;
}
