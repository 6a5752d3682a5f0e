/** Keeps Dawn's notices off the terminal. */
import { closeSync, mkdtempSync, openSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isatty } from 'node:tty';
import { isMainThread } from 'node:worker_threads';

const STDERR = 2;

/** Dawn lowers two limits of some drivers to its own and says so each time; nothing here comes near them. */
const NOTICE = /^Warning: maxDynamic\w+ artificially reduced from .*\n/gm;

/**
 * Runs a call during which native code writes to standard error, and passes the text on without Dawn's
 * notices. Dawn has no switch for them, so during the call a file takes the place of the terminal. If standard
 * error is a pipe or a file, it gets everything: Node could not put it back once it is closed.
 */
export function withoutNotices<T>(call: () => T): T {
  const paths = exchange();
  if (paths === null) return call();
  const { terminal, file } = paths;
  // Node's own stream opens the terminal under a number of its own.
  const { stderr } = process;
  closeSync(STDERR);
  // Gets the lowest free number, that of standard error.
  openSync(file, 'a');
  try {
    return call();
  } finally {
    closeSync(STDERR);
    openSync(terminal, 'w');
    stderr.write(readFileSync(file, 'utf8').replace(NOTICE, ''));
    rmSync(dirname(file), { recursive: true });
  }
}

/**
 * The terminal that is standard error, and an empty file; null unless this process may open both. Deno's own
 * stream would not outlive the number's closing: there the notices stay.
 */
function exchange(): { terminal: string; file: string } | null {
  if (process.platform !== 'linux' || process.versions.deno !== undefined || !isMainThread || !isatty(STDERR))
    return null;
  try {
    const terminal = readlinkSync(`/proc/self/fd/${STDERR}`);
    closeSync(openSync(terminal, 'w'));
    const file = join(mkdtempSync(join(tmpdir(), 'dawngrad-')), 'stderr');
    writeFileSync(file, '');
    return { terminal, file };
  } catch {
    return null;
  }
}
