/** The group of processes that an MPI launcher started. */
import { hostname } from 'node:os';
import { deserialize, serialize } from 'node:v8';
import { ProcessGroupError } from '../../errors.ts';
import type { ProcessGroup } from '../contract.ts';
import { apart, checkJoins, checkLine, type Launched, launchedBy } from './mpi-launch.ts';
import { loadMpi, type MpiLibrary } from './mpi-library.ts';

/** How often to look whether the other processes live while a call waits for them. */
const WATCH_MS = 250;
/** Counts are 32-bit integers. */
const MOST_BYTES = 2 ** 30;

/** More than handles and MPI_Status take in any library. */
const HANDLE_BYTES = 8;
const STATUS_BYTES = 64;
/** How often to look for the others before sleeping. */
const QUICK_TRIES = 50;

interface Peer {
  rank: number;
  host: string;
  pid: number;
}

function lives({ pid }: Peer): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process lives too.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const failed = (name: string, reason: unknown): ProcessGroupError =>
  new ProcessGroupError(`MPI: ${name} failed: ${String(reason)}`);

type Functions = ReturnType<typeof functionsOf>;

function functionsOf({ function: get }: MpiLibrary) {
  return {
    init: get('MPI_Init_thread', 'void *, void *, int, _Out_ int *'),
    rank: get('MPI_Comm_rank', 'handle, _Out_ int *'),
    size: get('MPI_Comm_size', 'handle, _Out_ int *'),
    allReduce: get('MPI_Allreduce', 'void *, void *, int, handle, handle, handle'),
    allToAll: get('MPI_Alltoall', 'void *, int, handle, void *, int, handle, handle'),
    allGather: get('MPI_Allgather', 'void *, int, handle, void *, int, handle, handle'),
    broadcast: get('MPI_Bcast', 'void *, int, handle, int, handle'),
    arrive: get('MPI_Ibarrier', 'handle, void *'),
    test: get('MPI_Test', 'void *, _Out_ int *, void *'),
    abort: get('MPI_Abort', 'handle, int'),
    finalize: get('MPI_Finalize', ''),
  };
}

const bytesOf = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

class MpiGroup implements ProcessGroup {
  readonly rank: number;
  readonly size: number;
  localRank = 0;
  readonly description: string;
  private readonly library: MpiLibrary;
  private readonly mpi: Functions;
  /** The last call: one is under way at a time, and after one that failed there is no other. */
  private tail: Promise<void> = Promise.resolve();
  private peers: Peer[] = [];

  constructor(launched: Launched) {
    checkLine(launched);
    this.library = loadMpi(launched.launcher);
    this.description = this.library.version;
    checkJoins(launched, this.description);
    this.mpi = functionsOf(this.library);
    const { serialized, handles } = this.library;
    // Open MPI's waiting threads leave the core to others that have work.
    process.env.OMPI_MCA_mpi_yield_when_idle ??= '1';
    const [level, rank, size] = [[0], [0], [0]];
    this.mpi.init(null, null, serialized, level);
    this.mpi.rank(handles.world, rank);
    this.mpi.size(handles.world, size);
    [this.rank, this.size] = [rank[0]!, size[0]!];
    if (launched.size !== null && this.size !== launched.size)
      throw apart(launched, `${this.description} sees ${this.size}`);
    if (level[0]! < serialized)
      throw new ProcessGroupError(`${this.description} was built without threads`, {
        remedy: 'install a build with MPI_THREAD_SERIALIZED',
      });
  }

  /** Finds out which processes run on this machine. */
  async meet(): Promise<this> {
    const all = await this.allGatherObject<Peer>({ rank: this.rank, host: hostname(), pid: process.pid });
    const here = all.filter(({ host }) => host === hostname());
    this.localRank = here.findIndex(({ rank }) => rank === this.rank);
    // Containers may share a host's name, and not its processes.
    this.peers = here.filter((peer) => peer.rank !== this.rank && lives(peer));
    return this;
  }

  allReduce<T extends Float32Array | Float64Array>(values: T, sums: T): Promise<void> {
    const { float, double, sum, world } = this.library.handles;
    const type = values instanceof Float32Array ? float : double;
    return this.call('allReduce', values, sums, values.length, type, sum, world);
  }

  allToAll(parts: Uint8Array, received: Uint8Array): Promise<void> {
    const { byte, world } = this.library.handles;
    const each = parts.length / this.size;
    return this.call('allToAll', parts, each, byte, received, each, byte, world);
  }

