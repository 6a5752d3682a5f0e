/** The engine's own cache folder. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** `$XDG_CACHE_HOME/dawngrad`, or `~/.cache/dawngrad`, or a folder for temporary files where neither can be written. */
export async function cacheFolder(): Promise<string> {
  const preferred = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dawngrad');
  try {
    await mkdir(preferred, { recursive: true });
    return preferred;
  } catch {
    const fallback = join(tmpdir(), 'dawngrad-cache');
    await mkdir(fallback, { recursive: true });
    return fallback;
  }
}

export async function readCache(name: string): Promise<string | null> {
  try {
    return await readFile(join(await cacheFolder(), name), 'utf8');
  } catch {
    return null;
  }
}

/** Replaces the file by a rename, so that nobody reads half of it. */
export async function writeCache(name: string, text: string): Promise<void> {
  const path = join(await cacheFolder(), name);
  await writeFile(`${path}.${process.pid}`, text);
  await rename(`${path}.${process.pid}`, path);
}
