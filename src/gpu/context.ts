/** A WebGPU device with its pool, recorder and pipelines. Knows buffers and kernels, nothing of tensors. */

import { platform } from '#platform';
import { DeviceLostError, GpuError, GpuOutOfMemoryError } from '../errors.ts';
import { checkChoice, checkOptions } from '../options.ts';
import type { AdapterResult } from '../platform/contract.ts';
import { DeviceLife } from './life.ts';
import { type GpuOptions, gpuOptionNames, type KernelFamily } from './options.ts';
import { PipelineCache } from './pipelines.ts';
import { BufferPool, type PooledBuffer } from './pool.ts';
import { Recorder, type Slot, UNIFORM_BYTES } from './recorder.ts';
import { SUBGROUP_MATRIX, type SubgroupMatrix, subgroupMatricesOf } from './subgroup-matrix.ts';
import { readTuning } from './tuning.ts';

const WANTED_FEATURES: readonly GPUFeatureName[] = ['shader-f16', 'subgroups', 'timestamp-query'];
const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
] as const;

export type GpuLimits = Readonly<Record<(typeof WANTED_LIMITS)[number], number>>;

export class GpuContext {
  readonly device: GPUDevice;
  /** One line for people. */
  readonly description: string;
  /** True where the adapter computes on the CPU. */
  readonly software: boolean;
  /** `cpu`: kernels avoid workgroup memory and barriers, which only cost there. */
  readonly kernels: KernelFamily;
  /** Whether the adapter computes with float16. Read once, as the limits are. */
  readonly float16: boolean;
  /** Invocations of a subgroup; 0 where there are no subgroups, or of more than one size. */
  readonly subgroupSize: number;
  /**
   * Subgroup matrices that sum in float32, those of float16 first; none if the adapter has none that work, or
   * if subgroups are not to be used.
   */
  subgroupMatrices: readonly SubgroupMatrix[];
  readonly pool: BufferPool;
  readonly recorder: Recorder;
  readonly pipelines: PipelineCache;
  /** The device's limits, read once: each reading of WebGPU's own object goes through native code. */
  readonly limits: GpuLimits;
  readonly maxBindingBytes: number;
  /** Which technique was the fastest on this adapter, by class of work: what `dawngrad tune` measured. */
  readonly tuning = new Map<string, string>();
  private readonly life = new DeviceLife();
  private failure: GpuError | null = null;

  /** Throws `NoAdapterError` where no adapter fits the request, `ConfigError` for an option there is not. */
  static async request(options: GpuOptions = {}): Promise<GpuContext> {
    checkOptions('requestDevice', options, gpuOptionNames);
    checkChoice('requestDevice: kernels', options.kernels, ['cpu', 'gpu']);
    for (const name of ['subgroups', 'matrixUnits'] as const)
      checkChoice(`requestDevice: ${name}`, options[name], [false]);
    const found = await platform.requestAdapter(options);
    const requiredLimits: Record<string, number> = {};
    for (const name of WANTED_LIMITS) requiredLimits[name] = found.adapter.limits[name];
    const wanted = options.matrixUnits === false ? WANTED_FEATURES : [...WANTED_FEATURES, SUBGROUP_MATRIX];
    const requiredFeatures = wanted.filter((name) => found.adapter.features.has(name));
    const device = await found.adapter.requestDevice({ requiredLimits, requiredFeatures });
    const context = new GpuContext(device, found, options);
    for (const [key, value] of await readTuning(found.description)) context.tuning.set(key, value);
    return context;
  }

  private constructor(device: GPUDevice, found: AdapterResult, options: GpuOptions) {
    const { adapter, description, software } = found;
    this.device = device;
    this.description = description;
    this.software = software;
    this.kernels = options.kernels ?? (software ? 'cpu' : 'gpu');
    this.float16 = device.features.has('shader-f16');
    this.subgroupSize = options.subgroups === false ? 0 : subgroupSizeOf(device);
    this.subgroupMatrices = options.subgroups === false ? [] : subgroupMatricesOf(device, adapter.info);
    this.limits = limitsOf(device);
    this.maxBindingBytes = Math.min(
      options.maxBindingBytes ?? Number.POSITIVE_INFINITY,
      this.limits.maxStorageBufferBindingSize,
    );
    this.pool = new BufferPool(device, this.life, this.limits.maxBufferSize);
    this.recorder = new Recorder(device, this.life);
    this.pipelines = new PipelineCache(device, UNIFORM_BYTES);
    device.addEventListener('uncapturederror', (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      this.failure ??= toGpuError(error);
    });
    void device.lost.then((info) => {
      this.life.finish(
        new DeviceLostError(`the GPU device was lost: ${info.message || info.reason}`, {
          remedy: 'a smaller batch may help; resume from the last checkpoint',
        }),
      );
    });
  }

