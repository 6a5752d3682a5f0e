/**
 * Storage buffers by size class. The idle buffer made first is lent first: which one is lent then depends only on which are idle, so that
 * a repeated step gets the same buffers at the same places, and its bind groups are found again.
 */
import { GpuOutOfMemoryError } from '../errors.ts';

/** A storage buffer on loan from the pool. */
export interface PooledBuffer {
  readonly id: number;
  readonly gpu: GPUBuffer;
  /** Bytes, at least what was asked for. */
  readonly size: number;
  /** The submission that last used it; a host write must not overtake that. */
  lastUse: number;
}

export interface PoolStatistics {
  /** Buffers on loan, and their bytes. */
  live: number;
  liveBytes: number;
  /** Buffers waiting to be reused, and their bytes. */
  idle: number;
  idleBytes: number;
  /** Buffers ever created. */
  created: number;
  /** Highest sum of live and idle bytes so far. */
  peakBytes: number;
}

/** Bytes rounded up to a size class: eight classes to each power of two, so at most 12.5 % is wasted. */
export function sizeClass(bytes: number): number {
  const least = Math.max(bytes, 256);
  const step = Math.max(256, 2 ** (Math.floor(Math.log2(least)) - 3));
  return Math.ceil(least / step) * step;
}

export class BufferPool {
  private readonly device: GPUDevice;
  private readonly idle = new Map<number, PooledBuffer[]>();
  private readonly counts: PoolStatistics = {
    live: 0,
    liveBytes: 0,
    idle: 0,
    idleBytes: 0,
    created: 0,
    peakBytes: 0,
  };

  constructor(device: GPUDevice) {
    this.device = device;
  }

  get statistics(): Readonly<PoolStatistics> {
    return { ...this.counts };
  }

  /** Throws `GpuOutOfMemoryError` where the adapter cannot hold a buffer of that size. */
  acquire(bytes: number): PooledBuffer {
    const size = sizeClass(bytes);
    const { counts } = this;
    if (size > this.device.limits.maxBufferSize) {
      throw new GpuOutOfMemoryError(
        `a buffer of ${bytes} bytes is larger than this adapter's limit of ${this.device.limits.maxBufferSize}`,
        { remedy: 'use a smaller batch, a shorter sequence or a smaller model' },
      );
    }
    const reused = this.idle.get(size)?.pop();
    counts.live += 1;
    counts.liveBytes += size;
    if (reused !== undefined) {
      counts.idle -= 1;
      counts.idleBytes -= size;
      return reused;
    }
    counts.created += 1;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const gpu = this.device.createBuffer({ size, usage, label: `pool ${counts.created} (${size} bytes)` });
    counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes + counts.idleBytes);
    return { id: counts.created, gpu, size, lastUse: -1 };
  }

  release(buffer: PooledBuffer): void {
    const { counts } = this;
    counts.live -= 1;
    counts.liveBytes -= buffer.size;
    counts.idle += 1;
    counts.idleBytes += buffer.size;
    const list = this.idle.get(buffer.size);
    if (list === undefined) this.idle.set(buffer.size, [buffer]);
    else insertDescending(list, buffer);
  }

  /** Gives the idle buffers back to the driver; returns their ids. */
  trim(): number[] {
    const ids: number[] = [];
    for (const list of this.idle.values()) {
      for (const buffer of list) {
        buffer.gpu.destroy();
        ids.push(buffer.id);
      }
    }
    this.idle.clear();
    this.counts.idle = 0;
    this.counts.idleBytes = 0;
    return ids;
  }
}

/** Keeps the list in falling order of ids, so that `pop` gives the lowest. */
function insertDescending(list: PooledBuffer[], buffer: PooledBuffer): void {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]!.id > buffer.id) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, buffer);
}
