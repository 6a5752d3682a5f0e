/** The objects of a JSON file: one a line, or the entries of a list, with their text as it is written. */
import { DataError } from '../errors.ts';
import { isObject } from '../json.ts';
import type { Chunk } from './chunks.ts';

export interface JsonEntry {
  text: string;
  /** Line in the file, from 1, on which it begins. */
  line: number;
  /** Number in the list, from 1; null if the file has an object a line. */
  entry: number | null;
}

/**
 * Yields objects in order: a line each, the entries of a list, or those of an object's list `data`, as in
 * SQuAD's files. Only the text of a list is held as a whole. Throws `DataError` for a list without an end,
 * and for an object over several lines without `data`.
 */
export async function* jsonEntries(path: string, chunks: AsyncIterable<Chunk>): AsyncGenerator<JsonEntry> {
  let document: boolean | null = null;
  const held: string[] = [];
  for await (const { text, linesBefore } of chunks) {
    document ??= text.trim() === '' ? null : isDocument(text);
    if (document !== true) yield* lines(text, linesBefore);
    else held.push(text);
  }
  if (document === true) yield* listEntries(path, held.join(''));
}

function* lines(text: string, linesBefore: number): Generator<JsonEntry> {
  for (const [at, line] of text.split('\n').entries())
    if (line.trim() !== '') yield { text: line, line: linesBefore + at + 1, entry: null };
}

/** Whether a file is one JSON value, rather than one a line. */
function isDocument(text: string): boolean {
  const [first = '', ...others] = text.split('\n').filter((line) => line.trim() !== '');
  if (/^\s*\[/.test(first)) return true;
  try {
    const value: unknown = JSON.parse(first);
    return others.length === 0 && isObject(value) && Array.isArray(value.data);
  } catch {
    // A line that is broken and yet whole belongs to JSON lines, whose reader names it.
    return /^\s*\{\s*$|^\s*\{\s*"[^"]*"\s*:\s*[[{]?\s*$|"data"\s*:\s*\[/.test(first);
  }
}

const part = /"(?:[^"\\]|\\.)*"|[{}[\],\n]/g;

function* listEntries(path: string, text: string): Generator<JsonEntry> {
  const isList = text.trimStart().startsWith('[');
  // Depth at which the list opens: of `data` once it is found, of none once it has closed.
  let list = isList ? 0 : Number.POSITIVE_INFINITY;
  let [depth, line, entry, start, found] = [0, 1, 0, 0, false];
  for (const { 0: token, index } of text.matchAll(part)) {
    if (token === '\n') line += 1;
    else if (token === '{' || token === '[') {
      if (!found && depth === 1 && token === '[' && opensData(text, index)) list = 1;
      if (depth === list) [start, found] = [index + 1, true];
      depth += 1;
    } else if (token === '}' || token === ']' || (token === ',' && depth === list + 1)) {
      if (token !== ',') depth -= 1;
      if (depth === list || token === ',') {
        const value = text.slice(start, index);
        start = index + 1;
        if (token === ',' || value.trim() !== '') {
          entry += 1;
          const lines = value.trimStart().match(/\n/g)?.length ?? 0;
          yield { text: value.trim(), line: line - lines, entry };
        }
        if (token !== ',') list = Number.POSITIVE_INFINITY;
      }
      if (depth === 0) return checkEnd(path, found, text.slice(index + 1), line);
    }
  }
  throw new DataError(`${path}: the JSON ${isList ? 'list' : 'object'} has no end`, {
    remedy: 'the file may be cut off',
  });
}

const opensData = (text: string, at: number): boolean =>
  /"data"\s*:\s*$/.test(text.slice(Math.max(0, at - 100), at));

function checkEnd(path: string, found: boolean, rest: string, line: number): void {
  const remedy = 'write an array of objects, or one object a line';
  if (!found) throw new DataError(`${path}: the object has no list 'data'`, { remedy });
  if (rest.trim() !== '')
    throw new DataError(`${path}: something follows the end of the JSON, from line ${line} on`, { remedy });
}
