/** Starts processes with mpirun, if it is installed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { root } from './command.ts';

const version = spawnSync('mpirun', ['--version'], { encoding: 'utf8' }).stdout ?? '';
const isOpenMpi = /open(rte| mpi)/i.test(version);

export const hasMpi = version !== '';
export const WITHOUT = 'mpirun is not installed (apt-get install openmpi-bin)';

/** Open MPI kills processes a second after a signal unless told otherwise. */
const patient = ['--oversubscribe', '--bind-to', 'none', '--mca', 'odls_base_sigkill_timeout', '5'];

export interface Job {
  child: ChildProcess;
  /** All output so far. */
  said(): string;
  /** The exit code. */
  ended: Promise<number | null>;
}

/** Runs a script in several processes, from the root of the repository. */
export function mpirun(processes: number, words: readonly string[]): Job {
  const options = isOpenMpi ? patient : [];
  const node = [process.execPath, '--import', 'tsx', ...words];
  const asRoot = { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };
  const child = spawn('mpirun', [...options, '-n', String(processes), ...node], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...asRoot, NO_COLOR: '1' },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      text += String(chunk);
    });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { child, said: () => text, ended };
}

/** The process id of a rank whose command line has `word`. */
export function processOf(rank: number, word: string): number {
  const read = (id: string, file: string): string[] => {
    try {
      return readFileSync(`/proc/${id}/${file}`, 'utf8').split('\0');
    } catch {
      // It has ended, or is another user's.
      return [];
    }
  };
  const variables = ['OMPI_COMM_WORLD_RANK', 'PMI_RANK'].map((name) => `${name}=${rank}`);
  const found = readdirSync('/proc').filter(
    (id) =>
      /^\d+$/.test(id) &&
      read(id, 'cmdline').includes(word) &&
      read(id, 'environ').some((entry) => variables.includes(entry)),
  );
  if (found.length !== 1) throw new Error(`${found.length} processes are rank ${rank} of ${word}`);
  return Number(found[0]);
}
