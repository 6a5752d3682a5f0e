/** Folders appear whole or not at all: killed anywhere, on full disks, on volumes, without permission. */

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ExistingFolder, FolderWriter } from '../../src/platform/contract.ts';
import { asNobody, canMount, isRoot, mount, remount, unmountAll } from '../support/mount.ts';

/** From this modifying operation on, every one fails, as if the process had been killed. */
const death = vi.hoisted(() => ({ at: Number.POSITIVE_INFINITY, done: 0 }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs/promises')>();
  /** `half`: the partial effect that a kill leaves of the operation. */
  const mortal =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>, half?: (...args: A) => Promise<unknown>) =>
    async (...args: A): Promise<R> => {
      death.done += 1;
      if (death.done === death.at) await half?.(...args);
      if (death.done >= death.at) throw new Error('killed');
      return call(...args);
    };
  return {
    ...fs,
    mkdir: mortal(fs.mkdir as (path: string, options?: object) => Promise<string | undefined>),
    rename: mortal(fs.rename),
    rm: mortal(fs.rm),
    rmdir: mortal(fs.rmdir),
    open: mortal(async (path: string, flags: string): Promise<FileHandle> => {
      const handle = await fs.open(path, flags);
      const write = handle.write.bind(handle) as (
        b: Uint8Array,
        at: number,
        n: number,
      ) => ReturnType<FileHandle['write']>;
      handle.write = mortal(write, (bytes, at, length) => write(bytes, at, length >> 1)) as never;
      return handle;
    }),
  };
});

type Files = typeof import('../../src/platform/node/files.ts');

/** Loads the module anew, as a process that has just started. */
async function freshProcess(): Promise<Files> {
  vi.resetModules();
  death.at = Number.POSITIVE_INFINITY;
  death.done = 0;
  return import('../../src/platform/node/files.ts');
}

let scratch = '';
let folder = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'dawngrad-files-'));
  chmodSync(scratch, 0o755);
  folder = join(scratch, 'out');
});
afterEach(() => {
  unmountAll();
  rmSync(scratch, { recursive: true, force: true });
});

const counts: Record<string, number> = {};
afterAll(() => console.log(`faults injected into files: ${JSON.stringify(counts)}`));
const count = (what: string): void => {
  counts[what] = (counts[what] ?? 0) + 1;
};

/** Two versions of a model's files. */
const contents = (version: string): Record<string, string> => ({
  'config.json': `config ${version}`,
  'model.safetensors': version.repeat(5000),
  'sub/state.json': `state ${version}`,
});
const fill =
  (version: string) =>
  async (writer: FolderWriter): Promise<void> => {
    for (const [name, text] of Object.entries(contents(version))) await writer.writeText(name, text);
  };

/** All files below a folder, by name. */
function filesIn(path: string, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const name = prefix + entry.name;
    if (entry.isDirectory()) Object.assign(found, filesIn(join(path, entry.name), `${name}/`));
    else found[name] = readFileSync(join(path, entry.name), 'utf8');
  }
  return found;
}

const hidden = (path: string): string[] => readdirSync(path).filter((name) => name.startsWith('.'));

