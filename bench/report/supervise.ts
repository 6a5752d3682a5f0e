/** Runs a part of the report in its own process, and kills it when its time is up. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { addResults, type PartMessage, type PartOutcome, type PartRequest } from './data.ts';

const entry = fileURLToPath(new URL('part.ts', import.meta.url));
/** Seconds before the limit at which a part should stop by itself. */
const GRACE = 4;

/** A part's process leads its own process group, so that its children are killed too. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has just exited.
  }
}

/** The last line that a part printed, other than warnings of Dawn or Node. */
function lastWords(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.findLast((line) => line !== '' && !/^(Warning:|\(node:|\(Use )/.test(line)) ?? '';
}

export interface Supervision extends Omit<PartRequest, 'deadline'> {
  /** Seconds after which the part is killed. */
  seconds: number;
  /** Ends the part early, keeping its findings so far. */
  signal: AbortSignal;
}

/** Runs a part and adds its findings to `results` as they arrive. Never throws. */
export function runPart({ part, options, results, seconds, signal }: Supervision): Promise<PartOutcome> {
  const start = Date.now();
  const outcome: PartOutcome = { part, state: 'failed', seconds: 0, leftOut: [] };
  return new Promise((resolve) => {
    const child = fork(entry, {
      execArgv: ['--import', import.meta.resolve('tsx')],
      detached: process.platform !== 'win32',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    let printed = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (data: Buffer) => {
        printed = (printed + data.toString()).slice(-4000);
      });
    const cut = (reason: string): void => {
      Object.assign(outcome, { state: 'cut off', reason });
      kill(child);
    };
    const late = setTimeout(() => cut(`its ${Math.round(seconds)} s were over`), 1000 * seconds);
    const abort = (): void => cut('the report was interrupted');
    signal.addEventListener('abort', abort, { once: true });
    child.on('message', (message: PartMessage) => {
      if ('found' in message) addResults(results, message.found);
      else if ('leftOut' in message) outcome.leftOut.push(message.leftOut);
      else if ('failed' in message) outcome.reason = message.failed;
      else outcome.state = 'done';
    });
    child.on('error', (error) => {
      outcome.reason = error.message;
    });
    child.on('close', (code, by) => {
      clearTimeout(late);
      signal.removeEventListener('abort', abort);
      outcome.seconds = (Date.now() - start) / 1000;
      if (outcome.state === 'failed')
        outcome.reason ??= `its process ended by ${by ?? `exit code ${code}`}: ${lastWords(printed)}`;
      // A native crash may leave a child of the part behind.
      kill(child);
      resolve(outcome);
    });
    const deadline = start + 1000 * Math.max(0.8 * seconds, seconds - GRACE);
    child.send({ part, options, results, deadline } satisfies PartRequest, () => {});
  });
}
