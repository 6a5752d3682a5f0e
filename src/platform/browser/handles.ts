/**
 * What files need of the browser's File System API. The private file system of a page's origin (OPFS), a
 * folder that the user picked and a folder in memory all have it.
 */

export interface Writable {
  write(data: Uint8Array<ArrayBuffer> | Blob): Promise<void>;
  seek(position: number): Promise<void>;
  /** The file has its new content once this is done, and its old one until then. */
  close(): Promise<void>;
  abort(): Promise<void>;
}

export interface FileHandle {
  readonly kind: 'file';
  readonly name: string;
  getFile(): Promise<Blob>;
  createWritable(options?: { keepExistingData?: boolean }): Promise<Writable>;
  /** Missing or refused in some folders that the user picked. */
  move?(folder: FolderHandle, name: string): Promise<void>;
}

export interface FolderHandle {
  readonly kind: 'directory';
  readonly name: string;
  getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<FolderHandle>;
  getFileHandle(name: string, options?: { create?: boolean }): Promise<FileHandle>;
  removeEntry(name: string, options?: { recursive?: boolean }): Promise<void>;
  values(): AsyncIterable<FileHandle | FolderHandle>;
  /** Of a folder that the user picked. */
  queryPermission?(wanted: { mode: 'readwrite' }): Promise<string>;
  isSameEntry?(other: FolderHandle): Promise<boolean>;
}

/** The name of a `DOMException`, or `''`. */
export const errorName = (error: unknown): string => (error instanceof DOMException ? error.name : '');

/** What `find` gives; null if there is no such entry, or it is of the other kind. */
async function present<T>(find: Promise<T>): Promise<T | null> {
  return find.catch((error: unknown) => {
    if (['NotFoundError', 'TypeMismatchError'].includes(errorName(error))) return null;
    throw error;
  });
}

export const fileIn = (folder: FolderHandle, name: string): Promise<FileHandle | null> =>
  present(folder.getFileHandle(name));

export const folderIn = (folder: FolderHandle, name: string): Promise<FolderHandle | null> =>
  present(folder.getDirectoryHandle(name));

/** The folder at a path of names; null if it is not there. */
export async function walk(root: FolderHandle, names: readonly string[]): Promise<FolderHandle | null> {
  let folder: FolderHandle | null = root;
  for (const name of names) {
    if (folder === null) break;
    folder = await folderIn(folder, name);
  }
  return folder;
}

/** The folder at a path of names, made with its parents if it is not there. */
export async function makeFolder(root: FolderHandle, names: readonly string[]): Promise<FolderHandle> {
  let folder = root;
  for (const name of names) folder = await folder.getDirectoryHandle(name, { create: true });
  return folder;
}

/** Fills a file by `body`; it keeps its old content if `body` throws. */
export async function fill(
  folder: FolderHandle,
  name: string,
  body: (writable: Writable, size: number) => Promise<void>,
  options: { keepExistingData?: boolean } = {},
): Promise<void> {
  const before = await fileIn(folder, name);
  const handle = before ?? (await folder.getFileHandle(name, { create: true }));
  const writable = await handle.createWritable(options);
  try {
    await body(writable, options.keepExistingData === true ? (await handle.getFile()).size : 0);
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => {});
    // Opening made it, empty.
    if (before === null) await removeAborted(folder, name);
    throw error;
  }
}

/** Removes a file whose stream was aborted: browsers keep it locked for some time after that. */
async function removeAborted(folder: FolderHandle, name: string): Promise<void> {
  for (let wait = 10; wait < 1000; wait *= 2) {
    const error: unknown = await folder.removeEntry(name).catch((cause: unknown) => cause);
    if (errorName(error) !== 'NoModificationAllowedError') return;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/** Moves a file into a folder, in place of the one that has its name. */
export async function moveFile(
  source: FolderHandle,
  name: string,
  target: FolderHandle,
  targetName = name,
): Promise<void> {
  const handle = await source.getFileHandle(name);
  if (handle.move !== undefined) {
    const moved = await handle.move(target, targetName).then(
      () => true,
      () => false,
    );
    if (moved) return;
  }
  const content = await handle.getFile();
  await fill(target, targetName, (writable) => writable.write(content));
  await source.removeEntry(name);
}
