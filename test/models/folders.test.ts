/** Folders copied and packed, on Node's files. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { expect, it } from 'vitest';
import { copyFolder, mountFolder, zipFolder } from '../../src/models/files/folders.ts';
import { useFolders } from '../support/trainer.ts';

const newFolder = useFolders();

/** Files of 9 MB, which are read in two parts, and smaller ones. */
async function filled(): Promise<{ folder: string; weights: Uint8Array }> {
  const folder = newFolder();
  const weights = Uint8Array.from({ length: 9_000_000 }, (_, at) => (at * at) % 251);
  await mkdir(join(folder, 'checkpoint-1/deep'), { recursive: true });
  await writeFile(join(folder, 'model.safetensors'), weights);
  await writeFile(join(folder, 'config.json'), '{"a": 1}');
  await writeFile(join(folder, 'empty.txt'), '');
  await writeFile(join(folder, 'checkpoint-1/deep/state.json'), '{}');
  return { folder, weights };
}

async function zipped(...args: Parameters<typeof zipFolder>): Promise<Record<string, Uint8Array>> {
  const parts: Uint8Array[] = [];
  for await (const part of zipFolder(...args)) parts.push(part);
  expect(parts.length).toBeGreaterThan(2);
  return unzipSync(Buffer.concat(parts));
}

it('packs a folder, part by part', async () => {
  const { folder, weights } = await filled();
  const files = await zipped(folder);
  expect(Object.keys(files).sort()).toEqual([
    'checkpoint-1/deep/state.json',
    'config.json',
    'empty.txt',
    'model.safetensors',
  ]);
  expect(Buffer.compare(files['model.safetensors']!, weights)).toBe(0);
  expect(new TextDecoder().decode(files['config.json'])).toBe('{"a": 1}');
  const some = await zipped(folder, { filter: (path) => !path.startsWith('checkpoint-') });
  expect(Object.keys(some).sort()).toEqual(['config.json', 'empty.txt', 'model.safetensors']);
});

it('copies a folder, beside what is there or in its place', async () => {
  const { folder, weights } = await filled();
  const target = newFolder();
  await mkdir(target);
  await writeFile(join(target, 'mine'), '');
  await copyFolder(folder, target, { filter: (path) => path !== 'empty.txt' });
  expect((await readdir(target)).sort()).toEqual([
    'checkpoint-1',
    'config.json',
    'mine',
    'model.safetensors',
  ]);
  expect(Buffer.compare(await readFile(join(target, 'model.safetensors')), weights)).toBe(0);
  await copyFolder(folder, target, { existing: 'replace' });
  expect((await readdir(target)).sort()).toEqual([
    'checkpoint-1',
    'config.json',
    'empty.txt',
    'model.safetensors',
  ]);
  await expect(copyFolder(folder, target, { existing: 'refuse' })).rejects.toThrow('exists');
  await expect(copyFolder(`${folder}-no`, target)).rejects.toThrow('it does not exist');
});

it('mounts nothing in Node, where folders have paths', async () => {
  await expect(mountFolder([])).rejects.toThrow('give the path of the folder');
});
