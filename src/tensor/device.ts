/** `Device`: makes tensors and decides how long they live. */

import { ConfigError, DawngradError, DeviceLostError, DtypeError, GpuError, ShapeError } from '../errors.ts';
import { GpuContext } from '../gpu/context.ts';
import { bytesOf, type Dtype } from '../gpu/dtype.ts';
import type { GpuOptions } from '../gpu/options.ts';
import type { PoolStatistics, RecorderStatistics } from '../gpu/statistics.ts';
import { checkSubgroupMatrices } from '../kernels/matmul/check.ts';
import { tuneStep } from '../kernels/matmul/tune.ts';
import { type DropoutKey, fillBits, fillRandom, type RandomLaunch } from '../kernels/pointwise.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import { float32ToFloat16 } from './float16.ts';
import { checkShape, formatShape, type Shape, sizeOf } from './shape.ts';
import { Storage } from './storage.ts';
import { Tensor, type TypedArrays, typedArrayDtype } from './tensor.ts';

export type DeviceOptions = GpuOptions;

/** Of a normal distribution; 0 and 1 if absent. */
export interface NormalOptions {
  mean?: number;
  std?: number;
  /** Numbers further from the mean are drawn again, in standard deviations. Default: none are. */
  cutoff?: number | undefined;
}

const normalOptionNames: OptionNames<NormalOptions> = { mean: true, std: true, cutoff: true };

/** A result of the function of `tidy`: a tensor, or an array or record of tensors. */
export type TensorTree =
  | Tensor
  | null
  | undefined
  | number
  | string
  | boolean
  | readonly TensorTree[]
  | { readonly [key: string]: TensorTree };

/** Tensors made since a scope was opened; closing it disposes of them. */
export class Scope {
  private readonly device: Device;
  /** @internal */
  readonly tensors = new Set<Tensor>();

  constructor(device: Device) {
    this.device = device;
  }

  /** Takes a tensor out of this scope: it then lives until its own `dispose`. */
  keep<T extends Tensor>(tensor: T): T {
    this.tensors.delete(tensor);
    return tensor;
  }

