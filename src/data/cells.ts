/** Reads the rows of TSV and CSV files. */

import { parse } from '#csv';
import { DataError } from '../errors.ts';
import type { Chunk } from './chunks.ts';
import { type Columns, chooseColumns, hasColumnName, looksLikeHeader } from './columns.ts';
import type { RowReader, TableOptions } from './table.ts';

export interface Raw {
  cells: string[];
  line: number;
}

export const usualDelimiter = { tsv: '\t', csv: ',' };
const delimiterNames: Record<string, string> = {
  '\t': 'tabs',
  ',': 'commas',
  ';': 'semicolons',
  '|': 'bars',
  ' ': 'blanks',
};

export function delimiterName(delimiter: string): string {
  return delimiterNames[delimiter] ?? `'${delimiter}'`;
}

/** How to split a file's rows into cells, determined by its first row. */
interface CellLayout {
  columns: Columns;
  /** The first row, if it names the columns. */
  header: readonly string[] | null;
  /** Minimum number of cells in a row. */
  least: number;
  /** Cells beyond this number must be blank: text there would mean that the label has shifted. */
  most: number;
}

export function cellReader(path: string, format: 'tsv' | 'csv', options: TableOptions): RowReader {
  let layout: CellLayout | null = null;
  let delimiter: string | null = null;
  const reader: RowReader = {
    layout: null,
    read(chunk) {
      if (chunk.text.trim() === '') return [];
      let part = chunk;
      if (delimiter === null) {
        const found = delimiterOf(path, format, chunk.text, options);
        delimiter = found.delimiter;
        if (found.skipped > 0)
          part = { text: chunk.text.slice(found.skipped), linesBefore: chunk.linesBefore + 1 };
      }
      let raw = parseCells(path, part, format, delimiter);
      const first = raw[0];
      if (first === undefined) return [];
      if (layout === null) {
        const header = options.header ?? looksLikeHeader(first.cells, options);
        const { names, ...columns } = chooseColumns(path, first.cells, header, options);
        layout = {
          columns,
          header: header ? first.cells : null,
          ...widths(columns, first.cells.length, header, options),
        };
        reader.layout = { format, delimiter, header, columns: names };
        if (header) raw = raw.slice(1);
      }
      const [between, found] = [delimiter, layout];
      const { text, pair, label } = found.columns;
      return raw.map((row) => {
        checkWidth(path, between, row, found);
        if (found.header !== null) checkRepeated(path, row, found.header);
        const { cells, line } = row;
        return {
          text: cells[text]!,
          ...(pair !== null && { pair: cells[pair]! }),
          ...(label !== null && {
            label: typeof label === 'number' ? cells[label]!.trim() : label.map((at) => cells[at]!.trim()),
          }),
          line,
        };
      });
    },
  };
  return reader;
}

/**
 * The delimiter between cells: the one given, the one in Excel's first line `sep=;`, the usual one, or
 * another by which the first row holds column names. Throws `DataError` if another one seems to separate the
 * cells. The first `skipped` characters are not part of a row.
 */
function delimiterOf(
  path: string,
  format: 'tsv' | 'csv',
  text: string,
  options: TableOptions,
): { delimiter: string; skipped: number } {
  const usual = usualDelimiter[format];
  const marked = format === 'csv' ? /^"?sep=(.)"?\r?(\n|$)/i.exec(text) : null;
  const asked = options.delimiter ?? marked?.[1];
  if (asked !== undefined) return { delimiter: asked, skipped: marked?.[0].length ?? 0 };
  const lines = text
    .split('\n', 21)
    .map((line) => line.replace(/\r$/, ''))
    .filter((line) => line !== '');
  const cellsBy = (line: string, delimiter: string): string[] =>
    line.split(delimiter).map((cell) => cell.replace(/^"(.*)"$/, '$1'));
  const first = lines[0] ?? '';
  const taken = { delimiter: usual, skipped: 0 };
  if (first.includes(usual) || hasColumnName(cellsBy(first, usual), options)) return taken;
  for (const delimiter of ['\t', ';', ',', '|']) {
    const width = cellsBy(first, delimiter).length;
    if (width === 1) continue;
    const named = hasColumnName(cellsBy(first, delimiter), options);
    if (named && format === 'csv') return { delimiter, skipped: 0 };
    const alike = lines.length > 1 && lines.every((line) => cellsBy(line, delimiter).length === width);
    if (!named && !alike) continue;
    const remedy =
      format === 'tsv' && delimiter === ','
        ? 'pass --format csv'
        : `pass --delimiter '${delimiter}' (delimiter), or --delimiter '${usual === '\t' ? 'tab' : usual}' if they are part of the text`;
    throw new DataError(
      `${path}: the rows have one column by ${delimiterName(usual)}, and ${width} by ${delimiterName(delimiter)}`,
      { remedy },
    );
  }
  return taken;
}

export function parseCells(path: string, chunk: Chunk, format: 'tsv' | 'csv', delimiter: string): Raw[] {
  const raw = format === 'tsv' ? plainCells(chunk, delimiter) : quotedCells(path, chunk, delimiter);
  for (const { cells } of raw) {
    // Some programs end a line with two carriage returns.
    const last = cells.length - 1;
    if (cells[last]!.endsWith('\r')) cells[last] = cells[last]!.replace(/\r+$/, '');
  }
  return raw;
}

function plainCells({ text, linesBefore }: Chunk, delimiter: string): Raw[] {
  const raw: Raw[] = [];
  for (const [index, line] of text.split('\n').entries())
    if (line !== '' && line !== '\r')
      raw.push({ cells: line.split(delimiter), line: linesBefore + index + 1 });
  return raw;
}

function quotedCells(path: string, { text, linesBefore }: Chunk, delimiter: string): Raw[] {
  try {
    const records = parse(text, {
      delimiter,
      record_delimiter: ['\r\n', '\n'],
      relax_column_count: true,
      skip_empty_lines: true,
      info: true,
    }) as unknown as { record: string[]; info: { lines: number } }[];
    return records.map(({ record, info }) => {
      // The parser reports the last line of a row.
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

/** Rejects a repeated header, as left by concatenating files: it would add a class named like the column. */
function checkRepeated(path: string, { cells, line }: Raw, header: readonly string[]): void {
  if (cells.every((cell, at) => cell.replace(/^\uFEFF/, '') === header[at]))
    throw new DataError(`${path}: line ${line} repeats the header`, { remedy: 'remove the row' });
}

function widths(
  columns: Columns,
  width: number,
  header: boolean,
  options: TableOptions,
): Pick<CellLayout, 'least' | 'most'> {
  const needed = Math.max(columns.text, columns.pair ?? 0, ...[columns.label ?? 0].flat()) + 1;
  // A file without a header, whose columns are chosen by number, may have rows of any width.
  const ragged = !header && options.textColumn !== undefined;
  return { least: header ? width : needed, most: ragged ? Number.POSITIVE_INFINITY : width };
}

function checkWidth(
  path: string,
  delimiter: string,
  { cells, line }: Raw,
  { least, most }: CellLayout,
): void {
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
      { remedy: delimiter === '\t' ? 'take the tab out of the text' : 'put the text in double quotes' },
    );
  }
}
