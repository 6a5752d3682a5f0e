/** The files and folders of `Platform` on node:fs; every export is one of its functions. */
import {
  appendFile,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FileError, OutputExistsError } from '../../errors.ts';
import type { ExistingFolder, FileSink, FileSource, FolderWriter } from '../contract.ts';
import { discard, forget, sweepEntries, temporaryPath } from './temporary.ts';

/** Turns a file-system error into one that names the path. */
function fileError(action: string, path: string, cause: unknown): FileError {
  if (cause instanceof FileError) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  const reasons: Record<string, string> = {
    ENOENT: 'it does not exist',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is a file',
    ENOSPC: 'the disk is full',
    EROFS: 'the disk is read-only',
  };
  const reason = reasons[code ?? ''] ?? (cause instanceof Error ? cause.message : String(cause));
  return new FileError(`cannot ${action} '${path}': ${reason}`, { cause });
}

async function guard<T>(action: string, path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    throw fileError(action, path, cause);
  }
}

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true;
}

export async function list(path: string): Promise<string[]> {
  return (await guard('list', path, () => readdir(path))).sort();
}

export async function readText(path: string): Promise<string> {
  return guard('read', path, () => readFile(path, 'utf8'));
}

export async function remove(path: string): Promise<void> {
  await guard('remove', path, () => rm(path, { recursive: true, force: true }));
}

export async function append(path: string, bytes: Uint8Array): Promise<void> {
  await guard('write', path, async () => {
    await mkdir(dirname(path), { recursive: true });
    await appendFile(path, bytes);
  });
}

export async function openFile(path: string): Promise<FileSource> {
  const handle = await guard('read', path, () => open(path, 'r'));
  const status = await handle.stat();
  const close = (): Promise<void> => handle.close();
  if (!status.isFile() && !status.isDirectory()) {
    // A pipe has no size and cannot be read by range.
    const bytes = await guard('read', path, () => handle.readFile());
    return { path, size: bytes.length, read: async (at, length) => bytes.subarray(at, at + length), close };
  }
  return {
    path,
    size: status.size,
    read: (offset, length) => guard('read', path, () => readRange(handle, path, offset, length)),
    close,
  };
}

async function readRange(
  handle: FileHandle,
  path: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  while (at < length) {
    const { bytesRead } = await handle.read(bytes, at, length - at, offset + at);
    if (bytesRead === 0) {
      throw new FileError(
        `'${path}' ends at byte ${offset + at}; ${length} bytes from ${offset} were wanted`,
        { remedy: 'the file was cut off or is still being written' },
      );
    }
    at += bytesRead;
  }
  return bytes;
}

/** Whether the folder exists. Throws `FileError` if the path is a file. */
async function folderExists(path: string, target: string): Promise<boolean> {
  if (await isFolder(target)) return true;
  if (await exists(target)) throw new FileError(`'${path}' is a file, not a folder`);
  return false;
}

/**
 * Creates a folder and its missing parents and returns the outermost one created. Node's recursive mkdir
 * reports a read-only disk as a missing folder.
 */
async function makeFolder(path: string): Promise<string> {
  try {
    await mkdir(path);
    return path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    const made = await makeFolder(dirname(path)).catch((cause: NodeJS.ErrnoException) => {
      // Another process was faster.
      if (cause.code === 'EEXIST') return path;
      throw cause;
    });
    await mkdir(path);
    return made;
  }
}

export async function checkWritable(path: string): Promise<void> {
  const target = resolve(path);
  const present = await folderExists(path, target);
  const probe = temporaryPath(present ? target : dirname(target), basename(target), 'probe');
  let made = probe;
  try {
    await guard('write', path, async () => {
      made = await makeFolder(probe);
      // An empty folder takes no space, so it would not reveal a full disk.
      await folderWriter(probe, []).writeText('probe', 'x'.repeat(4096));
      await rename(join(probe, 'probe'), join(probe, 'renamed'));
    });
  } finally {
    await discard(probe).catch(() => {});
    // Removes the parents created above, unless something was put into them meanwhile.
    for (let folder = dirname(probe); folder.startsWith(made); folder = dirname(folder))
      await rmdir(folder).catch(() => {});
  }
}

