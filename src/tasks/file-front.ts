/** The beginning of a data file, by which tasks recognize their own. */
import { readChunks } from '../data/chunks.ts';
import { kindOfFile } from '../data/packed.ts';
import type { RecordOptions } from '../data/records.ts';
import { checkFile } from '../data/table.ts';

export interface FileFront {
  path: string;
  /** JSON of any kind, rows of cells, or plain lines. */
  kind: 'json' | 'rows' | 'lines';
  /** Names in lower case: of JSON's values, or the cells of the first row. */
  names: ReadonlySet<string>;
  /** The first lines, without blank ones. */
  lines: readonly string[];
  text: string;
}

const FRONT_BYTES = 2 ** 16;
const FRONT_LINES = 200;

/** Reads the front of a file. Throws `FileError` for a missing file, and `DataError` if it is not text. */
export async function readFront(path: string, options: RecordOptions = {}): Promise<FileFront> {
  await checkFile(path);
  const { format, encoding, delimiter } = options;
  const kind = kindOfFile(path, format);
  let text = '';
  for await (const chunk of readChunks(path, { chunkBytes: FRONT_BYTES, ...(encoding && { encoding }) })) {
    ({ text } = chunk);
    break;
  }
  const lines = text
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line) => line.trim() !== '')
    .slice(0, FRONT_LINES);
  const cells = (lines[0] ?? '').split(delimiter ?? /[\t,;|]/);
  const names =
    kind === 'json'
      ? [...text.slice(0, FRONT_BYTES).matchAll(/"(\w+)"\s*:/g)].map(([, name]) => name!)
      : cells.map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'));
  return { path, kind, names: new Set(names.map((name) => name.toLowerCase())), lines, text };
}

/** The first of some names that a file has; undefined if it has none. */
export function nameOf({ names }: FileFront, some: readonly string[]): string | undefined {
  return some.find((name) => names.has(name));
}
