/** What launchers tell their processes, and what keeps these apart. */
import { closeSync, openSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkJoins, checkLine, launchedBy } from '../../src/platform/node/mpi-launch.ts';

describe('a launcher', () => {
  it.each([
    ['Open MPI', { OMPI_COMM_WORLD_RANK: '1', OMPI_COMM_WORLD_SIZE: '4' }, 4],
    ['PMI', { PMI_RANK: '0', PMI_SIZE: '2' }, 2],
    // srun --mpi=pmi2 sets both.
    ['PMI', { PMI_RANK: '0', PMI_SIZE: '3', SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '3' }, 3],
    ['PMI', { PMI_PORT: 'machine:40000', PMI_ID: '1' }, null],
    ['Slurm', { SLURM_PROCID: '1', SLURM_STEP_NUM_TASKS: '2' }, 2],
  ] as const)('%s says how many processes it started', (launcher, env, size) => {
    expect(launchedBy(env)).toEqual({ launcher, size });
    expect(launchedBy({ ...env, DAWNGRAD_MPI: 'off' })).toBeNull();
  });

  it('that started one process, or a script of Slurm, makes no group', () => {
    expect(launchedBy({})).toBeNull();
    expect(launchedBy({ PMI_RANK: '0', PMI_SIZE: '1' })).toBeNull();
    expect(launchedBy({ SLURM_PROCID: '0', SLURM_NTASKS: '4' })).toBeNull();
  });
});

describe('the connection to a launcher', () => {
  const pmi = { launcher: 'PMI', size: 2 } as const;
  let server: Server & { _handle?: { fd: number } };
  beforeAll(async () => {
    server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => server.close());

  it('is a socket', () => {
    expect(() => checkLine(pmi, { PMI_FD: String(server._handle!.fd) })).not.toThrow();
    expect(() => checkLine(pmi, {})).not.toThrow();
  });

  it('is closed by npx, or a file that was opened since', () => {
    const file = openSync(import.meta.filename, 'r');
    for (const PMI_FD of ['99999', String(file)]) {
      expect(() => checkLine(pmi, { PMI_FD })).toThrow(/PMI_FD.*node_modules\/\.bin\/dawngrad.*-pmi-port/);
      expect(() => checkLine(pmi, { PMI_FD, SLURM_PROCID: '0' })).toThrow(/srun --mpi=pmix/);
    }
    closeSync(file);
  });
});

it('srun needs --mpi=pmix for Open MPI', () => {
  const slurm = { launcher: 'Slurm', size: 2 } as const;
  const version = 'Open MPI v4.1.4';
  expect(() => checkJoins(slurm, version, {})).toThrow(/Slurm started 2 .*srun --mpi=pmix/);
  expect(() => checkJoins(slurm, version, { PMIX_NAMESPACE: 'slurm.pmix.1.0' })).not.toThrow();
  expect(() => checkJoins(slurm, version, { DAWNGRAD_MPI: 'libmpi.so.40' })).not.toThrow();
  expect(() => checkJoins(slurm, 'MPICH Version: 4.0.2', {})).not.toThrow();
});