export async function sweep(path: string): Promise<void> {
  const target = resolve(path);
  await sweepEntries(dirname(target), (name) => name === basename(target));
  await sweepEntries(target, () => true);
}

export async function writeFolder(
  path: string,
  existing: ExistingFolder,
  body: (folder: FolderWriter) => Promise<void>,
): Promise<void> {
  const target = resolve(path);
  const present = await folderExists(path, target);
  if (existing === 'refuse' && present) {
    throw new OutputExistsError(`'${path}' exists`, { remedy: 'choose another folder, or pass --overwrite' });
  }
  let staging = '';
  const written: string[] = [];
  try {
    staging = await guard('write', path, () => makeStaging(target, present, existing));
    await body(folderWriter(staging, written));
    if (!(await exists(target))) await rename(staging, target);
    else if (existing === 'merge' || !(await swap(staging, target)))
      await moveFiles(staging, target, written, existing);
    forget(staging);
  } catch (error) {
    if (staging !== '') await discard(staging).catch(() => {});
    // Adds the path to file-system errors; errors thrown by `body` itself pass through unchanged.
    throw error instanceof Error && 'syscall' in error ? fileError('write', path, error) : error;
  }
}

/**
 * Creates the folder to fill: inside the target if that exists, because the target may be a mount or its
 * parent may not be writable.
 */
async function makeStaging(target: string, present: boolean, existing: ExistingFolder): Promise<string> {
  const beside = temporaryPath(dirname(target), basename(target), 'tmp');
  const inside = temporaryPath(target, basename(target), 'tmp');
  const [first, second] = present ? [inside, beside] : [beside, inside];
  try {
    await makeFolder(first);
    forget(second);
    return first;
  } catch (error) {
    forget(first);
    // A folder that is not writable may still be replaced as a whole.
    if (!present || existing !== 'replace') throw error;
    await mkdir(second);
    return second;
  }
}

function folderWriter(root: string, written: string[]): FolderWriter {
  const writeFile = async (name: string, write: (sink: FileSink) => Promise<void>): Promise<void> => {
    const path = join(root, name);
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(path, 'w');
    try {
      await write({
        write: async (bytes) => {
          // One call may write less than it was given.
          for (let at = 0; at < bytes.length; )
            at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
        },
      });
      await handle.sync();
    } finally {
      await handle.close();
    }
    written.push(name);
  };
  return {
    writeFile,
    writeText: (name, text) => writeFile(name, (sink) => sink.write(new TextEncoder().encode(text))),
  };
}

/** Moves the finished files into the target; `replace` then removes every entry that was not written. */
async function moveFiles(
  staging: string,
  target: string,
  names: readonly string[],
  existing: ExistingFolder,
): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(target, name)), { recursive: true });
    await rename(join(staging, name), join(target, name));
  }
  await rm(staging, { recursive: true, force: true });
  if (existing !== 'replace') return;
  const kept = new Set(names.map((name) => name.split('/')[0]));
  for (const name of await readdir(target))
    if (!kept.has(name)) await rm(join(target, name), { recursive: true, force: true });
}

/**
 * Swaps in the finished folder and then removes the old one. Returns false if the folders cannot be renamed
 * because the target is a mount.
 */
async function swap(staging: string, target: string): Promise<boolean> {
  const [next, old] = (['tmp', 'old'] as const).map((purpose) =>
    temporaryPath(dirname(target), basename(target), purpose),
  ) as [string, string];
  try {
    const out = await rename(staging, next).then(
      () => true,
      () => false,
    );
    if (!out) return false;
    await rename(target, old);
    try {
      await rename(next, target);
    } catch (error) {
      await rename(old, target);
      throw error;
    }
    await rm(old, { recursive: true, force: true });
    return true;
  } finally {
    await discard(next).catch(() => {});
    forget(old);
  }
}
