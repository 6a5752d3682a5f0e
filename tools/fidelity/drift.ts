/** Fixtures that were made anew beside those that the tests read. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modelTypes } from '../../src/models/registry.ts';
import { readTensors } from '../../test/support/fixtures.ts';

/** Above: other numbers, not other rounding. Absolute for numbers below one, else relative. */
export const driftLimit = 1e-4;

export interface Drift {
  /** What fixtures of one kind are called. */
  group: string;
  files: number;
  /** Files with the same bytes. */
  same: number;
  /** The largest difference in files that differ by rounding alone. */
  largest: number;
  /** Files that differ by more, with what differs. */
  changed: string[];
  /** Files that the scripts did not write. */
  absent: string[];
}

const distance = (a: number, b: number): number =>
  Object.is(a, b) ? 0 : Math.abs(a - b) / Math.max(1, Math.abs(b));

/** A difference, or why two files do not compare as numbers. */
type Compared = { largest: number } | { reason: string };

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** Compares numbers with a fraction within rounding, all else exactly. */
export function compareJson(fresh: unknown, kept: unknown, path = ''): Compared {
  if (typeof fresh === 'number' && typeof kept === 'number') {
    const rounded = !Number.isInteger(fresh) || !Number.isInteger(kept);
    if (rounded || fresh === kept) return { largest: distance(fresh, kept) };
  }
  if (!isRecord(fresh) || !isRecord(kept))
    return fresh === kept
      ? { largest: 0 }
      : { reason: `${path}: ${JSON.stringify(fresh)} instead of ${JSON.stringify(kept)}` };
  const names = new Set([...Object.keys(fresh), ...Object.keys(kept)]);
  // The version is told once, above the table.
  names.delete('transformers_version');
  let largest = 0;
  for (const name of names) {
    if (!Object.hasOwn(fresh, name)) return { reason: `${path}.${name} is gone` };
    if (!Object.hasOwn(kept, name)) return { reason: `${path}.${name} is new` };
    const compared = compareJson(fresh[name], kept[name], `${path}.${name}`);
    if ('reason' in compared) return compared;
    largest = Math.max(largest, compared.largest);
  }
  return { largest };
}

async function compareTensors(fresh: string, kept: string): Promise<Compared> {
  const [ours, theirs] = [await readTensors(fresh), await readTensors(kept)];
  const names = [...ours.keys()].sort();
  const other = [...theirs.keys()].sort();
  if (names.join() !== other.join()) return { reason: 'other names of tensors' };
  let largest = 0;
  for (const [name, values] of ours) {
    const expected = theirs.get(name)!;
    if (values.length !== expected.length) return { reason: `${name} has another size` };
    for (const [i, value] of values.entries()) largest = Math.max(largest, distance(value, expected[i]!));
  }
  return { largest };
}

async function compareFiles(fresh: string, kept: string): Promise<Compared | 'same'> {
  const [ours, theirs] = await Promise.all([readFile(fresh), readFile(kept)]);
  if (ours.equals(theirs)) return 'same';
  if (kept.endsWith('.json')) return compareJson(JSON.parse(`${ours}`), JSON.parse(`${theirs}`));
  if (kept.endsWith('.safetensors')) return compareTensors(fresh, kept);
  return { reason: 'other bytes' };
}

/** Models by family, all else by its first folder or file. */
function groupOf(file: string): string {
  const [first, second, ...rest] = file.split('/');
  if (first !== 'models') return first!;
  const name = second === 'configs' ? rest[0]! : second!;
  const family = modelTypes.find((type) => name === type || name.startsWith(`${type}-`));
  return family === undefined ? 'models, of several families' : `models, ${family}`;
}

/** Compares every file of both folders that `wanted` has. */
export async function drift(
  fresh: string,
  kept: string,
  wanted: (group: string) => boolean = () => true,
): Promise<Drift[]> {
  const list = async (folder: string): Promise<string[]> => {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) =>
        join(entry.parentPath, entry.name).slice(folder.length).replaceAll('\\', '/').replace(/^\//, ''),
      );
  };
  const made = new Set(await list(fresh));
  const known = await list(kept);
  const groups = new Map<string, Drift>();
  for (const file of [...new Set([...known, ...made])].sort()) {
    const group = groupOf(file);
    if (!wanted(group)) continue;
    const entry = groups.get(group) ?? { group, files: 0, same: 0, largest: 0, changed: [], absent: [] };
    groups.set(group, entry);
    entry.files += 1;
    if (!made.has(file)) {
      entry.absent.push(file);
      continue;
    }
    const compared = known.includes(file)
      ? await compareFiles(join(fresh, file), join(kept, file))
      : { reason: 'is new' };
    if (compared === 'same') entry.same += 1;
    else if ('reason' in compared) entry.changed.push(`${file} (${compared.reason})`);
    else if (!(compared.largest <= driftLimit))
      entry.changed.push(`${file} (by ${compared.largest.toExponential(1)})`);
    else entry.largest = Math.max(entry.largest, compared.largest);
  }
  return [...groups.values()];
}
