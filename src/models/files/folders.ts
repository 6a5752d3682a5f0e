/** Folders as a whole: mounted, copied, and packed as a zip. */
import { ZipDeflate, Zip as ZipFile, ZipPassThrough } from 'fflate';
import { platform } from '#platform';
import { FileError } from '../../errors.ts';
import { checkChoice, checkOptions, type OptionNames } from '../../options.ts';
import type { ExistingFolder, FileSource, PickedFile, PickedFolder } from '../../platform/contract.ts';

export type { PickedFile, PickedFolder } from '../../platform/contract.ts';

/** Bytes of a file that are in memory at once. */
const PART_BYTES = 8 << 20;
/** A larger zip needs 64-bit sizes, which not every program reads. */
const MOST_ZIP_BYTES = 2 ** 32 - 1;

/**
 * Gives a path to a folder, or to files, that the user of a browser picked or dropped: everything that takes
 * a folder takes the path. A folder's handle (`showDirectoryPicker()`) can be written to if the user allowed
 * that; files (of an input or a drop) are in a folder in memory, without being read. Throws `FileError` if
 * there are no files, and in Node, where folders have paths.
 */
export function mountFolder(source: PickedFolder | Iterable<PickedFile>): Promise<string> {
  return platform.mount(source);
}

export interface FilesOptions {
  /** Which files to take, by their paths in the folder. Default: all. */
  filter?: (path: string) => boolean;
}

/** Paths of the files in a folder and the folders below it, sorted. */
async function* filesIn(folder: string, filter: FilesOptions['filter'], below = ''): AsyncGenerator<string> {
  for (const name of await platform.list(platform.joinPath(folder, below || '.'))) {
    const path = below === '' ? name : `${below}/${name}`;
    if (await platform.isFolder(platform.joinPath(folder, path))) yield* filesIn(folder, filter, path);
    else if (filter?.(path) ?? true) yield path;
  }
}

async function* partsOf(source: FileSource): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < source.size; at += PART_BYTES)
    yield await source.read(at, Math.min(PART_BYTES, source.size - at));
}

export interface CopyOptions extends FilesOptions {
  /** What to do if the target exists; `merge` (default) replaces the files copied and keeps the rest. */
  existing?: ExistingFolder;
}

const copyOptionNames: OptionNames<CopyOptions> = { filter: true, existing: true };

/**
 * Copies the files of a folder to another one, which appears whole or not at all if it is new. Throws
 * `FileError` if one cannot be read or written, `OutputExistsError` if the target exists and `existing` is
 * `refuse`.
 */
export async function copyFolder(from: string, to: string, options: CopyOptions = {}): Promise<void> {
  checkOptions('copyFolder', options, copyOptionNames);
  checkChoice('copyFolder: existing', options.existing, ['refuse', 'replace', 'merge']);
  await platform.writeFolder(to, options.existing ?? 'merge', async (folder) => {
    for await (const path of filesIn(from, options.filter)) {
      const source = await platform.openFile(platform.joinPath(from, path));
      try {
        await folder.writeFile(path, async (sink) => {
          for await (const part of partsOf(source)) await sink.write(part);
        });
      } finally {
        await source.close();
      }
    }
  });
}

const zipOptionNames: OptionNames<FilesOptions> = { filter: true };

/**
 * The bytes of a zip with the files of a folder, part by part: weights are stored as they are, and a few MB of
 * them are in memory at once. Throws `FileError` if a file cannot be read, or if all of them are larger than 4
 * GiB.
 */
export async function* zipFolder(folder: string, options: FilesOptions = {}): AsyncGenerator<Uint8Array> {
  checkOptions('zipFolder', options, zipOptionNames);
  let ready: Uint8Array[] = [];
  let total = 0;
  const zip = new ZipFile((error, data) => {
    if (error !== null) throw error;
    ready.push(data);
    total += data.length;
  });
  function* take(): Generator<Uint8Array> {
    const parts = ready;
    ready = [];
    if (total > MOST_ZIP_BYTES)
      throw new FileError(`'${folder}' is larger than a zip of 4 GiB`, {
        remedy: 'leave files out by filter, or copyFolder it',
      });
    yield* parts;
  }
  for await (const path of filesIn(folder, options.filter)) {
    const source = await platform.openFile(platform.joinPath(folder, path));
    try {
      const entry = /\.(json|jsonl|txt|md)$/.test(path) ? new ZipDeflate(path) : new ZipPassThrough(path);
      zip.add(entry);
      for await (const part of partsOf(source)) {
        entry.push(part);
        yield* take();
      }
      entry.push(new Uint8Array(), true);
    } finally {
      await source.close();
    }
  }
  zip.end();
  yield* take();
}
