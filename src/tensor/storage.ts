/** `Storage`: a piece of GPU memory, and the number of tensors that share it. */
import type { PooledBuffer } from '../gpu/pool.ts';
import type { Device } from './device.ts';

/** A buffer of the pool, or a range of another storage; the last share to be released returns it. */
export class Storage {
  readonly bytes: number;
  /**
   * The integers that the CPU wrote last, by which ops refuse indices out of range; null if the GPU may have
   * written since.
   */
  integers: Int32Array | null = null;
  /** Increases whenever the values are overwritten, so that copies know when they are outdated. */
  version = 0;
  private readonly device: Device;
  private own: PooledBuffer | null;
  private whole: Storage | null;
  private start: number;
  private count = 1;

  constructor(device: Device, bytes: number, range?: { of: Storage; start: number }) {
    this.device = device;
    this.bytes = bytes;
    this.own = range === undefined ? device.gpu.pool.acquire(bytes) : null;
    this.whole = range?.of ?? null;
    this.start = range?.start ?? 0;
  }

  get buffer(): PooledBuffer {
    return this.own ?? this.whole!.buffer;
  }

  /** Bytes of the buffer before this memory, a multiple of 256. */
  get offset(): number {
    return this.whole === null ? 0 : this.whole.offset + this.start;
  }

  get isRange(): boolean {
    return this.whole !== null;
  }

  /** The storage that has the buffer as its own. */
  get root(): Storage {
    return this.whole === null ? this : this.whole.root;
  }

  /**
   * A range of this storage. Its `shared` counts shares of the range only, so ranges must not overlap if
   * they are written in place.
   */
  range(start: number, bytes: number): Storage {
    return new Storage(this.device, bytes, { of: this.retain(), start });
  }

  /** Moves the values from a buffer of its own into a range of `whole`; all sharers find them there. */
  moveInto(whole: Storage, start: number): void {
    const own = this.own!;
    const target = { buffer: whole.buffer, offset: whole.offset + start };
    this.device.gpu.recorder.copy({ buffer: own }, target, this.bytes);
    this.device.gpu.pool.release(own);
    this.own = null;
    this.whole = whole.retain();
    this.start = start;
  }

  /** Moves the values from a range into a buffer of its own; all sharers find them there. */
  moveOut(): void {
    const { whole, device, bytes } = this;
    const own = device.gpu.pool.acquire(bytes);
    device.gpu.recorder.copy({ buffer: this.buffer, offset: this.offset }, { buffer: own }, bytes);
    this.own = own;
    this.whole = null;
    this.start = 0;
    whole!.release();
  }

  get shared(): boolean {
    return this.count > 1;
  }

  /** False once all shares are released. */
  get live(): boolean {
    return this.count > 0;
  }

  retain(): this {
    this.count += 1;
    return this;
  }

  release(): void {
    this.count -= 1;
    if (this.count > 0) return;
    if (this.own !== null) this.device.gpu.pool.release(this.own);
    else this.whole!.release();
  }
}
