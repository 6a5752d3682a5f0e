/**
 * Files and folders of `Platform` over the handles of the browser's File System API.
 *
 * Folders cannot be renamed there. A folder that is written for the first time, or removed, holds a mark
 * meanwhile, by which it counts as absent; so does an empty one, which waits for its mark. Files for a folder
 * that is there are written into a folder inside it, which gets a list of them when it is whole: then they
 * are moved, and `sweep` goes on with that if the page was closed before all of them were.
 */
import { FileError, OutputExistsError } from '../../errors.ts';
import type { ExistingFolder, FileSink, FileSource, FolderWriter } from '../contract.ts';
import { type FolderHandle, fileIn, fill, folderIn, makeFolder, moveFile, walk } from './handles.ts';
import { type Place, placeOf, writablePlace } from './places.ts';
import { begin, end, isAbandoned } from './writers.ts';

/** In a folder that is not whole, the name of its writer. */
const MARK = 'dawngrad-unfinished.txt';
/** Folders of files that are not in place yet, with the name of their writer. */
const STAGING = /^dawngrad-new-(.+)$/;
/** In such a folder once it is whole: how to put its files in place. */
const PLAN = 'dawngrad-plan.json';

interface Plan {
  existing: ExistingFolder;
  names: string[];
}

async function fileError(action: string, path: string, cause: unknown): Promise<unknown> {
  if (!(cause instanceof DOMException)) return cause;
  const reasons: Record<string, string> = {
    NotFoundError: 'it does not exist',
    NotAllowedError: 'the page has no permission',
    NoModificationAllowedError: 'another page or worker is writing it',
    TypeMismatchError: 'a file has the name of a folder, or a folder that of a file',
    NotReadableError: 'it was changed or removed since it was opened',
  };
  const remedies: Record<string, string> = {
    NotAllowedError: "call the folder's requestPermission({ mode: 'readwrite' }) when the user clicks",
    QuotaExceededError: path.startsWith('folder:')
      ? 'free some space, or choose a folder on another disk'
      : 'remove older folders, set saveTotalLimit, or ask for navigator.storage.persist()',
    NoModificationAllowedError: 'close the other page, or wait for it',
  };
  const full = cause.name === 'QuotaExceededError' ? await usage(path) : null;
  const reason = full ?? reasons[cause.name] ?? cause.message;
  return new FileError(`cannot ${action} '${path}': ${reason}`, { remedy: remedies[cause.name], cause });
}

/** How full the browser's storage is; of a folder that the user picked, pages are not told. */
async function usage(path: string): Promise<string> {
  if (path.startsWith('folder:')) return 'its disk is full';
  const { usage: used = 0, quota = 0 } = (await globalThis.navigator?.storage?.estimate?.()) ?? {};
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  return `the browser's storage for this page is full (${megabytes(used)} of ${megabytes(quota)})`;
}

async function guard<T>(action: string, path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    throw await fileError(action, path, cause);
  }
}

/** Whether a folder has entries and no mark: one without entries waits for its mark, or for its removal. */
async function isWhole(folder: FolderHandle): Promise<boolean> {
  if ((await fileIn(folder, MARK)) !== null) return false;
  return !(await isEmpty(folder));
}

async function isEmpty(folder: FolderHandle): Promise<boolean> {
  for await (const _ of folder.values()) return false;
  return true;
}

/** The folder that holds a file or folder, and its name there; null if there is none. */
async function parentOf({ root, names }: Place): Promise<[FolderHandle, string] | null> {
  const name = names.at(-1);
  const parent = name === undefined ? null : await walk(root, names.slice(0, -1));
  return parent === null ? null : [parent, name!];
}

/** The folder, if it is there and whole. */
async function wholeFolder({ root, names }: Place): Promise<FolderHandle | null> {
  const folder = await walk(root, names);
  return folder !== null && (names.length === 0 || (await isWhole(folder))) ? folder : null;
}

async function blobOf(path: string): Promise<Blob> {
  return guard('read', path, async () => {
    const found = await parentOf((await placeOf(path))!);
    if (found === null) throw new DOMException('', 'NotFoundError');
    return (await found[0].getFileHandle(found[1])).getFile();
  });
}

export async function isFolder(path: string): Promise<boolean> {
  return (await wholeFolder((await placeOf(path))!)) !== null;
}

export async function exists(path: string): Promise<boolean> {
  if (await isFolder(path)) return true;
  const found = await parentOf((await placeOf(path))!);
  return found !== null && (await fileIn(...found)) !== null;
}

