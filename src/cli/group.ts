/** The processes that `mpirun` started for a command. */
import { UsageError } from '../errors.ts';
import type { ProcessGroup } from '../platform/contract.ts';
import { initProcessGroup, Ranks } from '../train/ranks.ts';

/** Commands that share their work; `info` is the same in each process. */
const sharing = ['finetune', 'evaluate', 'predict', 'pretrain'];

let group: ProcessGroup | null = null;
const say = console.error;

/** The group that this process has joined; null for a process alone. */
export const processGroup = (): ProcessGroup | null => group;

/** For `new Trainer`. */
export const groupOption = (): { processGroup?: ProcessGroup } =>
  group === null ? {} : { processGroup: group };

export const isFirst = (): boolean => new Ranks(group).isFirst;

/** As `Ranks.first`. */
export const first = <T>(work: () => Promise<T>): Promise<T> => new Ranks(group).first(work);

/**
 * Joins the processes of a command. From then on only the first one prints. Throws `UsageError` for a command
 * that several processes cannot share.
 */
export async function joinGroup(command: string): Promise<void> {
  if (command === 'info') return;
  group = await initProcessGroup();
  if (group === null) return;
  if (!sharing.includes(command))
    throw new UsageError(`${command}: ${group.size} processes were started`, {
      remedy: 'start one, without mpirun or with DAWNGRAD_MPI=off',
    });
  if (group.rank === 0) console.error(`${group.size} processes: ${group.description}`);
  else for (const level of ['log', 'warn', 'error'] as const) console[level] = () => {};
}

/** Milliseconds in which the first process may print the error that all have. */
const HEAD_START_MS = 500;

/** Prints an error and ends all processes. Does not return. */
export async function endGroup(message: unknown): Promise<void> {
  if (group === null) return;
  if (group.rank > 0) await new Promise((resolve) => setTimeout(resolve, HEAD_START_MS));
  say(typeof message === 'string' ? `rank ${group.rank}: ${message}` : message);
  group.abort(1);
}

/** Throws `UsageError` for options that several processes cannot share. */
export function checkAlone(options: Readonly<Record<string, unknown>>): void {
  const given = Object.entries(options).find(([, value]) => value !== undefined && value !== false);
  if (group !== null && given !== undefined)
    throw new UsageError(`${given[0]} is for one process, and ${group.size} were started`, {
      remedy: 'start one, without mpirun',
    });
}
