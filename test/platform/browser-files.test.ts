/** A browser's files over folders in memory, which have the handles of the File System API. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { FileHandle, FolderHandle } from '../../src/platform/browser/handles.ts';
import { MemoryFolder } from '../../src/platform/browser/memory.ts';
import { platform } from '../../src/platform/browser.ts';
import type { FolderWriter } from '../../src/platform/contract.ts';

afterEach(() => vi.unstubAllGlobals());

/** All files of a folder with their texts, as a reader finds them. */
async function contentOf(path: string): Promise<Record<string, string> | null> {
  if (!(await platform.isFolder(path))) return null;
  const found: Record<string, string> = {};
  for (const name of await platform.list(path)) {
    const inner = platform.joinPath(path, name);
    if (!(await platform.isFolder(inner))) found[name] = await platform.readText(inner);
    else
      for (const [below, text] of Object.entries((await contentOf(inner))!)) found[`${name}/${below}`] = text;
  }
  return found;
}

const write =
  (files: Record<string, string>) =>
  async (folder: FolderWriter): Promise<void> => {
    for (const [name, text] of Object.entries(files)) await folder.writeText(name, text);
  };

let made = 0;
const fresh = (): string => `memory:/test-${made++}`;

describe('writeFolder', () => {
  it('replaces a folder, or merges into it', async () => {
    const path = fresh();
    await platform.writeFolder(path, 'refuse', write({ 'a.json': '1', 'sub/b.txt': '2' }));
    expect(await contentOf(path)).toEqual({ 'a.json': '1', 'sub/b.txt': '2' });
    await platform.writeFolder(path, 'merge', write({ 'a.json': '3', 'sub/c.txt': '4' }));
    expect(await contentOf(path)).toEqual({ 'a.json': '3', 'sub/b.txt': '2', 'sub/c.txt': '4' });
    await platform.writeFolder(path, 'replace', write({ 'd.txt': '5' }));
    expect(await contentOf(path)).toEqual({ 'd.txt': '5' });
    await expect(platform.writeFolder(path, 'refuse', write({}))).rejects.toThrow(`'${path}' exists`);
  });

  it('leaves nothing of a folder, or all of the old one, if the body throws', async () => {
    const path = fresh();
    const body = async (folder: FolderWriter): Promise<void> => {
      await folder.writeText('a', 'new');
      throw new Error('no more');
    };
    for (const existing of ['merge', 'replace'] as const) {
      await expect(platform.writeFolder(path, existing, body)).rejects.toThrow('no more');
      expect(await platform.exists(path)).toBe(false);
    }
    await platform.writeFolder(path, 'merge', write({ a: 'old' }));
    for (const existing of ['merge', 'replace'] as const) {
      await expect(platform.writeFolder(path, existing, body)).rejects.toThrow('no more');
      expect(await contentOf(path)).toEqual({ a: 'old' });
    }
  });

  it('shows nothing of a folder under construction, and does not sweep it', async () => {
    const path = fresh();
    await platform.writeFolder(platform.joinPath(path, 'checkpoint-1'), 'replace', async (folder) => {
      await folder.writeText('a', '1');
      expect(await platform.list(path)).toEqual([]);
      expect(await platform.isFolder(platform.joinPath(path, 'checkpoint-1'))).toBe(false);
      await platform.sweep(platform.joinPath(path, 'checkpoint-1'));
    });
    await platform.writeFolder(path, 'merge', async (folder) => {
      await folder.writeText('b', '2');
      expect(await platform.list(path)).toEqual(['checkpoint-1']);
      await platform.sweep(path);
    });
    expect(await contentOf(path)).toEqual({ b: '2', 'checkpoint-1/a': '1' });
  });
});

/** A page that is closed after some operations on its files. */
class Page {
  left: number;

  constructor(left: number) {
    this.left = left;
  }

  private spend(): void {
    if (this.left === 0) throw new Error('the page was closed');
    this.left -= 1;
  }

