/**
 * Storage buffers by size class. The idle buffer of the nearest class that was made first is lent first:
 * which one is lent then depends only on which are idle, so that a repeated step gets the same buffers at the
 * same places, and its bind groups are found again.
 */
import { GpuOutOfMemoryError } from '../errors.ts';
import type { DeviceLife } from './life.ts';
import type { PoolStatistics } from './statistics.ts';

/** A storage buffer on loan from the pool. */
export interface PooledBuffer {
  readonly id: number;
  readonly gpu: GPUBuffer;
  /** Bytes, at least what was asked for. */
  readonly size: number;
  /** The submission that last used it; a host write must not overtake that. */
  lastUse: number;
  /** The pool's age when it was made; see `renew`. */
  readonly generation: number;
}

/** Steps between the size classes of a power of two. */
const CLASSES = 8;

function classStep(bytes: number): number {
  // The power of two below; WebGPU has no buffers of 4 GiB.
  return Math.max(256, 2 ** (31 - Math.clz32(bytes)) / CLASSES);
}

/** Bytes rounded up to a size class: at most 12.5 % is wasted. */
function sizeClass(bytes: number): number {
  const least = Math.max(bytes, 256);
  const step = classStep(least);
  return Math.ceil(least / step) * step;
}

export class BufferPool {
  private readonly device: GPUDevice;
  private readonly life: DeviceLife;
  private readonly maxBytes: number;
  private readonly idle = new Map<number, PooledBuffer[]>();
  private readonly counts: PoolStatistics = {
    live: 0,
    liveBytes: 0,
    idle: 0,
    idleBytes: 0,
    created: 0,
    peakBytes: 0,
    peakLiveBytes: 0,
  };
  private generation = 0;

  /** `maxBytes`: the device's limit for one buffer. */
  constructor(device: GPUDevice, life: DeviceLife, maxBytes: number) {
    this.device = device;
    this.life = life;
    this.maxBytes = maxBytes;
  }

  get statistics(): Readonly<PoolStatistics> {
    return { ...this.counts };
  }

  /**
   * Throws `GpuOutOfMemoryError` where the adapter cannot hold a buffer of that size, `DeviceLostError` where
   * it is gone.
   */
  acquire(bytes: number): PooledBuffer {
    this.life.check();
    const size = sizeClass(bytes);
    const { counts } = this;
    if (size > this.maxBytes) {
      throw new GpuOutOfMemoryError(
        `a buffer of ${bytes} bytes is larger than this adapter's limit of ${this.maxBytes}`,
        { remedy: 'use a smaller batch, a shorter sequence or a smaller model' },
      );
    }
    const reused = this.takeIdle(size);
    if (reused !== undefined) {
      this.countLive(reused);
      counts.idle -= 1;
      counts.idleBytes -= reused.size;
      return reused;
    }
    counts.created += 1;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const gpu = this.device.createBuffer({ size, usage, label: `pool ${counts.created} (${size} bytes)` });
    const made = { id: counts.created, gpu, size, lastUse: -1, generation: this.generation };
    this.countLive(made);
    counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes + counts.idleBytes);
    return made;
  }

  /**
   * An idle buffer of the class, or of a larger one up to twice the size: batches padded to many lengths then
   * share buffers.
   */
  private takeIdle(size: number): PooledBuffer | undefined {
    for (let at = size; at <= 2 * size; at += classStep(at)) {
      const found = this.idle.get(at)?.pop();
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private countLive({ size }: PooledBuffer): void {
    const { counts } = this;
    counts.live += 1;
    counts.liveBytes += size;
    counts.peakLiveBytes = Math.max(counts.peakLiveBytes, counts.liveBytes);
  }

  release(buffer: PooledBuffer): void {
    const { counts } = this;
    counts.live -= 1;
    counts.liveBytes -= buffer.size;
    if (buffer.generation < this.generation) {
      // Recorded work may still name it; unreferenced, it goes when that is done.
      return;
    }
    counts.idle += 1;
    counts.idleBytes += buffer.size;
    const list = this.idle.get(buffer.size);
    if (list === undefined) this.idle.set(buffer.size, [buffer]);
    else insertDescending(list, buffer);
  }

  /** Lends none of the buffers made so far again, idle or on loan. */
  renew(): void {
    this.generation += 1;
    this.forgetIdle();
  }

  /** Gives the idle buffers back to the driver. */
  trim(): void {
    for (const list of this.idle.values()) for (const buffer of list) buffer.gpu.destroy();
    this.forgetIdle();
  }

  private forgetIdle(): void {
    this.idle.clear();
    this.counts.idle = 0;
    this.counts.idleBytes = 0;
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
