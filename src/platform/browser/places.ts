/**
 * Paths in a browser: `opfs:/a/b` in the private file system of the page's origin, `memory:/a/b` for as long
 * as the page lives, `folder:/a/b` in a folder that the user picked; anything else is a URL.
 */
import { FileError } from '../../errors.ts';
import type { PickedFile, PickedFolder } from '../contract.ts';
import type { FolderHandle } from './handles.ts';
import { MemoryFolder } from './memory.ts';

const SCHEME = /^(opfs|memory|folder):/;
const WRITABLE = "write to 'opfs:/name', which the browser keeps, to 'memory:/name', or to a mounted folder";

const memory = new MemoryFolder();
const mounted = new Map<string, FolderHandle>();

/** A file or folder of a file system; `names` is empty for the outermost folder. */
export interface Place {
  readonly root: FolderHandle;
  readonly names: readonly string[];
}

/** A path's names, with `.` and `..` resolved; a `relative` path may lead up from where it begins. */
function namesOf(path: string, relative = false): string[] {
  const names: string[] = [];
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (name !== '..') names.push(name);
    else if (relative && (names.at(-1) ?? '..') === '..') names.push('..');
    else names.pop();
  }
  return names;
}

/** Whether a path is in a file system, and not a URL. */
export const isPlace = (path: string): boolean => SCHEME.test(path);

async function rootOf(scheme: string, path: string, names: string[]): Promise<FolderHandle> {
  if (scheme === 'memory') return memory;
  if (scheme === 'folder') {
    const root = mounted.get(names.shift() ?? '');
    if (root !== undefined) return root;
    throw new FileError(`'${path}' is in no mounted folder`, { remedy: 'use a path that mountFolder gave' });
  }
  try {
    return (await navigator.storage.getDirectory()) as FolderHandle;
  } catch (cause) {
    throw new FileError(`this page has no file system of its own, which '${path}' needs`, {
      remedy: "serve the page by https or localhost, outside of private windows, or use 'memory:/name'",
      cause,
    });
  }
}

/** Null for a URL. Throws `FileError` if there is no such file system. */
export async function placeOf(path: string): Promise<Place | null> {
  const scheme = SCHEME.exec(path)?.[1];
  if (scheme === undefined) return null;
  const names = namesOf(path.slice(scheme.length + 1));
  return { root: await rootOf(scheme, path, names), names };
}

/** Throws `FileError` for a URL. */
export async function writablePlace(path: string): Promise<Place> {
  const place = await placeOf(path);
  if (place === null) throw new FileError(`a page cannot write to '${path}'`, { remedy: WRITABLE });
  return place;
}

/** Joins parts of a path, or of a URL. */
export function joinPath(...parts: string[]): string {
  const [first = '', ...rest] = parts;
  const scheme = SCHEME.exec(first)?.[0];
  if (scheme !== undefined)
    return `${scheme}/${namesOf([first.slice(scheme.length), ...rest].join('/')).join('/')}`;
  const origin = /^([a-z][\w+.-]*:)?\/\/[^/]*/i.exec(first)?.[0] ?? '';
  const absolute = origin !== '' || first.startsWith('/');
  const path = namesOf([first.slice(origin.length), ...rest].join('/'), !absolute).join('/');
  return absolute ? `${origin}/${path}` : path || '.';
}

function isFolderHandle(source: PickedFolder | Iterable<PickedFile>): source is PickedFolder {
  return (source as Partial<PickedFolder>).kind === 'directory';
}

/** A name that is not taken. */
function freeName(wanted: string, isTaken: (name: string) => boolean): string {
  for (let at = 1; ; at += 1) {
    const name = at === 1 ? wanted : `${wanted}-${at}`;
    if (!isTaken(name)) return name;
  }
}

/** See `Platform.mount`. */
export async function mount(source: PickedFolder | Iterable<PickedFile>): Promise<string> {
  if (isFolderHandle(source)) {
    const handle = source as unknown as FolderHandle;
    for (const [name, other] of mounted) {
      if (other === handle || (await other.isSameEntry?.(handle)) === true) return `folder:/${name}`;
    }
    const name = freeName(handle.name || 'folder', (taken) => mounted.has(taken));
    mounted.set(name, handle);
    return `folder:/${name}`;
  }
  const files = [...source];
  if (files.length === 0 || !files.every((file) => (file as unknown) instanceof Blob))
    throw new FileError('mountFolder: there are no files', {
      remedy: 'pass the handle of a folder, or the files of an input or of a drop',
    });
  const top = freeName('files', (name) => memory.entries.has(name));
  const paths = files.map(({ name, webkitRelativePath }) => namesOf(webkitRelativePath || name));
  for (const [at, names] of paths.entries()) memory.put([top, ...names], files[at] as unknown as Blob);
  // Files of one folder come with its name.
  const [first] = paths;
  const shared = paths.every((names) => names.length > 1 && names[0] === first![0]);
  return `memory:/${[top, ...(shared ? [first![0]!] : [])].join('/')}`;
}