  allGather(part: Uint8Array, joined: Uint8Array): Promise<void> {
    const { byte, world } = this.library.handles;
    return this.call('allGather', part, part.length, byte, joined, part.length, byte, world);
  }

  async broadcast(values: Float32Array | Uint8Array, root: number): Promise<void> {
    const { byte, world } = this.library.handles;
    const bytes = bytesOf(values);
    for (let from = 0; from < bytes.length; from += MOST_BYTES) {
      const part = bytes.subarray(from, from + MOST_BYTES);
      await this.call('broadcast', part, part.length, byte, root, world);
    }
  }

  async allGatherObject<T>(value: T): Promise<T[]> {
    const own = serialize(value);
    const lengths = new Float64Array(this.size);
    await this.allGather(bytesOf(Float64Array.of(own.length)), bytesOf(lengths));
    const all: T[] = [];
    for (const [rank, length] of lengths.entries()) all.push(await this.exchange(own, rank, length));
    return all;
  }

  async broadcastObject<T>(value: T): Promise<T> {
    const own = serialize(this.rank === 0 ? value : null);
    const length = Float64Array.of(own.length);
    await this.broadcast(bytesOf(length), 0);
    return this.exchange(own, 0, length[0]!);
  }

  /** What rank `root` has serialized. */
  private async exchange<T>(own: Uint8Array, root: number, length: number): Promise<T> {
    const bytes = root === this.rank ? new Uint8Array(own) : new Uint8Array(length);
    await this.broadcast(bytes, root);
    return deserialize(bytes) as T;
  }

  barrier(): Promise<void> {
    return this.after(() => this.meetAll());
  }

  abort(code: number): void {
    this.mpi.abort(this.library.handles.world, code);
  }

  async finalize(): Promise<void> {
    await this.tail;
    this.mpi.finalize();
  }

  private call(name: keyof Functions, ...args: unknown[]): Promise<void> {
    return this.after(async () => {
      await this.meetAll();
      await this.watched((resolve, reject) =>
        // In a thread of its own.
        this.mpi[name].async(...args, (error, code) => {
          if (error === null && code === 0) resolve();
          else reject(failed(name, error ?? `code ${code}`));
        }),
      );
    });
  }

  private after(work: () => Promise<void>): Promise<void> {
    const done = this.tail.then(work);
    done.catch(() => {});
    this.tail = done;
    return done;
  }

  /**
   * Waits until all processes are here. MPI's own calls keep a core busy while they wait, which an adapter that
   * computes on the CPU needs; this one sleeps.
   */
  private meetAll(): Promise<void> {
    const [request, status, flag] = [new Uint8Array(HANDLE_BYTES), new Uint8Array(STATUS_BYTES), [0]];
    const code = this.mpi.arrive(this.library.handles.world, request);
    if (code !== 0) throw failed('barrier', `code ${code}`);
    return this.watched((resolve, reject) => {
      let tries = 0;
      const look = (): void => {
        const code = this.mpi.test(request, flag, status);
        tries += 1;
        if (code !== 0) reject(failed('barrier', `code ${code}`));
        else if (flag[0] === 1) resolve();
        else if (tries < QUICK_TRIES) setImmediate(look);
        else setTimeout(look, 1);
      };
      look();
    });
  }

  /** As `new Promise`, which rejects if a process of this machine ends meanwhile. */
  private async watched(
    start: (resolve: () => void, reject: (error: ProcessGroupError) => void) => void,
  ): Promise<void> {
    let watch: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        watch = setInterval(() => {
          const lost = this.peers.find((peer) => !lives(peer));
          if (lost === undefined) return;
          const what = `rank ${lost.rank} (process ${lost.pid}) has ended, so rank ${this.rank} ends too`;
          reject(
            new ProcessGroupError(what, {
              remedy: 'its own message says why; resume from the last checkpoint',
            }),
          );
        }, WATCH_MS);
        start(resolve, reject);
      });
    } finally {
      clearInterval(watch);
    }
  }
}

let joined: Promise<ProcessGroup | null> | null = null;

/** See `Platform.initProcessGroup`. */
export function initProcessGroup(): Promise<ProcessGroup | null> {
  joined ??= (async () => {
    const launched = launchedBy();
    if (launched === null) return null;
    const group = new MpiGroup(launched);
    if (group.size > 1) return group.meet();
    await group.finalize();
    return null;
  })();
  return joined;
}
