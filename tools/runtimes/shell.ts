/** Runs programs, and says how they ended. */
import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';

export interface Ended {
  /** Null if it ran past its time. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd: string;
  env?: Record<string, string>;
  /** Default 300. */
  seconds?: number;
  /** A signal sent once standard error holds the text. */
  signal?: { when: string; name: NodeJS.Signals };
}

/** Runs a program to its end. One that cannot be started ends with code 127. */
export function execute(command: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  const { cwd, env = {}, seconds = 300, signal } = options;
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env } });
    const ended: Ended = { code: null, stdout: '', stderr: '' };
    let open = signal !== undefined;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, 1000 * seconds);
    child.stdout.on('data', (bytes: Buffer) => {
      ended.stdout += bytes;
    });
    child.stderr.on('data', (bytes: Buffer) => {
      ended.stderr += bytes;
      if (!open || !ended.stderr.includes(signal!.when)) return;
      open = false;
      child.kill(signal!.name);
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve({ ...ended, code: 127, stderr: error.message });
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ ...ended, code: late ? null : code });
    });
  });
}

/** How a program failed: its last line, in one line of the table. */
export function reasonOf({ code, stdout, stderr }: Ended): string {
  if (code === null) return 'ran past its time, or a signal ended it';
  // Without the colors of a terminal.
  const text = stripVTControlCharacters(`${stdout}\n${stderr}`);
  const lines = text.split('\n').map((line) => line.trim());
  const told =
    lines.filter((line) => /error/i.test(line)).at(0) ?? lines.filter((line) => line !== '').at(-1);
  return `exit code ${code}: ${(told ?? 'no output').slice(0, 200)}`;
}