export async function list(path: string): Promise<string[]> {
  return guard('list', path, async () => {
    const folder = await wholeFolder((await placeOf(path))!);
    if (folder === null) throw new DOMException('', 'NotFoundError');
    const names: string[] = [];
    for await (const entry of folder.values()) {
      if (entry.kind === 'directory' && (STAGING.test(entry.name) || !(await isWhole(entry)))) continue;
      names.push(entry.name);
    }
    return names.sort();
  });
}

export async function readText(path: string): Promise<string> {
  const blob = await blobOf(path);
  return guard('read', path, () => blob.text());
}

export const openFile = async (path: string): Promise<FileSource> => sourceOf(path, await blobOf(path));

/** A file that the browser holds. */
export function sourceOf(path: string, blob: Blob): FileSource {
  return {
    path,
    size: blob.size,
    read: (offset, length) =>
      guard('read', path, async () => {
        const part = new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
        if (part.length === length) return part;
        throw new FileError(
          `'${path}' ends at byte ${blob.size}; ${length} bytes from ${offset} were wanted`,
          { remedy: 'the file was cut off or is still being written' },
        );
      }),
    close: async () => {},
  };
}

export async function remove(path: string): Promise<void> {
  await guard('remove', path, async () => {
    const found = await parentOf(await writablePlace(path));
    if (found === null) return;
    const [parent, name] = found;
    const folder = await folderIn(parent, name);
    if (folder !== null) await removeFolder(parent, name, folder);
    else if ((await fileIn(parent, name)) !== null) await parent.removeEntry(name);
  });
}

/** Half of a folder is never seen: it counts as absent from the first moment. */
async function removeFolder(parent: FolderHandle, name: string, folder: FolderHandle): Promise<void> {
  const writer = await begin();
  try {
    await writeText(folder, MARK, writer);
    await parent.removeEntry(name, { recursive: true });
  } finally {
    end(writer);
  }
}

/** Fills a file, which keeps its old content if the page is closed or `chunks` throws meanwhile. */
export async function writeStream(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await guard('write', path, async () => {
    const { root, names } = await writablePlace(path);
    const folder = await makeFolder(root, names.slice(0, -1));
    await fill(folder, names.at(-1)!, async (writable) => {
      for await (const chunk of chunks) await writable.write(chunk as Uint8Array<ArrayBuffer>);
    });
  });
}

export async function append(path: string, bytes: Uint8Array): Promise<void> {
  await guard('write', path, async () => {
    const { root, names } = await writablePlace(path);
    const folder = await makeFolder(root, names.slice(0, -1));
    const add = { keepExistingData: true };
    await fill(
      folder,
      names.at(-1)!,
      async (writable, size) => {
        await writable.seek(size);
        await writable.write(bytes as Uint8Array<ArrayBuffer>);
      },
      add,
    );
  });
}

async function writeText(folder: FolderHandle, name: string, text: string): Promise<void> {
  await fill(folder, name, (writable) => writable.write(new TextEncoder().encode(text)));
}

export async function checkWritable(path: string): Promise<void> {
  await guard('write', path, async () => {
    const place = await writablePlace(path);
    const { root, names } = place;
    if ((await root.queryPermission?.({ mode: 'readwrite' })) === 'denied')
      throw new DOMException('', 'NotAllowedError');
    await refuseFile(path, place);
    // The folder that is there and nearest: what this makes is removed again.
    let depth = names.length;
    while ((await walk(root, names.slice(0, depth))) === null) depth -= 1;
    const near = (await walk(root, names.slice(0, depth)))!;
    const writer = await begin();
    try {
      const probe = await near.getDirectoryHandle(stagingName(writer), { create: true });
      await writeText(probe, 'probe', 'x'.repeat(4096));
    } finally {
      await near.removeEntry(stagingName(writer), { recursive: true }).catch(() => {});
      end(writer);
    }
  });
}

/** Throws `FileError` if the path, or a folder on its way, is a file. */
async function refuseFile(path: string, { root, names }: Place): Promise<void> {
  for (let depth = 1; depth <= names.length; depth += 1) {
    const found = await parentOf({ root, names: names.slice(0, depth) });
    if (found === null) return;
    if ((await fileIn(...found)) === null) continue;
    throw new FileError(
      depth === names.length
        ? `'${path}' is a file, not a folder`
        : `cannot write '${path}': a part of the path is a file`,
    );
  }
}

const stagingName = (writer: string): string => `dawngrad-new-${writer}`;

