/** Reads the rows of JSON-lines files. */
import { DataError } from '../errors.ts';
import { type Columns, chooseColumns } from './columns.ts';
import type { LabelCell, LabelItem } from './label-cells.ts';
import type { RowReader, TableOptions, TextRow } from './table.ts';

export function jsonReader(path: string, options: TableOptions): RowReader {
  let keys: string[] = [];
  let columns: Columns | null = null;
  const reader: RowReader = {
    layout: null,
    read({ text, linesBefore }) {
      const rows: TextRow[] = [];
      for (const [index, source] of text.split('\n').entries()) {
        if (source.trim() === '') continue;
        const line = linesBefore + index + 1;
        const value = parseLine(path, source, line);
        if (columns === null) {
          keys = Object.keys(value);
          const { names, ...chosen } = chooseColumns(path, keys, true, options);
          columns = chosen;
          reader.layout = { format: 'jsonl', delimiter: null, header: true, columns: names };
        }
        const { pair, label } = columns;
        const textCell = (key: string): string => String(scalar(path, line, key, value[key]));
        rows.push({
          text: textCell(keys[columns.text]!),
          ...(pair !== null && { pair: textCell(keys[pair]!) }),
          ...(label !== null && {
            label:
              typeof label === 'number'
                ? labelCell(path, line, keys[label]!, value[keys[label]!], source)
                : label.map((at) => scalar(path, line, keys[at]!, value[keys[at]!])),
          }),
          line,
        });
      }
      return rows;
    },
  };
  return reader;
}

function scalar(path: string, line: number, key: string, value: unknown): LabelItem {
  if (value === undefined || value === null)
    throw new DataError(`${path}: line ${line} has no '${key}'`, {
      remedy: 'every line needs the same keys',
    });
  if (typeof value === 'object')
    throw new DataError(`${path}: line ${line} has a list or an object for '${key}'`, {
      remedy: 'use a string or a number',
    });
  return value as LabelItem;
}

function labelCell(path: string, line: number, key: string, value: unknown, source: string): LabelCell {
  if (Array.isArray(value)) {
    const odd = value.find((item) => item === null || typeof item === 'object');
    if (odd === undefined) return value as LabelItem[];
    throw new DataError(`${path}: line ${line} has ${JSON.stringify(odd)} in the list '${key}'`, {
      remedy: 'write strings or numbers, and nothing for no label',
    });
  }
  const item = scalar(path, line, key, value);
  // `JSON.parse` turns 3.0 into 3, losing that Python would read a float.
  return typeof item === 'number' ? (numberText(source, key) ?? String(item)) : String(item).trim();
}

const token = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s"{}[\]:,]+/g;

/** The source text of a key's value, if the value is a scalar. */
function numberText(source: string, key: string): string | undefined {
  const tokens = source.match(token) ?? [];
  let depth = 0;
  let found: string | undefined;
  for (const [at, part] of tokens.entries()) {
    if (part === '{' || part === '[') depth += 1;
    else if (part === '}' || part === ']') depth -= 1;
    // The last of several equal keys counts.
    else if (depth === 1 && tokens[at + 1] === ':' && JSON.parse(part) === key) found = tokens[at + 2];
  }
  return found;
}

export function parseLine(path: string, line: string, number: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new DataError(`${path}: line ${number} is not JSON: '${line.slice(0, 60)}'`, {
      remedy: remedyFor(line),
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DataError(`${path}: line ${number} is not a JSON object`, { remedy: remedyFor(line) });
  }
  return value as Record<string, unknown>;
}

function remedyFor(line: string): string {
  if (/^\s*\[/.test(line)) return 'write one object a line, or one list of objects for the whole file';
  if (/:\s*(NaN|-?Infinity)\b/.test(line)) return 'JSON has no NaN or Infinity: mend or remove the row';
  return 'write one object a line';
}
