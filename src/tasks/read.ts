/** Reads the files of a task: several at once, by patterns, and a part of them held out. */
import { platform } from '#platform';
import { globPattern, isPattern } from '../data/glob.ts';
import { Random } from '../data/random.ts';
import type { TableOptions } from '../data/table.ts';
import { FileError } from '../errors.ts';
import { check } from '../options.ts';
import { type Reading, readFor } from './registry.ts';
import type { Task, TaskFile } from './task.ts';

/** Turns `*` and `?` in the last part of a path into the names that are there, sorted. */
async function expand(path: string): Promise<string[]> {
  const at = path.lastIndexOf('/') + 1;
  const [folder, pattern] = [path.slice(0, at) || '.', path.slice(at)];
  if (!isPattern(pattern) || (await platform.exists(path))) return [path];
  const wanted = globPattern(pattern);
  const names = (await platform.isFolder(folder)) ? await platform.list(folder) : [];
  const found = names.filter((name) => !name.startsWith('.') && wanted.test(name));
  if (found.length === 0) throw new FileError(`no file is called '${path}'`, { remedy: 'check the pattern' });
  return found.map((name) => path.slice(0, at) + name);
}

/** The files that some paths and patterns name, in order. Throws `FileError` for a pattern without any. */
export async function dataFiles(paths: string | readonly string[]): Promise<string[]> {
  return (await Promise.all([paths].flat().map(expand))).flat();
}

/**
 * Reads several files as one. Throws as `readFor` does, and `DataError` for files that do not go together.
 */
export async function readAll(
  task: Task,
  paths: string | readonly string[],
  options: TableOptions,
  reading: Reading = {},
): Promise<TaskFile<unknown>> {
  const names = await dataFiles(paths);
  const files: TaskFile<unknown>[] = [];
  for (const name of names) files.push(await readFor(task, name, options, reading));
  const [first, ...others] = files as [TaskFile<unknown>, ...TaskFile<unknown>[]];
  if (others.length === 0) return first;
  task.check?.(files);
  return {
    path: `${first.path} and ${others.length} more`,
    examples: files.flatMap(({ examples }) => examples),
    about: files.flatMap(({ about }) => about),
  };
}

/**
 * Holds out a share of examples, the same for the same seed. Examples of a class (or of like values) are
 * shared out evenly, and examples about one context stay together, if the task knows them: the share is then
 * that of the contexts. Throws `ConfigError` for a share that leaves none on one side.
 */
export function holdOut<E>(
  task: Task<E>,
  { examples, ...file }: TaskFile<E>,
  share: number,
  seed: number,
): [train: TaskFile<E>, held: TaskFile<E>] {
  const groups = groupsOf(task, examples);
  const count = Math.round(groups.length * share);
  const fits = share > 0 && share < 1 && count > 0 && count < groups.length;
  const things = groups.length === examples.length ? 'examples' : 'contexts';
  check(
    'the share to hold out',
    share,
    fits,
    `use a number between 0 and 1: there are ${groups.length} ${things}`,
  );
  const order = new Random(seed).permutation(groups.length);
  const strata = groups.map(([first]) => task.stratum?.(examples[first!]!) ?? '');
  order.sort((a, b) => (strata[a]! < strata[b]! ? -1 : strata[a]! > strata[b]! ? 1 : 0));
  const held = new Set(
    Array.from({ length: count }, (_, k) => order[Math.floor(((k + 0.5) * groups.length) / count)]!).flatMap(
      (group) => groups[group]!,
    ),
  );
  return [
    { ...file, examples: examples.filter((_, at) => !held.has(at)) },
    { path: `${file.path} (held out)`, about: [], examples: examples.filter((_, at) => held.has(at)) },
  ];
}

/** Numbers of the examples that stay together; without a group, an example is one of its own. */
function groupsOf<E>(task: Task<E>, examples: readonly E[]): number[][] {
  const groups: number[][] = [];
  const known = new Map<string, number[]>();
  for (const [at, example] of examples.entries()) {
    const name = task.group?.(example) ?? '';
    const group = name === '' ? undefined : known.get(name);
    if (group !== undefined) {
      group.push(at);
      continue;
    }
    const made = [at];
    groups.push(made);
    known.set(name, made);
  }
  return groups;
}
