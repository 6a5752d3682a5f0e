/** Files and folders over node:fs. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FileError, OutputExistsError } from '../../errors.ts';
import type { ExistingFolder, FileSink, FileSource, FolderWriter } from '../contract.ts';

/** Turns an error of the file system into one that names the path. */
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

export async function openFile(path: string): Promise<FileSource> {
  const handle = await guard('read', path, () => open(path, 'r'));
  const status = await handle.stat();
  const close = (): Promise<void> => handle.close();
  if (!status.isFile() && !status.isDirectory()) {
    // A pipe has no size, and cannot be read by range.
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
        {
          remedy: 'the file was cut off or is still being written',
        },
      );
    }
    at += bytesRead;
  }
  return bytes;
}

/** A name beside `path` that nothing else has. */
function sibling(path: string, purpose: string): string {
  return join(
    dirname(path),
    `.${basename(path)}.${purpose}-${process.pid}-${randomBytes(4).toString('hex')}`,
  );
}

/** See `Platform.checkWritable`. */
export async function checkWritable(path: string): Promise<void> {
  const target = resolve(path);
  if ((await exists(target)) && !(await isFolder(target)))
    throw new FileError(`'${path}' is a file, not a folder`);
  const probe = sibling(target, 'probe');
  await guard('write', path, () => mkdir(probe, { recursive: true }));
  await rm(probe, { recursive: true, force: true });
}

/** See `Platform.writeFolder`. */
export async function writeFolder(
  path: string,
  existing: ExistingFolder,
  body: (folder: FolderWriter) => Promise<void>,
): Promise<void> {
  const target = resolve(path);
  if (existing === 'refuse' && (await exists(target))) {
    throw new OutputExistsError(`'${path}' exists`, { remedy: 'choose another folder, or pass --overwrite' });
  }
  if ((await exists(target)) && !(await isFolder(target)))
    throw new FileError(`'${path}' is a file, not a folder`);
  const staging = sibling(target, 'tmp');
  const written: string[] = [];
  try {
    await guard('write', path, () => mkdir(staging, { recursive: true }));
    await body(folderWriter(staging, written));
    if (existing === 'merge' && (await exists(target))) await moveFiles(staging, target, written);
    else await swap(staging, target);
  } catch (error) {
    await rm(staging, { recursive: true, force: true }).catch(() => {});
    // An error of the file system gets the path; one of the body itself passes unchanged.
    throw error instanceof Error && 'syscall' in error ? fileError('write', path, error) : error;
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

async function moveFiles(staging: string, target: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(target, name)), { recursive: true });
    await rename(join(staging, name), join(target, name));
  }
  await rm(staging, { recursive: true, force: true });
}

/** Puts the finished folder in place; an old one goes only after that. */
async function swap(staging: string, target: string): Promise<void> {
  if (!(await exists(target))) {
    await mkdir(dirname(target), { recursive: true });
    await rename(staging, target);
    return;
  }
  const old = sibling(target, 'old');
  await rename(target, old);
  try {
    await rename(staging, target);
  } catch (error) {
    await rename(old, target);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
}