  folder(handle: FolderHandle): FolderHandle {
    const wrap = <T extends FileHandle | FolderHandle>(one: T): T =>
      (one.kind === 'file' ? this.file(one) : this.folder(one as FolderHandle)) as T;
    return {
      kind: 'directory',
      name: handle.name,
      getDirectoryHandle: async (name, options) => {
        this.spend();
        return wrap(await handle.getDirectoryHandle(name, options));
      },
      getFileHandle: async (name, options) => {
        this.spend();
        return wrap(await handle.getFileHandle(name, options));
      },
      removeEntry: async (name, options) => {
        this.spend();
        await handle.removeEntry(name, options);
      },
      values: async function* () {
        for await (const entry of handle.values()) yield wrap(entry);
      },
    };
  }

  /** Has no `move`, as in folders that a user picked. */
  private file(handle: FileHandle): FileHandle {
    return {
      kind: 'file',
      name: handle.name,
      getFile: () => handle.getFile(),
      createWritable: async (options) => {
        this.spend();
        const writable = await handle.createWritable(options);
        return {
          write: async (data) => {
            this.spend();
            await writable.write(data);
          },
          seek: (position) => writable.seek(position),
          close: async () => {
            this.spend();
            await writable.close();
          },
          abort: () => writable.abort(),
        };
      },
    };
  }
}

const old = { a: 'old a', 'sub/b': 'old b', c: 'old c' };
const next = { a: 'new a', 'sub/b': 'new b', d: 'new d' };

/** Closes the page at every operation in turn; `check` gets what the next page finds after sweeping. */
async function closeEverywhere(
  before: Record<string, string> | null,
  act: (path: string) => Promise<void>,
  check: (found: Record<string, string> | null) => void,
): Promise<number> {
  for (let operations = 0; ; operations += 1) {
    const disk = new MemoryFolder(`disk-${made++}`);
    const path = `${await platform.mount(disk)}/run`;
    if (before !== null) await platform.writeFolder(path, 'merge', write(before));
    const page = new Page(operations);
    const seen = `${await platform.mount(page.folder(disk))}/run`;
    const closed = await act(seen).then(
      () => false,
      () => true,
    );
    await platform.sweep(path);
    const found = await contentOf(path);
    check(found);
    if (!closed) return operations;
    // The next page can write there.
    await platform.writeFolder(path, 'replace', write({ e: '5' }));
    expect(await contentOf(path)).toEqual({ e: '5' });
  }
}

describe('a page that is closed while it writes', () => {
  it('leaves a new folder whole or absent', async () => {
    const tried = await closeEverywhere(
      null,
      (path) => platform.writeFolder(path, 'replace', write(next)),
      (found) => expect([null, next]).toContainEqual(found),
    );
    expect(tried).toBeGreaterThan(10);
  });

  it('leaves the old folder or the new one', async () => {
    const tried = await closeEverywhere(
      old,
      (path) => platform.writeFolder(path, 'replace', write(next)),
      (found) => expect([old, next]).toContainEqual(found),
    );
    expect(tried).toBeGreaterThan(10);
  });

  it('leaves all of the merged files or none', async () => {
    await closeEverywhere(
      old,
      (path) => platform.writeFolder(path, 'merge', write(next)),
      (found) => expect([old, { ...old, ...next }]).toContainEqual(found),
    );
  });

  it('leaves a folder that it removed whole or absent', async () => {
    await closeEverywhere(
      old,
      (path) => platform.remove(path),
      (found) => expect([old, null]).toContainEqual(found),
    );
  });
});

