/** What an MPI launcher told the processes that it started. */
import { fstatSync } from 'node:fs';
import { ProcessGroupError } from '../../errors.ts';
import type { Environment } from './environment.ts';

/** What started the processes: Open MPI's mpirun, a launcher that speaks PMI (MPICH's, Intel's), or Slurm. */
export type Launcher = 'Open MPI' | 'PMI' | 'Slurm';

export interface Launched {
  launcher: Launcher;
  /** Null if only the library finds out. */
  size: number | null;
}

/** Variables by which launchers tell processes who they are. */
const variables: readonly [launcher: Launcher, rank: string, size: string][] = [
  ['Open MPI', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'],
  ['PMI', 'PMI_RANK', 'PMI_SIZE'],
  // A job's script has SLURM_PROCID too: only what srun started is a task of a step.
  ['Slurm', 'SLURM_PROCID', 'SLURM_STEP_NUM_TASKS'],
];

/** What the launcher says; null for a process that was started alone, or with DAWNGRAD_MPI=off. */
export function launchedBy(env: Environment = process.env): Launched | null {
  if (env.DAWNGRAD_MPI === 'off') return null;
  // MPICH's mpirun -pmi-port.
  if (env.PMI_PORT !== undefined && env.PMI_ID !== undefined) return { launcher: 'PMI', size: null };
  for (const [launcher, rank, size] of variables) {
    if (env[rank] === undefined || env[size] === undefined) continue;
    return Number(env[size]) > 1 ? { launcher, size: Number(env[size]) } : null;
  }
  return null;
}

export const inSlurm = (env: Environment = process.env): boolean => env.SLURM_PROCID !== undefined;

export const isOpenMpi = (version: string): boolean => /open mpi/i.test(version);

/**
 * Throws `ProcessGroupError` if the file through which the launcher speaks to this process (PMI_FD) was closed on
 * the way, as Node closes files of programs that it starts: npx and npm are such.
 */
export function checkLine({ launcher }: Launched, env: Environment = process.env): void {
  if (launcher !== 'PMI' || env.PMI_FD === undefined || isSocket(Number(env.PMI_FD))) return;
  const other = inSlurm(env) ? 'srun --mpi=pmix with Open MPI' : 'mpirun -pmi-port';
  throw new ProcessGroupError("the launcher's connection to this process (PMI_FD) is closed, as npx does", {
    remedy: `start node_modules/.bin/dawngrad in place of npx dawngrad, or use ${other}`,
  });
}

function isSocket(file: number): boolean {
  try {
    return fstatSync(file).isSocket();
  } catch {
    return false;
  }
}

/** Throws `ProcessGroupError` if a library would end this process rather than join the others. */
export function checkJoins(launched: Launched, version: string, env: Environment = process.env): void {
  const alone = launched.launcher === 'Slurm' && env.PMIX_NAMESPACE === undefined;
  // A build that finds Slurm by itself is named.
  if (alone && isOpenMpi(version) && env.DAWNGRAD_MPI === undefined)
    throw apart(launched, `${version} needs srun --mpi=pmix to join them`);
}

/** Processes that a launcher started together, and a library does not find together. */
export function apart({ launcher, size }: Launched, what: string): ProcessGroupError {
  return new ProcessGroupError(`${launcher} started ${size} processes, and ${what}`, {
    remedy:
      launcher === 'Slurm'
        ? 'use srun --mpi=pmix (or pmi2), as the library was built, or set DAWNGRAD_MPI=off for processes on their own'
        : 'name the library that belongs to mpirun with DAWNGRAD_MPI',
  });
}
