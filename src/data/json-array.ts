/** A JSON array of objects as JSON lines, without a loss of how its numbers are written. */
import { DataError } from '../errors.ts';
import type { Chunk } from './chunks.ts';

/** Passes JSON lines on; of an array, each entry becomes a chunk. Throws `DataError` for an array without end. */
export async function* jsonLines(path: string, chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk> {
  let isArray: boolean | null = null;
  const held: string[] = [];
  for await (const chunk of chunks) {
    isArray ??= chunk.text.trim() === '' ? null : chunk.text.trimStart().startsWith('[');
    if (isArray === true) held.push(chunk.text);
    else yield chunk;
  }
  if (isArray === true) yield* entries(path, held.join(''));
}

const part = /"(?:[^"\\]|\\.)*"|[{}[\],\n]/g;

function* entries(path: string, text: string): Generator<Chunk> {
  let [depth, line, start, linesBefore] = [0, 0, -1, 0];
  const entry = (end: number): Chunk => ({
    // A string holds no line end.
    text: `${text.slice(start, end).replaceAll('\n', ' ').trim()}\n`,
    linesBefore,
  });
  for (const { 0: token, index } of text.matchAll(part)) {
    if (token === '\n') line += 1;
    else if (token === '{' || token === '[') {
      if (depth === 1 && start < 0) [start, linesBefore] = [index, line];
      depth += 1;
    } else if (token === '}' || token === ']') {
      depth -= 1;
      if (depth === 1 && start >= 0) {
        yield entry(index + 1);
        start = -1;
      }
      if (depth === 0 && text.slice(index + 1).trim() === '') return;
    } else if (depth === 1 && token !== ',')
      throw new DataError(
        `${path}: line ${line + 1} has ${token.slice(0, 40)} in the list, which is no object`,
        {
          remedy: 'write a list of objects, or one object a line',
        },
      );
  }
  throw new DataError(`${path}: the JSON list has no end`, { remedy: 'the file may be cut off' });
}
