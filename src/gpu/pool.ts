/**
 * Pools storage buffers by size class. Of the idle buffers in the nearest class, the pool lends the oldest.
 * The choice depends only on which buffers are idle, so a repeated step gets the same buffers at the same
 * places and finds its bind groups again.
 */
import { GpuOutOfMemoryError } from '../errors.ts';
import type { DeviceLife } from './life.ts';
import type { PoolStatistics } from './statistics.ts';

/** A storage buffer on loan from the pool. */
export interface PooledBuffer {
  readonly id: number;
  readonly gpu: GPUBuffer;
  /** In bytes; at least the size requested. */
  readonly size: number;
  /** The last submission that used the buffer; a host write must not overtake it. */
  lastUse: number;
  /** Whether the pool holds it, ready to be lent. */
  idle: boolean;
  /** The pool's generation when the buffer was made; see `renew`. */
  readonly generation: number;
}

/** Size classes per power of two. */
const CLASSES = 8;

function classStep(bytes: number): number {
  // The largest power of two not above `bytes`; WebGPU has no buffers of 4 GiB.
  return Math.max(256, 2 ** (31 - Math.clz32(bytes)) / CLASSES);
}

/** Rounds bytes up to a size class; wastes at most 12.5 %. */
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

  /** All that buffers may take; `makeRoom` gives the idle ones back before that is exceeded. */
  limit: { bytes: number; makeRoom: () => void } | null = null;

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
   * Lends a buffer. Throws `GpuOutOfMemoryError` if the adapter cannot hold one of that size, and
   * `DeviceLostError` if the device is gone.
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
    this.checkLimit(size);
    counts.created += 1;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const gpu = this.device.createBuffer({ size, usage, label: `pool ${counts.created} (${size} bytes)` });
    const made = { id: counts.created, gpu, size, lastUse: -1, idle: false, generation: this.generation };
    this.countLive(made);
    counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes + counts.idleBytes);
    return made;
  }

  private checkLimit(size: number): void {
    const { counts, limit } = this;
    if (limit === null || counts.liveBytes + counts.idleBytes + size <= limit.bytes) return;
    if (counts.idle > 0) limit.makeRoom();
    if (counts.liveBytes + size <= limit.bytes) return;
    throw new GpuOutOfMemoryError(
      `${counts.liveBytes} bytes are in use, and ${size} more exceed the limit of ${limit.bytes}`,
      { remedy: 'use a smaller batch or a shorter sequence, or raise maxMemoryBytes' },
    );
  }

  /**
   * Takes an idle buffer of this class or of a larger one, up to twice the size, so that batches padded to
   * different lengths share buffers.
   */
  private takeIdle(size: number): PooledBuffer | undefined {
    for (let at = size; at <= 2 * size; at += classStep(at)) {
      const found = this.idle.get(at)?.pop();
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private countLive(buffer: PooledBuffer): void {
    const { counts } = this;
    buffer.idle = false;
    counts.live += 1;
    counts.liveBytes += buffer.size;
    counts.peakLiveBytes = Math.max(counts.peakLiveBytes, counts.liveBytes);
  }

  release(buffer: PooledBuffer): void {
    const { counts } = this;
    counts.live -= 1;
    counts.liveBytes -= buffer.size;
    if (buffer.generation < this.generation) {
      // Recorded work may still use it, so it is not destroyed: dropping the reference frees it when that
      // work is done.
      return;
    }
    buffer.idle = true;
    counts.idle += 1;
    counts.idleBytes += buffer.size;
    const list = this.idle.get(buffer.size);
    if (list === undefined) this.idle.set(buffer.size, [buffer]);
    else insertDescending(list, buffer);
  }

  /** Retires every buffer made so far, idle or on loan: none is lent again. */
  renew(): void {
    this.generation += 1;
    this.forgetIdle();
  }

  /** Returns the idle buffers to the driver. */
  trim(): void {
    for (const list of this.idle.values()) for (const buffer of list) buffer.gpu.destroy();
    this.forgetIdle();
  }

  private forgetIdle(): void {
    for (const list of this.idle.values()) for (const buffer of list) buffer.idle = false;
    this.idle.clear();
    this.counts.idle = 0;
    this.counts.idleBytes = 0;
  }
}

/** Keeps the list in descending order of id, so that `pop` returns the lowest. */
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
