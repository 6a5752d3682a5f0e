/** Training files that are read anew each epoch, for data larger than memory. */
import type { StreamDataset } from '../data/stream.ts';
import type { Bound, Survey, Task } from './task.ts';

/**
 * Reads examples once. `thin` leaves of each what is decided from; what it gives for many examples should be
 * one object.
 */
export async function surveyed<E>(
  path: string,
  rows: () => AsyncIterable<E>,
  thin: (example: E) => E,
): Promise<Omit<Survey<E>, 'about'>> {
  const digest = new Digest();
  const examples: E[] = [];
  for await (const example of rows()) {
    digest.take(JSON.stringify(example));
    examples.push(thin(example));
  }
  return { path, examples, digest: `${digest}`, rows };
}

export interface StreamedFiles<E> {
  /** In order. */
  surveys: readonly Survey<E>[];
  /** Examples to take: the first ones. */
  count: number;
  bufferSize: number;
}

/**
 * A training's data from files. Examples are encoded when a batch needs them; those of a task with windows as
 * they are read, and once before, to count the windows.
 */
export async function streamFiles<E, F>(
  task: Task<E, F>,
  bound: Bound<E, F>,
  { surveys, count, bufferSize }: StreamedFiles<E>,
): Promise<StreamDataset<unknown, F>> {
  const examples = () => first(surveys, count);
  const about = {
    bufferSize,
    digest: surveys.map(({ digest }) => digest).join(' '),
    settings: bound.settings(surveys[0]!.examples),
  };
  const encode = (some: readonly E[]): F[] => {
    const features = bound.encode(some);
    return Array.from({ length: features.length }, (_, at) => features.get(at));
  };
  if (task.windows !== true)
    return { ...about, length: count, rows: examples, encode: encode as StreamDataset<unknown, F>['encode'] };
  const rows = async function* (): AsyncGenerator<F> {
    for await (const example of examples()) yield* encode([example]);
  };
  let length = 0;
  for await (const _ of rows()) length += 1;
  return { ...about, length, rows, encode: (features) => features as F[] };
}

async function* first<E>(surveys: readonly Survey<E>[], count: number): AsyncGenerator<E> {
  let left = count;
  for (const { rows } of surveys)
    for await (const row of rows()) {
      if (left === 0) return;
      left -= 1;
      yield row;
    }
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