  close(): void {
    this.device.closeScope(this);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export interface DeviceStatistics extends PoolStatistics, RecorderStatistics {
  pipelines: number;
}

/** State of the random generator, from which draws continue as if never interrupted. */
export interface RandomState {
  seed: number;
  stream: number;
}

/** The four bytes of one element, or of two halves. */
function bitsOf(dtype: Dtype, value: number): number {
  if (dtype === 'float16') return float32ToFloat16(Float32Array.of(value))[0]! * 0x1_0001;
  return new Uint32Array((dtype === 'float32' ? Float32Array : Int32Array).of(value).buffer)[0]!;
}

export class Device {
  /** @internal */
  readonly gpu: GpuContext;
  private readonly scopes: Scope[] = [];
  private random: RandomState = { seed: 0, stream: 0 };

  /** @internal Use `requestDevice`. */
  constructor(gpu: GpuContext) {
    this.gpu = gpu;
  }

  /** The adapter in one line: `NVIDIA H200 (vulkan)`. */
  get description(): string {
    return this.gpu.description;
  }

  /** Whether the adapter computes on the CPU. */
  get software(): boolean {
    return this.gpu.software;
  }

  /** Throws `DtypeError` if the adapter does not compute with float16. */
  requireFloat16(): void {
    if (this.gpu.float16) return;
    throw new DtypeError(`this adapter has no float16 (shader-f16): ${this.description}`, {
      remedy: 'use float32 (without fp16), or another adapter',
    });
  }

  statistics(): DeviceStatistics {
    return {
      ...this.gpu.pool.statistics,
      ...this.gpu.recorder.statistics,
      pipelines: this.gpu.pipelines.size,
    };
  }

  /** A tensor of the given values. Throws `ShapeError` if they do not fill the shape. */
  tensor(values: TypedArrays[Dtype] | readonly number[], shape?: Shape): Tensor {
    const data =
      values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint32Array
        ? values
        : Float32Array.from(values);
    const dims = shape ?? [data.length];
    if (sizeOf(dims) !== data.length) {
      throw new ShapeError(`tensor: ${data.length} values do not fill ${formatShape(dims)}`);
    }
    const made = this.empty(dims, typedArrayDtype(data));
    if (data.length > 0) made.write(data);
    return made;
  }

  /** Memory with unspecified content. */
  empty(shape: Shape, dtype: Dtype = 'float32'): Tensor {
    return this.track(this.raw(shape, dtype));
  }

  full(shape: Shape, value: number, dtype: Dtype = 'float32'): Tensor {
    const made = this.empty(shape, dtype);
    this.fill(made, value);
    return made;
  }

  zeros(shape: Shape, dtype: Dtype = 'float32'): Tensor {
    return this.full(shape, 0, dtype);
  }

  ones(shape: Shape, dtype: Dtype = 'float32'): Tensor {
    return this.full(shape, 1, dtype);
  }

  /** Normal numbers of the given mean and standard deviation, drawn on the GPU. */
  randn(shape: Shape, options: NormalOptions = {}): Tensor {
    checkOptions('randn', options, normalOptionNames);
    const made = this.empty(shape);
    this.fillNormal(made, options);
    return made;
  }

  /** Uniform numbers in [0, 1). */
  rand(shape: Shape): Tensor {
    const made = this.empty(shape);
    this.fillUniform(made, 0, 1);
    return made;
  }

  /** Overwrites a tensor with one value. */
  fill(tensor: Tensor, value: number): void {
    tensor.overwritten();
    if (tensor.size === 0) return;
    // Every bit of +0 is zero, in all types.
    if (Object.is(value, 0)) this.gpu.recorder.clear(tensor.slot, tensor.bytes);
    else
      fillBits(this.gpu, {
        // Counted by four bytes, whatever the type.
        y: { ...tensor.slot, dtype: 'float32' },
        count: tensor.bytes / 4,
        bits: bitsOf(tensor.dtype, value),
      });
  }

  /** Overwrites a float32 tensor with normal numbers. */
  fillNormal(tensor: Tensor, options: NormalOptions = {}): void {
    checkOptions('fillNormal', options, normalOptionNames);
    const { mean = 0, std = 1, cutoff } = options;
    this.draw('fillNormal', tensor, { distribution: 'normal', low: mean, width: std, cutoff });
  }

  /** Overwrites a float32 tensor with uniform numbers in [low, high). */
  fillUniform(tensor: Tensor, low: number, high: number): void {
    this.draw('fillUniform', tensor, { distribution: 'uniform', low, width: high - low });
  }

  private draw(
    name: string,
    tensor: Tensor,
    numbers: Pick<RandomLaunch, 'distribution' | 'low' | 'width' | 'cutoff'>,
  ): void {
    if (tensor.dtype !== 'float32') throw new DtypeError(`${name}: the tensor is ${tensor.dtype}`);
    tensor.overwritten();
    fillRandom(this.gpu, { y: tensor.slot, count: tensor.size, ...this.nextRandomKey(), ...numbers });
  }

  /**
   * Starts the generator of dropout masks and initial weights anew. Throws `ConfigError` for a seed of more
   * than 32 bits.
   */
  manualSeed(seed: number): void {
    if (seed >>> 0 !== seed)
      throw new ConfigError(`manualSeed: the seed is ${seed}`, {
        remedy: 'use an integer from 0 to 4294967295',
      });
    this.random = { seed, stream: 0 };
  }

  get randomState(): RandomState {
    return { ...this.random };
  }

  set randomState(state: RandomState) {
    this.random = { ...state };
  }

  /** @internal A key that no earlier draw had. */
  nextRandomKey(): RandomState {
    const { seed, stream } = this.random;
    this.random.stream = (stream + 1) >>> 0;
    return { seed, stream };
  }

  /** @internal The key of a dropout mask. */
  nextDropoutKey(p: number): DropoutKey {
    return { ...this.nextRandomKey(), p };
  }

  /** Opens a scope: `using scope = device.scope()`. Scopes nest and close in reverse order. */
  scope(): Scope {
    const scope = new Scope(this);
    this.scopes.push(scope);
    return scope;
  }

  /**
   * Runs `body` and disposes of every tensor it made but those it returns. Not for async functions: use
   * `scope()`.
   */
  tidy<T extends TensorTree>(body: () => T): T {
    const scope = this.scope();
    try {
      const result = body();
      if (result instanceof Promise) {
        throw new DawngradError('tidy: the function is async', {
          remedy: 'use `using scope = device.scope()`',
        });
      }
      this.handOut(scope, result);
      return result;
    } finally {
      scope.close();
    }
  }

  /** Makes a tensor live until its own `dispose`, whatever scopes close. */
  keep<T extends Tensor>(tensor: T): T {
    for (const scope of this.scopes) scope.keep(tensor);
    return tensor;
  }

  /** @internal */
  closeScope(scope: Scope): void {
    const at = this.scopes.lastIndexOf(scope);
    if (at < 0) return;
    // Inner scopes left open go first.
    for (const open of this.scopes.splice(at).reverse()) {
      for (const tensor of open.tensors) tensor.dispose();
      open.tensors.clear();
    }
  }

  /** @internal Puts a tensor under the innermost scope, if one is open. */
  track(tensor: Tensor): Tensor {
    this.scopes.at(-1)?.tensors.add(tensor);
    return tensor;
  }

  /** @internal Memory outside every scope; the caller disposes of it. */
  raw(shape: Shape, dtype: Dtype = 'float32'): Tensor {
    checkShape('tensor', shape);
    if (dtype === 'float16') this.requireFloat16();
    return new Tensor(this, new Storage(this, bytesOf(dtype, sizeOf(shape))), [...shape], dtype);
  }

  /** @internal A copy outside every scope. */
  copy(source: Tensor): Tensor {
    const made = this.raw(source.shape, source.dtype);
    this.assign(made, source);
    return made;
  }

  /** Copies the values of one tensor over another's of the same size. */
  assign(target: Tensor, source: Tensor): void {
    if (target.size !== source.size || target.dtype !== source.dtype) {
      throw new ShapeError(
        `assign: ${source.dtype} ${formatShape(source.shape)} does not fit ${target.dtype} ${formatShape(target.shape)}`,
      );
    }
    target.overwritten(source.integers);
    if (source.size === 0 || source.memory === target.memory) return;
    // WebGPU copies from one buffer to another only.
    const apart = source.memory.buffer !== target.memory.buffer;
    const other = apart ? source : this.copy(source);
    this.gpu.recorder.copy(other.slot, target.slot, source.bytes);
    if (!apart) other.dispose();
  }

  /** @internal Copies float32 values into another buffer's tensor, from its element `first` on. */
  assignPart(target: Tensor, source: Tensor, first: number): void {
    target.overwritten();
    const { buffer, offset = 0 } = target.slot;
    this.gpu.recorder.copy(source.slot, { buffer, offset: offset + first * 4 }, source.bytes);
  }

  /** Waits until all work recorded so far is done; throws what went wrong on the GPU. */
  async sync(): Promise<void> {
    await this.gpu.sync();
  }

  /** Sends recorded work to the GPU without waiting. */
  submit(): void {
    this.gpu.submit();
  }

  /** Gives idle memory back to the driver. */
  trim(): void {
    this.gpu.trim();
  }

  /** Ends the device and everything on it. */
  destroy(): void {
    this.gpu.destroy();
  }

  private handOut(scope: Scope, tree: TensorTree): void {
    if (tree instanceof Tensor) {
      if (scope.tensors.delete(tree)) this.scopes.at(-2)?.tensors.add(tree);
    } else if (Array.isArray(tree)) {
      for (const item of tree as readonly TensorTree[]) this.handOut(scope, item);
    } else if (typeof tree === 'object' && tree !== null) {
      for (const item of Object.values(tree)) this.handOut(scope, item as TensorTree);
    }
  }
}

/**
 * Finds an adapter and opens a device on it. By default a hardware GPU, else a software driver of the system,
 * else the packaged software adapter. Throws `NoAdapterError` if there is none.
 */
export async function requestDevice(options: DeviceOptions = {}): Promise<Device> {
  const gpu = await GpuContext.request(options);
  try {
    await checkSubgroupMatrices(gpu);
  } catch (error) {
    gpu.destroy();
    if (!(error instanceof DeviceLostError)) throw error;
    console.warn(`${gpu.description} was lost while its matrix units were tried: dawngrad does without them`);
    return new Device(await GpuContext.request({ ...options, matrixUnits: false }));
  }
  try {
    await tuneStep(gpu);
  } catch (error) {
    // Without an answer the usual table serves.
    if (!(error instanceof GpuError) || error instanceof DeviceLostError) {
      gpu.destroy();
      throw error;
    }
  }
  return new Device(gpu);
}
