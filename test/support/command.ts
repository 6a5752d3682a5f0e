/** Runs the command in its own process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  input?: string | Uint8Array;
  env?: Record<string, string>;
  /** Sends Ctrl-C when this appears on stderr. */
  interruptAt?: RegExp;
}

const tsx = createRequire(import.meta.url).resolve('tsx');

/** What a process printed, when it has ended. */
function ended(child: ChildProcess, onError: (stderr: string) => void = () => {}): Promise<Result> {
  let [stdout, stderr] = ['', ''];
  child.stdout!.on('data', (chunk) => {
    stdout += String(chunk);
  });
  child.stderr!.on('data', (chunk) => {
    stderr += String(chunk);
    onError(stderr);
  });
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Runs a line of a shell, as a page prints it, in a folder. `npx dawngrad` is this checkout's command. */
export function printed(line: string, cwd: string): Promise<Result> {
  const npx = 'npx() { shift; "$NODE" --import "$TSX" "$MAIN" "$@"; }';
  const env = { ...process.env, NODE: process.execPath, TSX: tsx, MAIN: `${root}src/cli/main.ts` };
  return ended(spawn('sh', ['-c', `${npx}\n${line}`], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

export function dawngrad(args: string[], { input, env = {}, interruptAt }: RunOptions = {}): Promise<Result> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
  });
  child.stdin.end(input ?? '');
  let interrupted = false;
  return ended(child, (stderr) => {
    if (interrupted || !interruptAt?.test(stderr)) return;
    interrupted = true;
    child.kill('SIGINT');
  });
}
