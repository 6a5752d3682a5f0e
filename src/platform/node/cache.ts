/** The engine's own cache folder, which nobody else may own or write: libraries are loaded from it. */
import { rmSync } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, readFile, realpath, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expandPath } from './environment.ts';
import { discard, forget, sweep, temporaryPath } from './temporary.ts';

const GROUP_OR_OTHERS_WRITE = 0o022;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/** The user's number, or null where the system has none. */
const user = (): number | null => process.geteuid?.() ?? null;

/** Whether a file or folder (no link) belongs to this user or to root, and nobody else may write it. */
export async function isOurs(path: string): Promise<boolean> {
  const uid = user();
  if (uid === null) return true;
  const info = await lstat(path).catch(() => null);
  if (info === null || info.isSymbolicLink()) return false;
  return (info.uid === uid || info.uid === 0) && (info.mode & GROUP_OR_OTHERS_WRITE) === 0;
}

/** Whether nobody else may put another folder in the place of this one. */
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
 * Makes the folder where it is missing; its real path, or null where it cannot be written, or not by this
 * user and root alone.
 */
async function claim(folder: string): Promise<string | null> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const real = await realpath(folder);
    const trial = temporaryPath(real, 'trial', 'probe');
    await mkdir(trial);
    await discard(trial);
    const { mode, uid } = await lstat(real);
    // Made under a umask that lets the group write; what others may have put there is held to its hash.
    if (uid === user() && (mode & GROUP_OR_OTHERS_WRITE) !== 0) await chmod(real, mode & 0o755);
    return (await isOurs(real)) && (await isFixed(real)) ? real : null;
  } catch {
    return null;
  }
}

let lastResort: Promise<string> | null = null;

/** A folder for this process alone, which goes when it ends. */
async function ownFolder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'dawngrad-'));
  process.on('exit', () => rmSync(made, { recursive: true, force: true }));
  return made;
}

/**
 * `$XDG_CACHE_HOME/dawngrad`, or `~/.cache/dawngrad`. Where that cannot be written, or others could write or
 * replace it: a folder of this user's in the one for temporary files, and where somebody was there first, a
 * new one for this process alone.
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

/** Replaces the file by a rename, so that nobody reads half of it. */
export async function writeCache(name: string, text: string): Promise<void> {
  const folder = await cacheFolder();
  await sweep(folder, (other) => other === name);
  const path = temporaryPath(folder, name, 'tmp');
  await writeFile(path, text);
  await rename(path, join(folder, name));
  forget(path);
}
