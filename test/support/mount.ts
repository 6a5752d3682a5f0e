/**
 * Small file systems in memory, for tests of full disks and of volumes. Only root may mount them; other users
 * see that these tests are skipped.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: 'pipe' });
}

const mounted: string[] = [];

/** Creates a folder and mounts on it with options (`size=64k`, `remount,ro`), or binds another folder. */
export function mount(path: string, options: string, bind?: string): void {
  mkdirSync(path, { recursive: true });
  if (bind === undefined) run('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', path);
  else run('mount', '--bind', bind, path);
  mounted.push(path);
}

export function remount(path: string, options: string): void {
  run('mount', '-o', `remount,${options}`, path);
}

/** Unmounts everything, last first. */
export function unmountAll(): void {
  for (const path of mounted.splice(0).reverse()) run('umount', path);
}

/** Why nothing can be mounted here; null if mounting works. */
function obstacle(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'dawngrad-mount-'));
  try {
    mount(join(folder, 'x'), 'size=64k');
    unmountAll();
    return null;
  } catch (error) {
    mounted.length = 0;
    return error instanceof Error ? error.message.split('\n')[0]! : String(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const reason = obstacle();
export const canMount = reason === null;
if (reason !== null) console.log(`tests of full disks and volumes are skipped: ${reason}`);

/** Whether this process can act as another user. */
export const isRoot = process.geteuid?.() === 0;
if (!isRoot) console.log('tests of permissions that only root can set up are skipped');

/** A user that owns nothing. */
export const NOBODY = 65534;

/** Runs `body` as a user that owns nothing. */
export async function asNobody<T>(body: () => Promise<T>): Promise<T> {
  process.seteuid!(NOBODY);
  try {
    return await body();
  } finally {
    process.seteuid!(0);
  }
}
