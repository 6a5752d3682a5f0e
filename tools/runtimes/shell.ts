/** Runs programs, and says how they ended. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

/** Of util-linux: gives a program a terminal. */
const SCRIPT = '/usr/bin/script';
export const hasTerminal = existsSync(SCRIPT);

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

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
  /** Runs it on a terminal of its own, whose output is `stdout`. */
  terminal?: boolean;
  /** Ctrl-C once the output holds the text: typed on a terminal, else as a signal. */
  interruptAt?: string;
}

/** Runs a program to its end. One that cannot be started ends with code 127. */
export function execute(command: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  const { cwd, env = {}, seconds = 300, terminal = false, interruptAt } = options;
  return new Promise((resolve) => {
    const [started, given] = terminal
      ? [SCRIPT, ['-qec', [command, ...args].map(quoted).join(' '), '/dev/null']]
      : [command, args];
    const child = spawn(started, given, { cwd, env: { ...process.env, ...env } });
    const ended: Ended = { code: null, stdout: '', stderr: '' };
    let open = interruptAt !== undefined;
    const interrupt = (): void => {
      if (!open || !`${ended.stdout}${ended.stderr}`.includes(interruptAt!)) return;
      open = false;
      if (terminal) child.stdin.write('\x03');
      else child.kill('SIGINT');
    };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, 1000 * seconds);
    child.stdout.on('data', (bytes: Buffer) => {
      ended.stdout += bytes;
      interrupt();
    });
    child.stderr.on('data', (bytes: Buffer) => {
      ended.stderr += bytes;
      interrupt();
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