/** Kills `writeFolder` at every operation in turn; `check` gets what remains after sweeping. */
async function killEverywhere(
  name: string,
  setUp: (files: Files) => Promise<void>,
  existing: ExistingFolder,
  check: (found: Record<string, string> | null) => void,
): Promise<void> {
  for (let at = 1; ; at += 1) {
    const files = await freshProcess();
    await setUp(files);
    death.at = at;
    death.done = 0;
    const failed = await files.writeFolder(folder, existing, fill('b')).then(
      () => false,
      () => true,
    );
    const next = await freshProcess();
    await next.sweep(folder);
    expect(hidden(scratch), `killed at operation ${at}`).toEqual([]);
    if (existsSync(folder)) expect(hidden(folder), `killed at operation ${at}`).toEqual([]);
    check(existsSync(folder) ? filesIn(folder) : null);
    if (!failed) {
      expect(at).toBeGreaterThan(5);
      expect(filesIn(folder)).toMatchObject(contents('b'));
      return;
    }
    count(`killed: ${name}`);
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('killed at any operation', () => {
  it('a new folder is whole or absent', () =>
    killEverywhere(
      'new folder',
      async () => {},
      'merge',
      (found) => {
        if (found !== null) expect(found).toEqual(contents('b'));
      },
    ));

  it('a folder that is replaced is the old one or the new one', () =>
    killEverywhere(
      'replaced folder',
      (files) => files.writeFolder(folder, 'merge', fill('a')),
      'replace',
      (found) => expect([contents('a'), contents('b')]).toContainEqual(found),
    ));

  it('of a folder that is written into, every file is the old one or the new one, and others stay', () =>
    killEverywhere(
      'merged folder',
      async (files) => {
        await files.writeFolder(folder, 'merge', fill('a'));
        writeFileSync(join(folder, 'notes.txt'), 'mine');
      },
      'merge',
      (found) => {
        expect(Object.keys(found!).sort()).toEqual([...Object.keys(contents('a')), 'notes.txt'].sort());
        for (const [name, text] of Object.entries(found!))
          expect([contents('a')[name], contents('b')[name], 'mine'], name).toContain(text);
      },
    ));
});

describe('sweeping', () => {
  it('leaves what a process that runs has under construction, and things that only look so', async () => {
    const files = await freshProcess();
    mkdirSync(folder);
    const parent = `.out.tmp-${process.ppid}-0123abcd`;
    for (const name of [parent, '.out.tmp', '.other.tmp-999999999-0123abcd']) mkdirSync(join(scratch, name));
    mkdirSync(join(scratch, '.out.tmp-999999999-0123abcd'));
    mkdirSync(join(folder, '.checkpoint-5.tmp-999999999-0123abcd'));
    await files.writeFolder(folder, 'merge', async (writer) => {
      await writer.writeText('a', 'x');
      await files.sweep(folder);
      await writer.writeText('b', 'y');
    });
    await files.sweep(folder);
    expect(hidden(scratch)).toEqual(['.other.tmp-999999999-0123abcd', '.out.tmp', parent].sort());
    expect(readdirSync(folder)).toEqual(['a', 'b']);
  });
});

describe.skipIf(!canMount)('a full disk', () => {
  it.each(['merge', 'replace'] as const)('keeps the old model whole (%s)', async (existing) => {
    const files = await freshProcess();
    mount(scratch, 'size=64k');
    await files.writeFolder(folder, 'merge', fill('a'));
    const before = filesIn(folder);
    const more = async (writer: FolderWriter): Promise<void> => {
      await fill('b')(writer);
      await writer.writeText('big', 'x'.repeat(100_000));
    };
    await expect(files.writeFolder(folder, existing, more)).rejects.toThrow(
      `cannot write '${folder}': the disk is full`,
    );
    expect(filesIn(folder)).toEqual(before);
    expect([...hidden(scratch), ...hidden(folder)]).toEqual([]);
    count('full disk');
  });

  it('is found out by a trial', async () => {
    const files = await freshProcess();
    mount(scratch, 'size=8k');
    writeFileSync(join(scratch, 'fills it'), 'x'.repeat(8192));
    for (const path of [folder, scratch])
      await expect(files.checkWritable(path)).rejects.toThrow(`cannot write '${path}': the disk is full`);
    count('full disk');
  });
});

describe.skipIf(!canMount)('a volume', () => {
  const volumes: Record<string, () => void> = {
    'a file system of its own': () => mount(folder, 'size=1m'),
    'a folder of the same file system': () => {
      mkdirSync(join(scratch, 'elsewhere'));
      mount(folder, '', join(scratch, 'elsewhere'));
    },
    'in a folder that may not be written': () => {
      mount(scratch, 'size=1m');
      mount(folder, 'size=1m');
      remount(scratch, 'ro');
    },
  };

  it.each(Object.entries(volumes))('%s is filled, and replaced', async (_, make) => {
    const files = await freshProcess();
    make();
    await files.checkWritable(folder);
    await files.writeFolder(folder, 'merge', fill('a'));
    expect(filesIn(folder)).toEqual(contents('a'));
    writeFileSync(join(folder, 'old.txt'), 'old');
    await files.writeFolder(folder, 'replace', fill('b'));
    expect(filesIn(folder)).toEqual(contents('b'));
    await files.writeFolder(join(folder, 'checkpoint-1'), 'replace', fill('a'));
    await files.writeFolder(join(folder, 'checkpoint-1'), 'replace', fill('b'));
    expect(filesIn(join(folder, 'checkpoint-1'))).toEqual(contents('b'));
    expect(hidden(folder)).toEqual([]);
    count('volume');
  });

  it('that may not be written is found out by a trial', async () => {
    const files = await freshProcess();
    mount(folder, 'size=1m');
    remount(folder, 'ro');
    await expect(files.checkWritable(folder)).rejects.toThrow(
      `cannot write '${folder}': the disk is read-only`,
    );
    count('volume');
  });
});

describe.skipIf(!isRoot)('without permission', () => {
  it('a trial says so, whether the folder is there or not', async () => {
    const files = await freshProcess();
    mkdirSync(folder);
    for (const path of [folder, join(scratch, 'new'), join(scratch, 'new', 'deep')])
      await expect(asNobody(() => files.checkWritable(path))).rejects.toThrow(
        `cannot write '${path}': permission denied`,
      );
    expect(readdirSync(scratch)).toEqual(['out']);
    count('permission');
  });

  it('to the parent, an output that may be written is filled', async () => {
    const files = await freshProcess();
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    await asNobody(async () => {
      await files.checkWritable(folder);
      await files.writeFolder(folder, 'merge', fill('a'));
      await files.writeFolder(folder, 'replace', fill('b'));
    });
    expect(filesIn(folder)).toEqual(contents('b'));
    count('permission');
  });
});

describe('a trial', () => {
  it('leaves nothing, not even parents that it made', async () => {
    const files = await freshProcess();
    await files.checkWritable(join(scratch, 'a', 'b', 'c'));
    expect(readdirSync(scratch)).toEqual([]);
  });
});
