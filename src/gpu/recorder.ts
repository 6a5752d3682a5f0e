/**
 * Records dispatches into one open compute pass and submits them in bulk.
 *
 * The scalar parameters of all dispatches in a submission share one uniform buffer, addressed by dynamic
 * offsets and written once, just before the submission: the queue orders that write after all earlier
 * submissions.
 */
import { BindGroupCache } from './bind-groups.ts';
import type { Dtype } from './dtype.ts';
import type { DeviceLife } from './life.ts';
import type { Pipeline } from './pipelines.ts';
import type { PooledBuffer } from './pool.ts';
import type { RecorderStatistics } from './statistics.ts';
import { GpuTimer } from './timer.ts';

/** A range of a pooled buffer, bound to a kernel. `offset` is a multiple of 256 bytes. */
export interface Slot {
  readonly buffer: PooledBuffer;
  /** Type of its elements; float32 unless given. */
  readonly dtype?: Dtype | undefined;
  readonly offset?: number | undefined;
  readonly size?: number | undefined;
}

/** Scalar parameters: all u32, then all f32, in the order of the kernel's `Params` struct. */
export interface Scalars {
  readonly uints?: readonly number[];
  readonly floats?: readonly number[];
}

/** Bytes of scalar parameters per dispatch: WebGPU's default alignment of dynamic offsets. */
export const UNIFORM_BYTES = 256;
const DISPATCHES_PER_SUBMISSION = 512;

/** Work that was recorded once, to be recorded again in the same buffers. */
export interface Recording {
  readonly calls: readonly (() => void)[];
  readonly buffers: ReadonlySet<PooledBuffer>;
}

export class Recorder {
  readonly statistics: RecorderStatistics = {
    dispatches: 0,
    submissions: 0,
    bindGroupHits: 0,
    bindGroupMisses: 0,
  };
  private readonly device: GPUDevice;
  private readonly life: DeviceLife;
  private readonly uniforms: GPUBuffer;
  private readonly staging = new ArrayBuffer(UNIFORM_BYTES * DISPATCHES_PER_SUBMISSION);
  private readonly stagingUints = new Uint32Array(this.staging);
  private readonly stagingFloats = new Float32Array(this.staging);
  private readonly bindGroups = new BindGroupCache();
  private encoder: GPUCommandEncoder | null = null;
  private pass: GPUComputePassEncoder | null = null;
  private recorded = 0;
  private timer: GpuTimer | null = null;
  /** What `capture` has seen so far; null outside of it, or if it saw what cannot be repeated. */
  private captured: { calls: (() => void)[]; buffers: Set<PooledBuffer> } | null = null;

