/** Names of files and folders under construction, and sweeping up those of processes that were killed. */
import { randomBytes } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** `tmp`: being written; `old`: what it replaces; `probe`: a trial. */
export type Purpose = 'tmp' | 'old' | 'probe';

const TEMPORARY = /^\.(.+)\.(tmp|old|probe)-(\d+)-[0-9a-f]{8}$/;
/** A process number may be given again, or be another machine's: what is older than this is nobody's. */
const DAY_MS = 24 * 3600 * 1000;

/** Paths that this process uses now. */
const inUse = new Set<string>();

/**
 * A path inside `folder` that nothing else has, for a thing that is to be called `name`. `forget` it when it
 * is gone.
 */
export function temporaryPath(folder: string, name: string, purpose: Purpose): string {
  const path = join(folder, `.${name}.${purpose}-${process.pid}-${randomBytes(4).toString('hex')}`);
  inUse.add(path);
  return path;
}

export function forget(path: string): void {
  inUse.delete(path);
}

/** Removes a path that `temporaryPath` gave, if it is there. */
export async function discard(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  forget(path);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function isAbandoned(path: string, pid: number): Promise<boolean> {
  if (inUse.has(path)) return false;
  // One of this number, but not of this process: in a container every run may have the same.
  if (pid === process.pid || !isRunning(pid)) return true;
  const info = await stat(path).catch(() => null);
  return info !== null && Date.now() - info.mtimeMs > DAY_MS;
}

/**
 * Removes from a folder what processes that are gone left under construction for names that `wanted` accepts;
 * a thing that had been put aside, but not yet replaced, gets its name back. What may not be removed stays.
 */
export async function sweep(folder: string, wanted: (name: string) => boolean): Promise<void> {
  const names: string[] = await readdir(folder).catch(() => []);
  for (const entry of names) {
    const [, name = '', purpose, pid] = TEMPORARY.exec(entry) ?? [];
    if (purpose === undefined || !wanted(name)) continue;
    const path = join(folder, entry);
    if (!(await isAbandoned(path, Number(pid)))) continue;
    if (purpose === 'old' && !names.includes(name)) {
      await rename(path, join(folder, name)).catch(() => {});
    } else await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

/** Sweeps what was under construction for a folder: beside it, and inside it. */
export async function sweepFor(target: string): Promise<void> {
  await sweep(dirname(target), (name) => name === basename(target));
  await sweep(target, () => true);
}
