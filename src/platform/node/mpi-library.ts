/** Finds an MPI library, and calls it. */
import { createRequire } from 'node:module';
import { ProcessGroupError } from '../../errors.ts';
import { inSlurm, isOpenMpi, type Launcher } from './mpi-launch.ts';

type Native = ((...args: unknown[]) => number) & {
  async: (...args: [...unknown[], (error: unknown, code: number) => void]) => void;
};

/** A handle: an address, or a number that stands for one; MPICH's are of type int. */
type Handle = bigint | number;

interface Handles {
  world: Handle;
  float: Handle;
  double: Handle;
  byte: Handle;
  sum: Handle;
}

export interface MpiLibrary {
  /** Its first line about itself: `Open MPI v4.1.4, …`. */
  readonly version: string;
  readonly handles: Handles;
  /** The constant MPI_THREAD_SERIALIZED: any thread calls, one at a time. */
  readonly serialized: number;
  function(name: string, parameters: string): Native;
}

interface Library {
  func(definition: string): Native;
  symbol(name: string): bigint;
}

interface Koffi {
  load(path: string): Library;
  config(values: { async_stack_size: number }): void;
}

/** The standard binary interface of MPI 5. */
const standard: Handles = { world: 0x101, float: 0x210, double: 0x214, byte: 0x247, sum: 0x21 };
/** MPICH's, which Intel MPI and MVAPICH share. */
const mpich: Handles = {
  world: 0x4400_0000,
  float: 0x4c00_040a,
  double: 0x4c00_080b,
  byte: 0x4c00_010d,
  sum: 0x5800_0003,
};

/** Names by which loaders know the libraries, the standard's first. */
const names = {
  standard: ['libmpi_abi.so.1', 'libmpi_abi.so.0', 'libmpi_abi.so', 'libmpi_abi.dylib'],
  openMpi: ['libmpi.so.40', 'libmpi.so', 'libmpi.40.dylib', 'libmpi.dylib'],
  mpich: ['libmpich.so.12', 'libmpi.so.12', 'libmpich.so', 'libmpi.12.dylib', 'libmpi.dylib'],
};

const candidates: Record<Launcher, readonly string[]> = {
  'Open MPI': [...names.standard, ...names.openMpi],
  PMI: [...names.standard, ...names.mpich],
  Slurm: [...names.standard, ...names.openMpi, ...names.mpich],
};

/** Some of a library's own threads want more than koffi gives them. */
const STACK_BYTES = 2 ** 22;
const VERSION_BYTES = 8192;

function loadKoffi(): Koffi {
  try {
    // Loaded at run time alone, because it is an optional dependency.
    return createRequire(import.meta.url)('koffi') as Koffi;
  } catch (cause) {
    throw new ProcessGroupError("several processes need the package 'koffi', which is not installed", {
      remedy: 'npm install koffi',
      cause,
    });
  }
}

function symbolOf(library: Library, name: string): bigint | null {
  try {
    return library.symbol(name);
  } catch {
    return null;
  }
}

function handlesOf(
  library: Library,
  path: string,
): Pick<MpiLibrary, 'handles' | 'serialized'> & { type: string } {
  const openMpi = (name: string): bigint | null => symbolOf(library, `ompi_mpi_${name}`);
  const world = openMpi('comm_world');
  if (world !== null) {
    const [float, double, byte, sum] = ['float', 'double', 'byte', 'op_sum'].map((name) => openMpi(name)!);
    const handles = { world, float: float!, double: double!, byte: byte!, sum: sum! };
    return { type: 'intptr_t', handles, serialized: 2 };
  }
  // The standard gives its library this name; MPICH has the standard's functions in both of its libraries.
  if (/libmpi_abi[^/]*$/.test(path)) return { type: 'intptr_t', handles: standard, serialized: 2048 };
  return { type: 'int', handles: mpich, serialized: 2 };
}

function describe(library: Library, path: string): MpiLibrary {
  const text = new Uint8Array(VERSION_BYTES);
  library.func('int MPI_Get_library_version(void *, _Out_ int *)')(text, [0]);
  const end = text.findIndex((byte) => byte === 0 || byte === 10);
  const version = new TextDecoder()
    .decode(text.subarray(0, end))
    .replaceAll(/\s+/g, ' ')
    .split(',')[0]!
    .trim();
  const { type, ...constants } = handlesOf(library, path);
  return {
    version,
    ...constants,
    function: (name, parameters) => library.func(`int ${name}(${parameters.replaceAll('handle', type)})`),
  };
}

/** Whether a library can join what a launcher started: others would take each process for the only one. */
function suits({ version }: MpiLibrary, launcher: Launcher): boolean {
  return launcher === 'Slurm' || isOpenMpi(version) === (launcher === 'Open MPI');
}

/**
 * The library for a launcher, or the one that DAWNGRAD_MPI names. Throws `ProcessGroupError` saying what to
 * install.
 */
export function loadMpi(launcher: Launcher): MpiLibrary {
  const koffi = loadKoffi();
  koffi.config({ async_stack_size: STACK_BYTES });
  const named = process.env.DAWNGRAD_MPI;
  for (const path of named ? [named] : candidates[launcher]) {
    try {
      const library = describe(koffi.load(path), path);
      if (named || suits(library, launcher)) return library;
    } catch (cause) {
      if (named)
        throw new ProcessGroupError(`DAWNGRAD_MPI: '${named}' is no MPI library: ${String(cause)}`, {
          remedy: 'name a file such as libmpi.so.40',
          cause,
        });
    }
  }
  const [what, name] = launcher === 'PMI' ? ['MPICH', 'mpich'] : ['Open MPI', 'openmpi-bin'];
  const other = launcher === 'PMI' && inSlurm() ? ', use srun --mpi=pmix with Open MPI' : '';
  throw new ProcessGroupError(
    `${launcher} started several processes, and the library of ${what} is not found`,
    {
      remedy: `install ${what} (apt-get install ${name})${other}, or name another library with DAWNGRAD_MPI`,
    },
  );
}
