/** The engine's own cache folder. Libraries are loaded from it, so no other user may write to it. */
import { rmSync } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, readFile, realpath, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expandPath } from './environment.ts';
import { discard, forget, sweepEntries, temporaryPath } from './temporary.ts';

const GROUP_OR_OTHERS_WRITE = 0o022;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/** The user's id, or null if the system has none. */
const user = (): number | null => process.geteuid?.() ?? null;

/** Whether this user or root owns a file or folder (not a link) and nobody else may write to it. */
export async function isOurs(path: string): Promise<boolean> {
  const uid = user();
  if (uid === null) return true;
  const info = await lstat(path).catch(() => null);
  if (info === null || info.isSymbolicLink()) return false;
  return (info.uid === uid || info.uid === 0) && (info.mode & GROUP_OR_OTHERS_WRITE) === 0;
}

/** Whether nobody else can replace this folder with another one. */
async function isFixed(path: string): Promise<boolean> {
  const uid = user();
  for (let folder = dirname(path); uid !== null; folder = dirname(folder)) {
    const info = await lstat(folder).catch(() => null);
    if (info === null || (info.uid !== uid && info.uid !== 0)) return false;
    if ((info.mode & OTHERS_WRITE) !== 0 && (info.mode & STICKY) === 0) return false;
    if (folder === dirname(folder)) break;
  }
  return true;
}

/**
 * Creates the folder if it is missing and returns its real path. Returns null if it cannot be written, or if
 * anyone but this user and root could write to it.
 */
async function claim(folder: string): Promise<string | null> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const real = await realpath(folder);
    const trial = temporaryPath(real, 'trial', 'probe');
    await mkdir(trial);
    await discard(trial);
    const { mode, uid } = await lstat(real);
    // A permissive umask may have made it group-writable. Libraries that others could have placed there are
    // checked by hash anyway.
    if (uid === user() && (mode & GROUP_OR_OTHERS_WRITE) !== 0) await chmod(real, mode & 0o755);
    return (await isOurs(real)) && (await isFixed(real)) ? real : null;
  } catch {
    return null;
  }
}

let lastResort: Promise<string> | null = null;

/** Creates a folder for this process alone, removed when the process exits. */
async function ownFolder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'dawngrad-'));
  process.on('exit', () => rmSync(made, { recursive: true, force: true }));
  return made;
}

/**
 * `$XDG_CACHE_HOME/dawngrad`, or `~/.cache/dawngrad`. If that cannot be written, or others could write to it
 * or replace it, falls back to a per-user folder under the system's temporary folder. If another user already
 * owns that name, uses a new folder for this process alone.
 */
export async function cacheFolder(): Promise<string> {
  const home = expandPath(process.env.XDG_CACHE_HOME || join('~', '.cache'));
  const preferred = join(home, 'dawngrad');
  const shared = join(tmpdir(), `dawngrad-cache-${user() ?? 'user'}`);
  const claimed = (await claim(preferred)) ?? (await claim(shared));
  if (claimed !== null) return claimed;
  lastResort ??= ownFolder();
  return lastResort;
}

export async function readCache(name: string): Promise<string | null> {
  try {
    return await readFile(join(await cacheFolder(), name), 'utf8');
  } catch {
    return null;
  }
}

/** Replaces the file by a rename, so that no reader sees a partial file. */
export async function writeCache(name: string, text: string): Promise<void> {
  const folder = await cacheFolder();
  await sweepEntries(folder, (other) => other === name);
  const path = temporaryPath(folder, name, 'tmp');
  await writeFile(path, text);
  await rename(path, join(folder, name));
  forget(path);
}