  /**
   * Lends launchers a buffer of `elements` float32 for what they need in between; it may be lent again once
   * `use` has recorded its work.
   */
  borrow(elements: number, use: (slot: Slot) => void): void {
    const buffer = this.pool.acquire(4 * elements);
    try {
      // The pool may lend a buffer twice as large, more than can be bound.
      use(buffer.size <= this.maxBindingBytes ? { buffer } : { buffer, size: 4 * elements });
    } finally {
      this.pool.release(buffer);
    }
  }

  /**
   * Throws the first GPU error that came in since the last call, if any; where the device is gone, that at
   * every call.
   */
  check(): void {
    this.life.check();
    const { failure } = this;
    if (failure === null) return;
    this.failure = null;
    // A buffer made without memory is dead, and nobody can tell which: none of those made so far is lent
    // again.
    this.pool.renew();
    this.recorder.forgetBindGroups();
    throw failure;
  }

  /** Sends the recorded work to the GPU. */
  submit(): void {
    this.flush();
    this.check();
  }

  /** Submits; then gives idle memory back where far more is idle than was ever in use at once. */
  private flush(): void {
    this.recorder.submit();
    const { idleBytes, peakLiveBytes } = this.pool.statistics;
    if (idleBytes > peakLiveBytes) this.trim();
  }

  /** Waits until all recorded work is done. */
  async sync(): Promise<void> {
    this.flush();
    await this.submittedWorkDone();
    this.check();
  }

  /** Waits until the work submitted so far is done. */
  async submittedWorkDone(): Promise<void> {
    this.life.check();
    await this.wait(this.device.queue.onSubmittedWorkDone());
  }

  private wait<T>(work: Promise<T>): Promise<T> {
    return platform.waitForGpu(this.life.wait(work), this.software);
  }

  /** A copy of `bytes` bytes from `offset`, after all work recorded so far. */
  async read(buffer: PooledBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    this.life.check();
    const size = Math.ceil(bytes / 4) * 4;
    const staging = this.device.createBuffer({
      label: 'read-back',
      size: Math.max(size, 4),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    try {
      if (size > 0) this.recorder.copyOut(buffer, offset, staging, size);
      this.flush();
      try {
        await this.wait(staging.mapAsync(GPUMapMode.READ));
      } catch (cause) {
        this.check();
        throw new GpuError('the GPU could not be read back', { cause });
      }
      this.check();
      return staging.getMappedRange().slice(0, bytes);
    } finally {
      staging.destroy();
    }
  }

  /** Frees idle buffers. */
  trim(): void {
    this.recorder.submit();
    this.pool.trim();
    this.recorder.forgetBindGroups();
  }

  /**
   * Ends the device; every buffer goes with it. Whatever is done with it afterwards throws, and so does what
   * still waits for it.
   */
  destroy(): void {
    this.life.finish(
      new DeviceLostError('the device was destroyed', {
        remedy: 'destroy() it after the last operation, and ask for a new one',
      }),
    );
    this.device.destroy();
  }
}

function limitsOf({ limits }: GPUDevice): GpuLimits {
  return Object.fromEntries(WANTED_LIMITS.map((name) => [name, limits[name]])) as GpuLimits;
}

function subgroupSizeOf({ features, adapterInfo }: GPUDevice): number {
  // Not every browser tells of the adapter.
  const { subgroupMinSize = 0, subgroupMaxSize } = adapterInfo ?? {};
  return features.has('subgroups') && subgroupMinSize === subgroupMaxSize ? subgroupMinSize : 0;
}

function toGpuError(error: GPUError): GpuError {
  if (error instanceof GPUOutOfMemoryError) {
    return new GpuOutOfMemoryError(`the GPU is out of memory: ${error.message}`, {
      remedy: 'use a smaller batch, a shorter sequence or gradient accumulation',
    });
  }
  return new GpuError(`the GPU refused an operation: ${error.message}`);
}
