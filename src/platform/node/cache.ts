/** The engine's own cache folder. */
import { mkdir } from 'node:fs/promises';
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
