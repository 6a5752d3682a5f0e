/** Rows of labelled text from TSV, CSV and JSON-lines files. */
import { platform } from '#platform';
import { parse } from 'csv-parse/sync';
import { DataError, FileError } from '../errors.ts';

export type TableFormat = 'tsv' | 'csv' | 'jsonl';

export interface TableOptions {
  /** From the file's ending where absent. */
  format?: TableFormat;
  /**
   * Whether the first row names the columns. Where absent: true if a column is chosen by name, or if the first row has a cell that is a
   * usual column name (text, sentence, label, …).
   */
  header?: boolean;
  /** Columns by name, or by number from 0. */
  textColumn?: string | number;
  textPairColumn?: string | number;
  labelColumn?: string | number;
  /** Throw where there is no label column. Default false. */
  requireLabels?: boolean;
}

export interface TextRow {
  text: string;
  pair?: string;
  label?: string;
  /** Line in the file, from 1. */
  line: number;
}

export interface TextTable {
  path: string;
  rows: TextRow[];
}

/** Usual names of the text column, each with its pair's. */
const TEXT_NAMES: readonly (readonly [string, string?])[] = [
  ['sentence'], ['sentence1', 'sentence2'], ['text'], ['#1 string', '#2 string'], ['question1', 'question2'],
  ['premise', 'hypothesis'], ['question', 'sentence'], ['text_a', 'text_b'], ['review'], ['content'],
];
const LABEL_NAMES = ['label', 'labels', 'score', 'quality', 'gold_label', 'is_duplicate', 'class', 'sentiment'];

interface Raw {
  cells: readonly string[];
  line: number;
}

interface Columns {
  text: number;
  pair: number | null;
  label: number | null;
  /** For messages. */
  names: readonly string[] | null;
}

/**
 * Reads a file. TSV is taken as it stands, without quoting, as GLUE writes it; CSV with quotes. A byte-order mark is dropped.
 * Throws `FileError` for a missing file, `DataError` naming file, line and column for anything else.
 */
export async function readTable(path: string, options: TableOptions = {}): Promise<TextTable> {
  if (!(await platform.exists(path))) throw new FileError(`data file '${path}' does not exist`, { remedy: 'check the path' });
  const text = (await platform.readText(path)).replace(/^\uFEFF/, '');
  const format = options.format ?? formatOf(path);
  const rows = format === 'jsonl' ? jsonRows(path, text, options) : cellRows(path, text, format, options);
  if (rows.length === 0) throw new DataError(`${path}: there are no rows`, { remedy: 'the file is empty, or has only a header' });
  return { path, rows };
}

function formatOf(path: string): TableFormat {
  const ending = /\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase();
  if (ending === 'tsv' || ending === 'csv') return ending;
  if (ending === 'jsonl' || ending === 'ndjson' || ending === 'json') return 'jsonl';
  throw new DataError(`${path}: cannot tell the format from the name`, { remedy: 'end the name with .tsv, .csv or .jsonl, or pass the format' });
}

