/** Training files that are read anew each epoch, for data larger than memory. */
import type { StreamDataset } from '../data/stream.ts';
import type { TableOptions } from '../data/table.ts';
import { DataError, UsageError } from '../errors.ts';
import type { Bound, Streaming, Task } from './task.ts';

/**
 * How a task reads a file without holding it. Throws `UsageError` for a task that needs all examples at once.
 */
export function streamingOf<E>(task: Task<E>): Streaming<E> {
  if (task.streaming !== undefined) return task.streaming;
  throw new UsageError(`--streaming: ${task.name} needs all examples at once`, { remedy: 'leave it out' });
}

export interface StreamedFiles {
  /** In order. */
  paths: readonly string[];
  options: TableOptions;
  /** Examples to take: as many as there are, or the first ones. */
  length: number;
  bufferSize: number;
  /** Of the survey. */
  digest: string;
}

/** A training's data from files, whose examples are encoded when a batch needs them. */
export function streamFiles<E, F>(
  task: Task<E, F>,
  bound: Bound<E, F>,
  { paths, options, length, bufferSize, digest }: StreamedFiles,
): StreamDataset<E, F> {
  const { rows } = streamingOf(task);
  return {
    length,
    bufferSize,
    digest,
    async *rows() {
      let left = length;
      for (const path of paths)
        for await (const row of rows(path, options)) {
          if (left === 0) return;
          left -= 1;
          yield row;
        }
    },
    encode(examples) {
      const features = bound.encode(examples);
      if (features.length !== examples.length)
        throw new DataError(`${task.name}: ${features.length} features of ${examples.length} rows`);
      return examples.map((_, at) => features.get(at));
    },
  };
}

/** FNV-1a of numbers and texts. */
export class Digest {
  private hash = 0x811c9dc5;

  take(text: string): void {
    for (let at = 0; at < text.length; at += 1)
      this.hash = Math.imul(this.hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  }

  toString(): string {
    return this.hash.toString(16).padStart(8, '0');
  }
}