/** See `Platform.writeFolder`. */
export async function writeFolder(
  path: string,
  existing: ExistingFolder,
  body: (folder: FolderWriter) => Promise<void>,
): Promise<void> {
  const place = await guard('write', path, () => writablePlace(path));
  await guard('write', path, () => refuseFile(path, place));
  const folder = await guard('write', path, () => wholeFolder(place));
  if (existing === 'refuse' && folder !== null) {
    throw new OutputExistsError(`'${path}' exists`, { remedy: 'choose another folder' });
  }
  const writer = await begin();
  try {
    await (folder === null
      ? writeNew(place, writer, body)
      : writeInto(folder, stagingName(writer), existing, body));
  } catch (cause) {
    throw await fileError('write', path, cause);
  } finally {
    end(writer);
  }
}

/** Writes a folder that is not there, or that another page left unfinished. */
async function writeNew(
  { root, names }: Place,
  writer: string,
  body: (folder: FolderWriter) => Promise<void>,
): Promise<void> {
  const parent = await makeFolder(root, names.slice(0, -1));
  const name = names.at(-1)!;
  await sweepUnfinished(parent, name);
  if ((await folderIn(parent, name)) !== null) throw new DOMException('', 'NoModificationAllowedError');
  const folder = await parent.getDirectoryHandle(name, { create: true });
  try {
    await writeText(folder, MARK, writer);
    await body(folderWriter(folder, []));
    await folder.removeEntry(MARK);
  } catch (error) {
    await parent.removeEntry(name, { recursive: true }).catch(() => {});
    throw error;
  }
}

async function writeInto(
  folder: FolderHandle,
  name: string,
  existing: ExistingFolder,
  body: (folder: FolderWriter) => Promise<void>,
): Promise<void> {
  const staging = await folder.getDirectoryHandle(name, { create: true });
  const plan: Plan = { existing, names: [] };
  try {
    await body(folderWriter(staging, plan.names));
    await writeText(staging, PLAN, JSON.stringify(plan));
  } catch (error) {
    await folder.removeEntry(name, { recursive: true }).catch(() => {});
    throw error;
  }
  await putInPlace(folder, name, plan);
}

/** Moves finished files into the folder; `replace` then removes every entry that was not written. */
async function putInPlace(folder: FolderHandle, name: string, plan: Plan): Promise<void> {
  const staging = await folder.getDirectoryHandle(name);
  for (const path of plan.names) {
    const steps = path.split('/');
    const file = steps.pop()!;
    const source = await walk(staging, steps);
    // Those that are in place already are gone from here.
    if (source === null || (await fileIn(source, file)) === null) continue;
    await moveFile(source, file, await makeFolder(folder, steps));
  }
  if (plan.existing === 'replace') {
    const kept = new Set([name, ...plan.names.map((path) => path.split('/')[0])]);
    for await (const entry of folder.values())
      if (!kept.has(entry.name)) await folder.removeEntry(entry.name, { recursive: true });
  }
  await folder.removeEntry(name, { recursive: true });
}

function folderWriter(root: FolderHandle, written: string[]): FolderWriter {
  const writeFile = async (path: string, write: (sink: FileSink) => Promise<void>): Promise<void> => {
    const steps = path.split('/');
    const name = steps.pop()!;
    await fill(await makeFolder(root, steps), name, (writable) =>
      write({ write: (bytes) => writable.write(bytes as Uint8Array<ArrayBuffer>) }),
    );
    written.push(path);
  };
  return {
    writeFile,
    writeText: (name, text) => writeFile(name, (sink) => sink.write(new TextEncoder().encode(text))),
  };
}

/** Removes a folder whose writer is gone before it was whole. */
async function sweepUnfinished(parent: FolderHandle, name: string): Promise<void> {
  const folder = await folderIn(parent, name);
  if (folder === null) return;
  const mark = await fileIn(folder, MARK);
  const writer = mark === null ? null : await (await mark.getFile()).text();
  const drop = writer === null ? await isEmpty(folder) : await isAbandoned(writer);
  if (drop) await parent.removeEntry(name, { recursive: true });
}

/** See `Platform.sweep`. What cannot be removed is left alone. */
export async function sweep(path: string): Promise<void> {
  const place = await writablePlace(path);
  const found = await parentOf(place);
  if (found !== null) await sweepUnfinished(...found).catch(() => {});
  const folder = await walk(place.root, place.names);
  if (folder === null) return;
  const staged: string[] = [];
  for await (const { name } of folder.values()) if (STAGING.test(name)) staged.push(name);
  for (const name of staged) {
    if (!(await isAbandoned(STAGING.exec(name)![1]!))) continue;
    await finishOrDrop(folder, name).catch(() => {});
  }
}

async function finishOrDrop(folder: FolderHandle, name: string): Promise<void> {
  const plan = await fileIn(await folder.getDirectoryHandle(name), PLAN);
  if (plan === null) await folder.removeEntry(name, { recursive: true });
  else await putInPlace(folder, name, JSON.parse(await (await plan.getFile()).text()) as Plan);
}
