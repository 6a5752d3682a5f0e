/** Reads the rows of JSON-lines files. */
import { DataError } from '../errors.ts';
import { isObject, type JsonObject } from '../json.ts';
import { nameOfClass } from './class-names.ts';
import { type Columns, chooseColumns } from './columns.ts';
import type { JsonEntry } from './json-entries.ts';
import type { LabelCell, LabelItem } from './label-cells.ts';
import type { TableLayout, TableOptions, TextRow } from './table.ts';

export interface JsonReader {
  layout: TableLayout | null;
  read(entry: JsonEntry): TextRow;
}

export function jsonReader(path: string, options: TableOptions): JsonReader {
  let keys: string[] = [];
  let columns: Columns | null = null;
  const reader: JsonReader = {
    layout: null,
    read(entry) {
      const { text, line } = entry;
      const value = parseEntry(path, entry);
      if (columns === null) {
        keys = Object.keys(value);
        const { names, ...chosen } = chooseColumns(path, keys, true, options);
        columns = chosen;
        reader.layout = { format: 'jsonl', delimiter: null, header: true, columns: names };
      }
      const { pair, label } = columns;
      const names =
        label === null || typeof label !== 'number' ? undefined : options.classNames?.[keys[label]!];
      const named = (given: unknown): unknown => (names === undefined ? given : nameOfClass(given, names));
      const textCell = (key: string): string => String(scalar(path, line, key, value[key]));
      return {
        text: textCell(keys[columns.text]!),
        ...(pair !== null && { pair: textCell(keys[pair]!) }),
        ...(label !== null && {
          label:
            typeof label === 'number'
              ? labelCell(path, line, keys[label]!, named(value[keys[label]!]), text)
              : label.map((at) => scalar(path, line, keys[at]!, value[keys[at]!])),
        }),
        line,
      };
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

/** For messages: `train.json: entry 3`, `train.jsonl: line 3`. */
export const placeOf = (path: string, { line, entry }: JsonEntry): string =>
  `${path}: ${entry === null ? `line ${line}` : `entry ${entry}`}`;

/** Throws `DataError` unless the text is an object. */
export function parseEntry(path: string, entry: JsonEntry): JsonObject {
  const { text } = entry;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${placeOf(path, entry)} is not JSON: '${text.slice(0, 60)}'`, {
      remedy: remedyFor(text),
      cause,
    });
  }
  if (!isObject(value))
    throw new DataError(`${placeOf(path, entry)} is not a JSON object`, { remedy: remedyFor(text) });
  return value;
}

function remedyFor(line: string): string {
  if (/:\s*(NaN|-?Infinity)\b/.test(line)) return 'JSON has no NaN or Infinity: mend or remove the row';
  return 'write one object a line, or one list of objects for the whole file';
}
