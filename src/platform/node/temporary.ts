/** Names files and folders under construction and sweeps up the ones that killed processes left behind. */
import { randomBytes } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** `tmp`: being written; `old`: the one being replaced; `probe`: a trial write. */
export type Purpose = 'tmp' | 'old' | 'probe';

const TEMPORARY = /^\.(.+)\.(tmp|old|probe)-(\d+)-[0-9a-f]{8}$/;
/** A process id may be reused, or be another machine's: anything older than this counts as abandoned. */
const DAY_MS = 24 * 3600 * 1000;

const inUse = new Set<string>();

/** A unique path in `folder` for something to be called `name`. Call `forget` once the path is gone. */
export function temporaryPath(folder: string, name: string, purpose: Purpose): string {
  const path = join(folder, `.${name}.${purpose}-${process.pid}-${randomBytes(4).toString('hex')}`);
  inUse.add(path);
  return path;
}

export function forget(path: string): void {
  inUse.delete(path);
}

/** Removes a path made by `temporaryPath`, if it exists. */
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
  // Same id but not this process's path: in a container every run may have the same process id.
  if (pid === process.pid || !isRunning(pid)) return true;
  const info = await stat(path).catch(() => null);
  return info !== null && Date.now() - info.mtimeMs > DAY_MS;
}

/**
 * Removes from a folder the temporary entries of dead processes for names that `wanted` accepts. An `old`
 * entry whose replacement never arrived gets its name back. Entries that cannot be removed are left alone.
 */
export async function sweepEntries(folder: string, wanted: (name: string) => boolean): Promise<void> {
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