  constructor(device: GPUDevice, life: DeviceLife) {
    this.device = device;
    this.life = life;
    this.uniforms = device.createBuffer({
      label: 'kernel parameters',
      size: this.staging.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }

  dispatch(
    pipeline: Pipeline,
    slots: readonly Slot[],
    scalars: Scalars,
    x: number,
    y: number,
    z: number,
  ): void {
    this.life.check();
    const group = this.bindGroup(pipeline, slots);
    this.perform(() => this.encode(pipeline, group, scalars, x, y, z), slots);
  }

  private encode(
    pipeline: Pipeline,
    group: GPUBindGroup,
    scalars: Scalars,
    x: number,
    y: number,
    z: number,
  ): void {
    if (this.recorded === DISPATCHES_PER_SUBMISSION) this.submit();
    const pass = this.openPass(pipeline);
    this.stage(scalars);
    pass.setPipeline(pipeline.gpu);
    pass.setBindGroup(0, group, [this.recorded * UNIFORM_BYTES]);
    pass.dispatchWorkgroups(x, y, z);
    if (this.timer !== null) this.endPass();
    this.recorded += 1;
    this.statistics.dispatches += 1;
  }

  /** Makes a call that uses the buffers of some slots. */
  private perform(call: () => void, slots: readonly Slot[]): void {
    call();
    for (const { buffer } of slots) {
      buffer.lastUse = this.statistics.submissions;
      this.captured?.buffers.add(buffer);
    }
    this.captured?.calls.push(call);
  }

  /**
   * Runs `body` and gives its result, with what it recorded; null in its place if the host wrote, read or
   * submitted meanwhile.
   */
  capture<T>(body: () => T): [T, Recording | null] {
    this.captured = { calls: [], buffers: new Set() };
    try {
      const result = body();
      return [result, this.captured];
    } finally {
      this.captured = null;
    }
  }

  /** Records the same work again. Its buffers must be there, and be free for it. */
  replay({ calls, buffers }: Recording): void {
    this.life.check();
    for (const call of calls) call();
    for (const buffer of buffers) buffer.lastUse = this.statistics.submissions;
  }

  /** Copies element by element: for so few numbers `TypedArray.set` takes longer. */
  private stage({ uints = [], floats = [] }: Scalars): void {
    let at = (this.recorded * UNIFORM_BYTES) / 4;
    for (let i = 0; i < uints.length; i += 1) this.stagingUints[at++] = uints[i]!;
    for (let i = 0; i < floats.length; i += 1) this.stagingFloats[at++] = floats[i]!;
  }

  /** Copies the first `bytes` bytes of one range to another. */
  copy(source: Slot, target: Slot, bytes: number): void {
    const [from, to] = [source.offset ?? 0, target.offset ?? 0];
    const copy = (): void =>
      this.openEncoder().copyBufferToBuffer(source.buffer.gpu, from, target.buffer.gpu, to, bytes);
    this.perform(copy, [source, target]);
  }

  /** Zeroes the first `bytes` bytes of a range. */
  clear(slot: Slot, bytes: number): void {
    const { buffer, offset = 0 } = slot;
    this.perform(() => this.openEncoder().clearBuffer(buffer.gpu, offset, bytes), [slot]);
  }

  /** Copies a range out of the pool for reading back, to the byte `to` of `target`. */
  copyOut(source: PooledBuffer, offset: number, target: GPUBuffer, bytes: number, to = 0): void {
    this.captured = null;
    this.openEncoder().copyBufferToBuffer(source.gpu, offset, target, to, bytes);
    source.lastUse = this.statistics.submissions;
  }

  /** Writes host data after recorded work that uses the buffer. `offset` and size are multiples of 4. */
  write(buffer: PooledBuffer, offset: number, data: ArrayBufferView): void {
    this.captured = null;
    this.life.check();
    if (buffer.lastUse === this.statistics.submissions) this.submit();
    this.device.queue.writeBuffer(
      buffer.gpu,
      offset,
      data.buffer as ArrayBuffer,
      data.byteOffset,
      data.byteLength,
    );
  }

  submit(): void {
    this.captured = null;
    if (this.encoder === null || this.life.end !== null) return;
    this.endPass();
    const collect = this.timer?.resolve(this.encoder);
    const bytes = this.recorded * UNIFORM_BYTES;
    if (bytes > 0) this.device.queue.writeBuffer(this.uniforms, 0, this.staging, 0, bytes);
    this.device.queue.submit([this.encoder.finish()]);
    collect?.();
    this.encoder = null;
    this.recorded = 0;
    this.statistics.submissions += 1;
  }

  /** Times every dispatch from now on. Throws `GpuError` if the adapter has no timestamps. */
  startTimer(): GpuTimer {
    this.submit();
    this.timer ??= new GpuTimer(this.device, DISPATCHES_PER_SUBMISSION);
    return this.timer;
  }

  stopTimer(): void {
    this.submit();
    this.timer?.destroy();
    this.timer = null;
  }

  /** Drops the cached bind groups, which keep their buffers alive. Call after destroying buffers. */
  forgetBindGroups(): void {
    this.bindGroups.clear();
  }

  private openEncoder(): GPUCommandEncoder {
    this.life.check();
    this.endPass();
    this.encoder ??= this.device.createCommandEncoder();
    return this.encoder;
  }

  private openPass({ gpu }: Pipeline): GPUComputePassEncoder {
    if (this.pass === null) {
      this.encoder ??= this.device.createCommandEncoder();
      const timed = this.timer === null ? {} : { timestampWrites: this.timer.next(gpu.label) };
      this.pass = this.encoder.beginComputePass(timed);
    }
    return this.pass;
  }

  private endPass(): void {
    this.pass?.end();
    this.pass = null;
  }

  private bindGroup(pipeline: Pipeline, slots: readonly Slot[]): GPUBindGroup {
    const known = this.bindGroups.find(pipeline, slots);
    if (known !== undefined) {
      this.statistics.bindGroupHits += 1;
      return known;
    }
    this.statistics.bindGroupMisses += 1;
    const entries: GPUBindGroupEntry[] = [
      { binding: 0, resource: { buffer: this.uniforms, size: UNIFORM_BYTES } },
    ];
    for (const [index, slot] of slots.entries()) {
      const range = slot.size === undefined ? {} : { size: slot.size };
      entries.push({
        binding: index + 1,
        resource: { buffer: slot.buffer.gpu, offset: slot.offset ?? 0, ...range },
      });
    }
    const made = this.device.createBindGroup({ layout: pipeline.layout, entries });
    this.bindGroups.add(pipeline, slots, made);
    return made;
  }
}
