/** The cache and the packaged adapter: nothing is loaded that another user could have put there. */
import {
  appendFileSync,
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { asNobody, canMount, isRoot, mount, NOBODY, unmountAll } from '../support/mount.ts';

type Cache = typeof import('../../src/platform/node/cache.ts');
type Packaged = typeof import('../../src/platform/node/packaged-adapter.ts');

let scratch = '';
let home = '';
let temporary = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'dawngrad-cache-test-'));
  [home, temporary] = [join(scratch, 'home'), join(scratch, 'tmp')];
  mkdirSync(home);
  mkdirSync(temporary);
  chmodSync(scratch, 0o755);
  chmodSync(temporary, 0o1777);
  vi.stubEnv('XDG_CACHE_HOME', home);
  vi.stubEnv('TMPDIR', temporary);
});
afterEach(() => {
  vi.unstubAllEnvs();
  unmountAll();
  rmSync(scratch, { recursive: true, force: true });
});

let refused = 0;
afterAll(() => console.log(`folders and libraries that were not trusted: ${refused}`));

const freshCache = async (): Promise<Cache> => {
  vi.resetModules();
  return import('../../src/platform/node/cache.ts');
};
const preferred = () => join(home, 'dawngrad');
const shared = () => join(temporary, `dawngrad-cache-${process.geteuid!()}`);

describe('the cache folder', () => {
  it('is made for its user alone', async () => {
    const { cacheFolder } = await freshCache();
    expect(await cacheFolder()).toBe(preferred());
    expect(lstatSync(preferred()).mode & 0o777).toBe(0o700);
  });

  it('that the group may write, as under some umasks, is closed to it', async () => {
    mkdirSync(preferred());
    chmodSync(preferred(), 0o775);
    expect(await (await freshCache()).cacheFolder()).toBe(preferred());
    expect(lstatSync(preferred()).mode & 0o022).toBe(0);
  });

  it('keeps small texts, and leaves nothing else behind', async () => {
    const { readCache, writeCache } = await freshCache();
    expect(await readCache('a.json')).toBe(null);
    writeFileSync(join(preferred(), '.a.json.tmp-999999999-0123abcd'), 'left by a process that was killed');
    await writeCache('a.json', 'text');
    expect(await readCache('a.json')).toBe('text');
    expect(readdirSync(preferred())).toEqual(['a.json']);
  });

  /** Ways of making the preferred folder, or the one for temporary files, unusable. */
  const traps: Record<string, (path: string) => void> = {
    'belongs to another user': (path) => {
      mkdirSync(path);
      chownSync(path, NOBODY, NOBODY);
    },
    'is a link to a folder of another user': (path) => {
      mkdirSync(join(scratch, 'theirs'));
      chownSync(join(scratch, 'theirs'), NOBODY, NOBODY);
      symlinkSync(join(scratch, 'theirs'), path);
    },
    'is a file': (path) => writeFileSync(path, ''),
  };

  it.skipIf(!isRoot).each(Object.entries(traps))('that %s is not used, here or there', async (_, trap) => {
    trap(preferred());
    expect(await (await freshCache()).cacheFolder()).toBe(shared());
    expect(lstatSync(shared()).mode & 0o777).toBe(0o700);
    rmSync(shared(), { recursive: true });
    rmSync(join(scratch, 'theirs'), { recursive: true, force: true });
    trap(shared());
    const last = await (await freshCache()).cacheFolder();
    expect(last.startsWith(join(temporary, 'dawngrad-'))).toBe(true);
    expect(last).not.toBe(shared());
    expect(lstatSync(last)).toMatchObject({ uid: process.geteuid!() });
    expect(lstatSync(last).mode & 0o777).toBe(0o700);
    refused += 2;
  });

  it('in a folder that anybody may write is not used', async () => {
    chmodSync(home, 0o777);
    expect(await (await freshCache()).cacheFolder()).toBe(shared());
    refused += 1;
  });

  it.skipIf(!isRoot)('that cannot be written is not used', async () => {
    const { cacheFolder } = await freshCache();
    const used = await asNobody(cacheFolder);
    expect(used).not.toBe(preferred());
    expect(lstatSync(used)).toMatchObject({ uid: NOBODY });
    // Node ignores the environment's temporary folder when the effective user is another one.
    rmSync(used, { recursive: true });
    refused += 1;
  });
});

const packaged = process.platform === 'linux' && process.arch === 'x64';