describe('checkWritable', () => {
  it('leaves nothing behind', async () => {
    const disk = new MemoryFolder(`disk-${made++}`);
    const path = await platform.mount(disk);
    await platform.checkWritable(`${path}/run/deeper`);
    expect(disk.entries.size).toBe(0);
  });

  it('says why a page cannot write to an address, a file, or a folder without permission', async () => {
    await expect(platform.checkWritable('out')).rejects.toThrow(
      "a page cannot write to 'out' · write to 'opfs:/name'",
    );
    const path = fresh();
    await platform.append(`${path}/a`, new Uint8Array(1));
    await expect(platform.checkWritable(`${path}/a`)).rejects.toThrow('is a file, not a folder');
    await expect(platform.checkWritable(`${path}/a/b`)).rejects.toThrow('a part of the path is a file');
    await expect(platform.checkWritable('folder:/none/a')).rejects.toThrow('in no mounted folder');
    const picked = Object.assign(new MemoryFolder(`disk-${made++}`), {
      queryPermission: async () => 'denied',
    });
    await expect(platform.checkWritable(await platform.mount(picked))).rejects.toThrow(
      'the page has no permission · call the folder',
    );
  });

  it('names the storage, or the disk, that is full', async () => {
    const disk = new MemoryFolder(`disk-${made++}`);
    const path = await platform.mount(disk);
    const storage = {
      estimate: async () => ({ usage: 9e6, quota: 10e6 }),
      getDirectory: async () => new MemoryFolder(),
    };
    vi.stubGlobal('navigator', { storage });
    vi.spyOn(MemoryFolder.prototype, 'getFileHandle').mockImplementation(async () => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    await expect(platform.writeFolder('opfs:/a', 'merge', write({ a: '1' }))).rejects.toThrow(
      "cannot write 'opfs:/a': the browser's storage for this page is full (9 MB of 10 MB)",
    );
    await expect(platform.writeFolder(`${path}/a`, 'merge', write({ a: '1' }))).rejects.toThrow(
      `cannot write '${path}/a': its disk is full · free some space, or choose a folder on another disk`,
    );
    vi.restoreAllMocks();
  });
});

it('mounts folders once, and files without reading them', async () => {
  const folder = new MemoryFolder('my model');
  expect(await platform.mount(folder)).toBe('folder:/my model');
  expect(await platform.mount(folder)).toBe('folder:/my model');
  expect(await platform.mount(new MemoryFolder('my model'))).toBe('folder:/my model-2');
  const file = (name: string, text: string, path?: string): File =>
    Object.assign(new File([text], name), { webkitRelativePath: path ?? '' });
  const dropped = await platform.mount([file('a.txt', 'one'), file('b.txt', 'two')]);
  expect(await contentOf(dropped)).toEqual({ 'a.txt': 'one', 'b.txt': 'two' });
  const chosen = await platform.mount([file('c', '3', 'bert/c'), file('d', '4', 'bert/sub/d')]);
  expect(chosen).toMatch(/^memory:\/files-2\/bert$/);
  expect(await contentOf(chosen)).toEqual({ c: '3', 'sub/d': '4' });
  await expect(platform.mount([])).rejects.toThrow('there are no files');
});

it('reads ranges, and appends', async () => {
  const path = `${fresh()}/sub/log`;
  await platform.append(path, Uint8Array.of(1, 2, 3));
  await platform.append(path, Uint8Array.of(4));
  const file = await platform.openFile(path);
  expect(file.size).toBe(4);
  expect([...(await file.read(2, 2))]).toEqual([3, 4]);
  await expect(file.read(2, 3)).rejects.toThrow('ends at byte 4; 3 bytes from 2 were wanted');
  await expect(platform.openFile(`${path}-2`)).rejects.toThrow('it does not exist');
});

it('joins paths and addresses', () => {
  const join = platform.joinPath;
  expect(join('opfs:run', '.', 'a')).toBe('opfs:/run/a');
  expect(join('opfs:/run/checkpoint-1', '..', 'checkpoint-2')).toBe('opfs:/run/checkpoint-2');
  expect(join('https://host/a/', 'b')).toBe('https://host/a/b');
  expect(join('/models/x', '..', 'y')).toBe('/models/y');
  expect(join('../x', 'y')).toBe('../x/y');
  expect(join('x', '..', '..', 'y')).toBe('../y');
});
