/** The browser's platform, with its globals stubbed. */
import { afterEach, expect, it, vi } from 'vitest';
import { FileError } from '../../src/errors.ts';
import { platform } from '../../src/platform/browser.ts';

afterEach(() => vi.unstubAllGlobals());

it('keeps small texts in localStorage', async () => {
  const kept = new Map<string, string>();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, text: string) => void kept.set(key, text),
  });
  await platform.writeCache('a.json', '{}');
  expect([...kept.keys()]).toEqual(['dawngrad/a.json']);
  expect(await platform.readCache('a.json')).toBe('{}');
  expect(await platform.readCache('b.json')).toBe(null);
});

it('keeps nothing in a sandboxed frame, where reading localStorage throws', async () => {
  const usual = Object.getOwnPropertyDescriptor(globalThis, 'localStorage');
  Object.defineProperty(globalThis, 'localStorage', {
    configurable: true,
    get: () => {
      throw new DOMException('the document is sandboxed', 'SecurityError');
    },
  });
  try {
    await platform.writeCache('a.json', '{}');
    expect(await platform.readCache('a.json')).toBe(null);
  } finally {
    if (usual === undefined) Reflect.deleteProperty(globalThis, 'localStorage');
    else Object.defineProperty(globalThis, 'localStorage', usual);
  }
});

it('names the address where the network fails, and knows files that are not there', async () => {
  vi.stubGlobal('fetch', async (path: string) => {
    if (path.startsWith('https://none/')) throw new TypeError('Failed to fetch');
    return new Response(null, { status: path.endsWith('/there/config.json') ? 200 : 404 });
  });
  await expect(platform.exists('https://none/a')).rejects.toThrow(FileError);
  await expect(platform.isFolder('https://none/a')).rejects.toThrow(
    "cannot fetch 'https://none/a/config.json'",
  );
  expect(await platform.isFolder('https://host/there')).toBe(true);
  expect(await platform.exists('https://host/missing')).toBe(false);
});

it.each([
  ['tells no size', {}],
  ['compresses', { 'content-encoding': 'gzip', 'content-length': '3' }],
])('reads a file of a server that %s', async (_, headers) => {
  vi.stubGlobal('fetch', async (_path: string, { method = 'GET' }: RequestInit = {}) =>
    method === 'HEAD' ? new Response(null, { headers }) : new Response('0123456789'),
  );
  const file = await platform.openFile('https://host/rows.tsv');
  expect(file.size).toBe(10);
  expect(new TextDecoder().decode(await file.read(3, 4))).toBe('3456');
  await expect(file.read(8, 4)).rejects.toThrow(FileError);
});