describe.skipIf(!packaged)('the packaged adapter', () => {
  /** Loads the driver; returns its folder and the environment at that time. */
  async function load(): Promise<{ folder: string; icd: string }> {
    vi.resetModules();
    const { withPackagedDriver }: Packaged = await import('../../src/platform/node/packaged-adapter.ts');
    const dlopen = vi.spyOn(process, 'dlopen').mockImplementation(() => {});
    try {
      const icd = await withPackagedDriver(async () => process.env.VK_ICD_FILENAMES!);
      const path = dlopen.mock.calls[0]![1] as string;
      return { folder: path.slice(0, path.lastIndexOf('/')), icd: icd! };
    } finally {
      dlopen.mockRestore();
    }
  }

  it('is unpacked once, for its user alone', async () => {
    const { folder, icd } = await load();
    expect(folder.startsWith(preferred())).toBe(true);
    expect(icd).toBe(join(folder, 'vk_swiftshader_icd.json'));
    expect(readdirSync(folder)).toEqual([
      'libvk_swiftshader.so',
      'libvulkan.so.1',
      'vk_swiftshader_icd.json',
    ]);
    for (const name of ['.', ...readdirSync(folder)]) {
      const { mode, uid } = lstatSync(join(folder, name));
      expect([mode & 0o077, uid], name).toEqual([0, process.geteuid!()]);
    }
    const before = lstatSync(join(folder, 'libvulkan.so.1')).ino;
    expect(await load()).toEqual({ folder, icd });
    expect(lstatSync(join(folder, 'libvulkan.so.1')).ino).toBe(before);
    expect(readdirSync(preferred())).toHaveLength(1);
  });

  const tampering: Record<string, (folder: string) => void> = {
    'another library': (folder) => {
      rmSync(join(folder, 'libvulkan.so.1'));
      writeFileSync(join(folder, 'libvulkan.so.1'), 'not ours', { mode: 0o500 });
    },
    'a library with a tail': (folder) => {
      chmodSync(join(folder, 'libvk_swiftshader.so'), 0o600);
      appendFileSync(join(folder, 'libvk_swiftshader.so'), 'x');
    },
    'a library that others may write': (folder) => chmodSync(join(folder, 'libvulkan.so.1'), 0o666),
    'a link in place of a library': (folder) => {
      const path = join(folder, 'libvulkan.so.1');
      writeFileSync(join(scratch, 'copy'), readFileSync(path));
      rmSync(path);
      symlinkSync(join(scratch, 'copy'), path);
    },
    'a folder that others may write': (folder) => chmodSync(folder, 0o777),
    'an ICD that points elsewhere': (folder) =>
      writeFileSync(join(folder, 'vk_swiftshader_icd.json'), '{"ICD":{"library_path":"/tmp/x.so"}}'),
    'half of it': (folder) => rmSync(join(folder, 'vk_swiftshader_icd.json')),
    ...(isRoot && {
      'a library of another user': (folder: string) =>
        chownSync(join(folder, 'libvulkan.so.1'), NOBODY, NOBODY),
    }),
  };

  it.each(Object.entries(tampering))('is unpacked anew over %s', async (_, tamper) => {
    const { folder } = await load();
    const good = readFileSync(join(folder, 'libvulkan.so.1'));
    tamper(folder);
    expect((await load()).folder).toBe(folder);
    expect(readFileSync(join(folder, 'libvulkan.so.1')).equals(good)).toBe(true);
    for (const name of ['.', ...readdirSync(folder)]) {
      const info = lstatSync(join(folder, name));
      expect([info.mode & 0o077, info.uid, info.isSymbolicLink()], name).toEqual([
        0,
        process.geteuid!(),
        false,
      ]);
    }
    refused += 1;
  });

  it.skipIf(!canMount)('that finds no room says so', async () => {
    mount(preferred(), 'size=1m,mode=700');
    await expect(load()).rejects.toThrow(
      /^the packaged software adapter cannot be unpacked: ENOSPC.* · make room in the cache folder/,
    );
    expect(readdirSync(preferred())).toEqual([]);
  });

  it('leaves the environment as it was, also where opening fails', async () => {
    vi.stubEnv('VK_ICD_FILENAMES', '/mine.json');
    vi.stubEnv('VK_DRIVER_FILES', undefined);
    vi.resetModules();
    const { withPackagedDriver }: Packaged = await import('../../src/platform/node/packaged-adapter.ts');
    const dlopen = vi.spyOn(process, 'dlopen').mockImplementation(() => {});
    await expect(withPackagedDriver(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    dlopen.mockRestore();
    expect(process.env.VK_ICD_FILENAMES).toBe('/mine.json');
    expect('VK_DRIVER_FILES' in process.env).toBe(false);
  });
});