function parseCells(path: string, text: string, format: 'tsv' | 'csv'): Raw[] {
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
    return records.map(({ record, info }) => ({ cells: record, line: info.lines }));
  } catch (cause) {
    throw new DataError(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function cellRows(path: string, text: string, format: 'tsv' | 'csv', options: TableOptions): TextRow[] {
  const raw = parseCells(path, text, format);
  const first = raw[0];
  if (first === undefined) return [];
  const header = options.header ?? looksLikeHeader(first.cells, options);
  const columns = chooseColumns(path, first.cells, header, options);
  const least = Math.max(columns.text, columns.pair ?? 0, columns.label ?? 0) + 1;
  const width = header ? Math.max(first.cells.length, least) : least;
  return raw.slice(header ? 1 : 0).map(({ cells, line }) => {
    if (cells.length < width) {
      const start = cells.join(format === 'tsv' ? '\t' : ',').slice(0, 60);
      throw new DataError(`${path}: line ${line} has ${cells.length} columns, ${width} are needed: '${start}'`, {
        remedy: 'mend or remove the row',
      });
    }
    return {
      text: cells[columns.text]!,
      ...(columns.pair !== null && { pair: cells[columns.pair]! }),
      ...(columns.label !== null && { label: checkLabel(path, line, cells[columns.label]!) }),
      line,
    };
  });
}

function checkLabel(path: string, line: number, label: string): string {
  if (label.trim() === '') throw new DataError(`${path}: line ${line} has no label`, { remedy: 'label or remove the row' });
  return label.trim();
}

function looksLikeHeader(cells: readonly string[], options: TableOptions): boolean {
  const byName = [options.textColumn, options.textPairColumn, options.labelColumn].some((column) => typeof column === 'string');
  const usual = new Set([...TEXT_NAMES.flat(), ...LABEL_NAMES]);
  return byName || cells.some((cell) => usual.has(cell.trim().toLowerCase()));
}

function chooseColumns(path: string, cells: readonly string[], header: boolean, options: TableOptions): Columns {
  const names = header ? cells.map((cell) => cell.trim()) : null;
  const find = (column: string | number | undefined): number | null => {
    if (column === undefined) return null;
    const at = typeof column === 'number' ? column : (names?.indexOf(column) ?? -1);
    if (!Number.isInteger(at) || at < 0 || at >= cells.length) throw unknownColumn(path, column, names, cells.length);
    return at;
  };
  const guess = guessColumns(names, cells.length);
  const text = find(options.textColumn) ?? guess.text;
  if (text === null) {
    throw new DataError(`${path}: cannot tell which column holds the text`, {
      remedy: `name it with --text-column (${describeColumns(names, cells.length)})`,
    });
  }
  // A pair is guessed only along with its first text.
  const pair = find(options.textPairColumn) ?? (options.textColumn === undefined ? guess.pair : null);
  const label = find(options.labelColumn) ?? guess.label;
  if (label === null && options.requireLabels === true) {
    throw new DataError(`${path}: cannot tell which column holds the label`, {
      remedy: `name it with --label-column (${describeColumns(names, cells.length)})`,
    });
  }
  return { text, pair, label, names };
}

function guessColumns(names: readonly string[] | null, width: number): { text: number | null; pair: number | null; label: number | null } {
  if (names === null) return { text: width <= 2 ? 0 : null, pair: null, label: width === 2 ? 1 : null };
  const lower = names.map((name) => name.toLowerCase());
  const at = (name: string | undefined): number | null => (name === undefined || !lower.includes(name) ? null : lower.indexOf(name));
  const match = TEXT_NAMES.find(([text, pair]) => at(text) !== null && (pair === undefined || at(pair) !== null));
  const label = LABEL_NAMES.map(at).find((index) => index !== null) ?? null;
  return { text: at(match?.[0]), pair: at(match?.[1]), label };
}

function describeColumns(names: readonly string[] | null, width: number): string {
  return names === null ? `columns 0 to ${width - 1}` : `columns: ${names.join(', ')}`;
}

function unknownColumn(path: string, column: string | number, names: readonly string[] | null, width: number): DataError {
  return new DataError(`${path}: there is no column '${column}'`, { remedy: describeColumns(names, width) });
}

function jsonRows(path: string, text: string, options: TableOptions): TextRow[] {
  const rows: { value: Record<string, unknown>; line: number }[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    rows.push({ value: parseLine(path, line, index + 1), line: index + 1 });
  }
  const first = rows[0];
  if (first === undefined) return [];
  const keys = Object.keys(first.value);
  const { text: textAt, pair, label } = chooseColumns(path, keys, true, options);
  const cell = (row: { value: Record<string, unknown>; line: number }, index: number): string => {
    const value = row.value[keys[index]!];
    if (Array.isArray(value)) return value.join(',');
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      throw new DataError(`${path}: line ${row.line} has no '${keys[index]}'`, { remedy: 'every line needs the same keys' });
    }
    return String(value);
  };
  return rows.map((row) => ({
    text: cell(row, textAt),
    ...(pair !== null && { pair: cell(row, pair) }),
    ...(label !== null && { label: checkLabel(path, row.line, cell(row, label)) }),
    line: row.line,
  }));
}

function parseLine(path: string, line: string, number: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new DataError(`${path}: line ${number} is not JSON: '${line.slice(0, 60)}'`, { remedy: 'write one object a line', cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DataError(`${path}: line ${number} is not a JSON object`, { remedy: 'write one object a line' });
  }
  return value as Record<string, unknown>;
}
