/** A WebGPU device with its pool, recorder and pipelines. Knows buffers and kernels, but not tensors. */

import { platform } from '#platform';
import { DeviceLostError, GpuError, GpuOutOfMemoryError } from '../errors.ts';
import { check, checkChoice, checkOptions } from '../options.ts';
import type { AdapterResult } from '../platform/contract.ts';
import { DeviceLife } from './life.ts';
import { type CompileProgress, type GpuOptions, gpuOptionNames, type KernelFamily } from './options.ts';
import { AskedPipelines, type KernelVariant, PipelineCache } from './pipelines.ts';
import { BufferPool, type PooledBuffer } from './pool.ts';
import { Recorder, type Slot, UNIFORM_BYTES } from './recorder.ts';
import { recordingDevice } from './recording-device.ts';
import { SUBGROUP_MATRIX, type SubgroupMatrix, subgroupMatricesOf } from './subgroup-matrix.ts';
import { SUBGROUP_SIZE_CONTROL, type Subgroups, subgroupsOf } from './subgroups.ts';
import { readTuning, type Tuning } from './tuning.ts';

const WANTED_FEATURES: readonly GPUFeatureName[] = [
  'shader-f16',
  'subgroups',
  SUBGROUP_SIZE_CONTROL,
  'timestamp-query',
];
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
  /** A one-line description for people. */
  readonly description: string;
  /** True if the adapter computes on the CPU. */
  readonly software: boolean;
  /** The kernel family; `cpu` kernels avoid workgroup memory and barriers, pure overhead on a CPU. */
  readonly kernels: KernelFamily;
  /** Whether the adapter computes in float16. Read once, like the limits. */
  readonly float16: boolean;
  /** Invocations of a subgroup; 0 if there are none, or of several sizes of which none can be asked for. */
  readonly subgroupSize: number;
  /**
   * Subgroup matrices that sum in float32, those of float16 first; none if the adapter has none that work, or
   * if subgroups are not to be used.
   */
  subgroupMatrices: readonly SubgroupMatrix[];
  readonly pool: BufferPool;
  readonly recorder: Recorder;
  readonly pipelines: PipelineCache;
  /** The device's limits, read once: every access to WebGPU's own object goes through native code. */
  readonly limits: GpuLimits;
  readonly maxBindingBytes: number;
  /** What was measured on this adapter, now or by `dawngrad tune`. */
  readonly tuning: Tuning;
  private readonly life = new DeviceLife();
  private readonly onCompile: ((progress: CompileProgress) => void) | undefined;
  private failure: GpuError | null = null;

  /** Throws `NoAdapterError` if no adapter fits the request, and `ConfigError` for an unknown option. */
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
    const subgroups = options.subgroups === false ? { size: 0, pins: {} } : await subgroupsOf(device);
    return new GpuContext(device, found, options, subgroups, await readTuning(found.description));
  }

  private constructor(
    device: GPUDevice,
    found: AdapterResult,
    options: GpuOptions,
    subgroups: Subgroups,
    tuning: Tuning,
  ) {
    this.tuning = tuning;
    const { adapter, description, software } = found;
    this.device = device;
    this.description = description;
    this.software = software;
    this.kernels = options.kernels ?? (software ? 'cpu' : 'gpu');
    this.float16 = device.features.has('shader-f16');
    this.subgroupSize = subgroups.size;
    this.subgroupMatrices = options.subgroups === false ? [] : subgroupMatricesOf(device, adapter.info);
    this.limits = limitsOf(device);
    this.maxBindingBytes = Math.min(
      options.maxBindingBytes ?? Number.POSITIVE_INFINITY,
      this.limits.maxStorageBufferBindingSize,
    );
    this.onCompile = options.onCompile;
    this.pool = new BufferPool(device, this.life, this.limits.maxBufferSize);
    this.recorder = new Recorder(device, this.life);
    const { maxMemoryBytes } = options;
    if (maxMemoryBytes !== undefined) {
      check('maxMemoryBytes', maxMemoryBytes, maxMemoryBytes > 0, 'use a number of bytes above 0');
      this.pool.limit = { bytes: maxMemoryBytes, makeRoom: () => this.trim() };
    }
    this.pipelines = new PipelineCache(device, UNIFORM_BYTES, subgroups.pins);
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

  /** Lends a scratch buffer of `elements` float32; it may be lent again once `use` has recorded its work. */
  borrow(elements: number, use: (slot: Slot) => void): void {
    const buffer = this.pool.acquire(4 * elements);
    try {
      // The pool may lend a buffer up to twice as large, which is more than may be bound.
      use(buffer.size <= this.maxBindingBytes ? { buffer } : { buffer, size: 4 * elements });
    } finally {
      this.pool.release(buffer);
    }
  }

  /** Throws the first GPU error since the last call, if any; on a lost device always throws. */
  check(): void {
    this.life.check();
    const { failure } = this;
    if (failure === null) return;
    this.failure = null;
    // A buffer whose allocation failed is unusable, and nothing tells which one it is, so none of the buffers
    // made so far is lent again.
    this.pool.renew();
    this.recorder.forgetBindGroups();
    throw failure;
  }

  /**
   * A context with all that kernels are chosen by, which computes nothing and holds no memory. `asked` has
   * the kernels that it was to run.
   */
  rehearsal(): { gpu: GpuContext; asked: ReadonlySet<KernelVariant> } {
    const device = recordingDevice(this.device);
    const life = new DeviceLife();
    const pipelines = new AskedPipelines(device, UNIFORM_BYTES, {});
    const gpu: GpuContext = Object.assign(Object.create(GpuContext.prototype), this, {
      device,
      life,
      pipelines,
      pool: new BufferPool(device, life, this.limits.maxBufferSize),
      recorder: new Recorder(device, life),
    });
    return { gpu, asked: pipelines.asked };
  }

  /** Compiles kernels before they are needed. Throws `DeviceLostError` if the device is gone. */
  async compile(variants: Iterable<KernelVariant>): Promise<void> {
    await this.wait(this.pipelines.compile(variants, (progress) => this.onCompile?.(progress)));
  }

  /** Sends the recorded work to the GPU. */
  submit(): void {
    this.flush();
    this.check();
  }

  /** Submits, then frees the idle buffers if they exceed the peak of live memory. */
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

  /** Reads back `bytes` bytes at `offset`, after all work recorded so far. */
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

  /** A buffer of `bytes` bytes for `readRanges`. */
  stagingBuffer(bytes: number): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    return this.device.createBuffer({ label: 'read-back of ranges', size: Math.max(bytes, 4), usage });
  }

  /**
   * Reads ranges back, one behind the other, after all work recorded so far, which is submitted at once. The
   * result is the memory of `staging`, until its `unmap`.
   */
  async readRanges(
    staging: GPUBuffer,
    ranges: readonly { buffer: PooledBuffer; offset: number; to: number; bytes: number }[],
  ): Promise<ArrayBuffer> {
    this.life.check();
    for (const { buffer, offset, to, bytes } of ranges)
      this.recorder.copyOut(buffer, offset, staging, bytes, to);
    this.flush();
    await this.wait(staging.mapAsync(GPUMapMode.READ));
    this.check();
    return staging.getMappedRange();
  }

  /** Frees the idle buffers. */
  trim(): void {
    this.recorder.submit();
    this.pool.trim();
    this.recorder.forgetBindGroups();
  }

  /** Destroys the device and all its buffers. Pending and later operations throw. */
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

function toGpuError(error: GPUError): GpuError {
  if (error instanceof GPUOutOfMemoryError) {
    // The lines below the first are of Dawn's own code.
    return new GpuOutOfMemoryError(`the GPU is out of memory: ${error.message.split('\n')[0]}`, {
      remedy: 'use a smaller batch, a shorter sequence or gradient accumulation',
      cause: error,
    });
  }
  return new GpuError(`the GPU refused an operation: ${error.message}`);
}
