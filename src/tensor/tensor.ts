/** `Tensor`: a shape, an element type, a share of a GPU buffer, and a node of the autograd tape. */
import { AutogradError, DawngradError, DisposedError, DtypeError, ShapeError } from '../errors.ts';
import { bytesOf, type Dtype } from '../gpu/dtype.ts';
import type { Slot } from '../gpu/recorder.ts';
import type { Device } from './device.ts';
import { float16ToFloat32 } from './float16.ts';
import type { Float16Copy, Place } from './parameters.ts';
import { formatShape, type Shape, sizeOf } from './shape.ts';
import type { Storage } from './storage.ts';
import { backward, releaseNode, type TapeNode } from './tape.ts';

export type { Dtype };

export interface TypedArrays {
  float32: Float32Array;
  float16: Float32Array;
  int32: Int32Array;
  uint32: Uint32Array;
}

let tensorsMade = 0;

export class Tensor {
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: Dtype;
  /** Unique in this process. */
  readonly id: number;
  /** The gradient, once `backward` has reached this leaf. Accumulates until `zeroGrad`. */
  grad: Tensor | null = null;
  /** @internal How this tensor was computed; null for a leaf. */
  node: TapeNode | null = null;
  /** @internal The float16 copy that mixed precision keeps of a weight. */
  float16Copy: Float16Copy | null = null;
  /** @internal The values in float16, if the kernel that computed them stored those too. */
  rounded: Tensor | null = null;
  /** @internal Equal parts along the first axis that are drawn, and kept in files, as separate parameters. */
  parts = 1;
  /** @internal Where an optimizer laid this parameter out. */
  place: Place | null = null;
  private storage: Storage | null;
  private wantsGrad = false;

  /** @internal Use `device.tensor`, `device.zeros` and the like. Takes over one share of `storage`. */
  constructor(device: Device, storage: Storage, shape: Shape, dtype: Dtype) {
    this.device = device;
    this.storage = storage;
    this.shape = shape;
    this.dtype = dtype;
    tensorsMade += 1;
    this.id = tensorsMade;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  get rank(): number {
    return this.shape.length;
  }

  get disposed(): boolean {
    return this.storage === null;
  }

  /** Whether `backward` computes a gradient for this tensor or through it. */
  get requiresGrad(): boolean {
    return this.wantsGrad || this.node !== null;
  }

  /**
   * Sets whether a leaf collects gradients. Throws `AutogradError` for a computed tensor, `DtypeError` for
   * integers.
   */
  set requiresGrad(value: boolean) {
    if (this.node !== null && !value) {
      throw new AutogradError('requiresGrad can be switched off for leaf tensors only', {
        remedy: 'use detach()',
      });
    }
    if (value && this.dtype !== 'float32' && this.dtype !== 'float16') {
      throw new DtypeError(`a tensor of ${this.dtype} cannot have a gradient`, { remedy: 'use float32' });
    }
    this.wantsGrad = value;
  }

  get isLeaf(): boolean {
    return this.node === null;
  }

  /** @internal Throws `DisposedError` for a tensor that was disposed. */
  get memory(): Storage {
    if (this.storage === null) {
      throw new DisposedError(`tensor ${formatShape(this.shape)} was disposed`, {
        remedy: 'return it from tidy(), or keep() it, to use it outside its scope',
      });
    }
    return this.storage;
  }

  /** @internal The buffer range that kernels bind. */
  get slot(): Slot {
    const { buffer, offset, isRange } = this.memory;
    // The whole buffer if it may be bound: tensors of other sizes that reuse it then find its bind group.
    const whole = !isRange && buffer.size <= this.device.gpu.maxBindingBytes;
    return {
      buffer,
      dtype: this.dtype,
      offset: isRange ? offset : undefined,
      size: whole ? undefined : this.bytes,
    };
  }

  /** @internal Bytes it takes, a multiple of four. */
  get bytes(): number {
    return bytesOf(this.dtype, this.size);
  }

  /** @internal What the CPU last wrote into this int32 tensor, if that is what it holds. */
  get integers(): Int32Array | null {
    return this.memory.integers;
  }

  /** @internal See `Storage.version`. */
  get version(): number {
    return this.memory.version;
  }

  /**
   * @internal To be called by whoever overwrites values: `integers` are those the CPU wrote over an int32
   * tensor, if so.
   */
  overwritten(integers: Int32Array | null = null): void {
    const storage = this.memory;
    storage.integers = integers;
    storage.version += 1;
  }

  /** @internal Throws `DisposedError` for a tensor that was disposed. */
  requireLive(): void {
    void this.memory;
  }

  /** @internal True while another tensor shares the memory, so that it must not be written in place. */
  get shared(): boolean {
    return this.memory.shared;
  }

  /** @internal A second tensor over the same memory, off the tape and outside every scope. */
  alias(shape: Shape = this.shape): Tensor {
    return new Tensor(this.device, this.memory.retain(), shape, this.dtype);
  }

  /** @internal Takes over the memory of another tensor of the same size, in exchange for its own share. */
  takeMemory(other: Tensor): void {
    this.storage?.release();
    this.storage = other.storage;
    other.storage = null;
  }

  /** The same values off the tape. */
  detach(): Tensor {
    return this.device.track(this.alias());
  }

  /**
   * Computes the gradient of this scalar with respect to every leaf that requires one, adding it to the
   * leaf's `grad`. Throws `AutogradError` for a tensor off the tape or a tape already spent, `ShapeError` for
   * a non-scalar without `gradient`.
   */
  backward(gradient?: Tensor): void {
    if (gradient === undefined && this.size !== 1) {
      throw new ShapeError(`backward: ${formatShape(this.shape)} is not a scalar`, {
        remedy: 'reduce it with mean() or sum(), or pass its gradient',
      });
    }
    backward(this, gradient);
  }

  /**
   * Copies the values to the CPU, once the GPU has computed them; those of a float16 tensor as float32. See
   * `float32Data` for an array whose type the compiler knows. To be awaited, as `item`.
   */
  data(): Promise<TypedArrays[Dtype]> {
    return mustBeAwaited('data', () => this.read());
  }

  private async read(): Promise<TypedArrays[Dtype]> {
    const { buffer, offset } = this.memory;
    const bytes = await this.device.gpu.read(buffer, offset, this.bytes);
    return typedArray(this.dtype, bytes, this.size);
  }

  /** The values of a tensor of floats. Throws `DtypeError` for integers. To be awaited, as `item`. */
  float32Data(): Promise<Float32Array> {
    return mustBeAwaited('float32Data', async () => {
      const values = await this.read();
      if (values instanceof Float32Array) return values;
      throw new DtypeError(`float32Data: the tensor is ${this.dtype}`, { remedy: 'use data()' });
    });
  }

  /**
   * The value of a tensor of one element. To be awaited: what is computed with the promise itself throws
   * `DawngradError`.
   */
  item(): Promise<number> {
    return mustBeAwaited('item', async () => {
      if (this.size === 1) return (await this.read())[0]!;
      throw new ShapeError(`item: ${formatShape(this.shape)} has ${this.size} elements`, {
        remedy: 'use data()',
      });
    });
  }

  /**
   * Overwrites the values. `values` has as many elements as the tensor, from element `offset` on if given.
   */
  write(values: TypedArrays[Dtype], offset = 0): void {
    if (typedArrayDtype(values) !== this.dtype) {
      throw new DtypeError(`write: the tensor is ${this.dtype}, the values ${typedArrayDtype(values)}`);
    }
    if (offset < 0 || offset + values.length > this.size) {
      throw new ShapeError(
        `write: ${values.length} values from ${offset} do not fit ${formatShape(this.shape)}`,
      );
    }
    const whole = values instanceof Int32Array && values.length === this.size;
    this.overwritten(whole ? values.slice() : null);
    const storage = this.memory;
    this.device.gpu.recorder.write(storage.buffer, storage.offset + offset * 4, values);
  }

  /** @internal */
  dropGradient(): void {
    this.grad?.dispose();
    this.grad = null;
  }

  /** Releases this tensor's share of its memory, and of the tape that leads to it. */
  dispose(): void {
    if (this.storage === null) return;
    this.storage.release();
    this.storage = null;
    if (this.node !== null) releaseNode(this.node);
    this.node = null;
    this.dropGradient();
    this.float16Copy?.values.dispose();
    this.float16Copy = null;
    this.rounded?.dispose();
    this.rounded = null;
    this.place = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor(${formatShape(this.shape)}, ${this.dtype}${this.requiresGrad ? ', requiresGrad' : ''})`;
  }
}

/** `${loss.item()}` and `loss.item() < best` would go on with a promise as if it were a number. */
function mustBeAwaited<T>(name: string, compute: () => Promise<T>): Promise<T> {
  const refuse = (): never => {
    throw new DawngradError(`${name}() is a promise`, { remedy: `await it: await tensor.${name}()` });
  };
  return Object.defineProperties(compute(), {
    [Symbol.toPrimitive]: { value: refuse },
    toJSON: { value: refuse },
  });
}

export function typedArrayDtype(values: TypedArrays[Dtype]): Dtype {
  if (values instanceof Float32Array) return 'float32';
  return values instanceof Int32Array ? 'int32' : 'uint32';
}

/** @internal Elements of a type, read back as bytes. */
export function typedArray(dtype: Dtype, bytes: ArrayBuffer, size: number): TypedArrays[Dtype] {
  if (dtype === 'float32') return new Float32Array(bytes);
  if (dtype === 'float16') return float16ToFloat32(new Uint16Array(bytes, 0, size));
  return dtype === 'int32' ? new Int32Array(bytes) : new Uint32Array(bytes);
}
