/**
 * Parameters laid one after the other in one buffer, so that a kernel reaches many of them by one binding,
 * with their gradients and float16 copies laid likewise in buffers of their own.
 */
import { ALIGNED, OFFSET_BYTES } from '../kernels/launch.ts';
import type { Device } from './device.ts';
import type { Shape } from './shape.ts';
import { Storage } from './storage.ts';
import { bytesOf, type Dtype, itemSize, Tensor } from './tensor.ts';

/** Where a parameter lies, counted in elements. */
export class Place {
  readonly bucket: Bucket;
  readonly at: number;
  readonly size: number;
  /** Where what follows may begin; nobody's elements lie between. */
  readonly next: number;
  /** @internal Whose it is. */
  readonly tensor: Tensor;
  /** @internal What was lent of its companions last. */
  readonly loans: Record<CompanionName, Storage | null> = { gradients: null, halves: null };

  constructor(bucket: Bucket, tensor: Tensor, at: number, next: number) {
    this.bucket = bucket;
    this.tensor = tensor;
    this.at = at;
    this.size = tensor.size;
    this.next = next;
  }
}

/** Memory of a bucket's layout beside that of the values, and the type of what lies there. */
const companionTypes = { gradients: 'float32', halves: 'float16' } as const satisfies Record<string, Dtype>;
type CompanionName = keyof typeof companionTypes;

/** A companion, from the element on that is the bucket's `from`. */
interface Companion {
  readonly memory: Storage;
  readonly from: number;
  readonly end: number;
}

export class Bucket {
  private readonly device: Device;
  /** Elements, gaps included. */
  private readonly size: number;
  private readonly places: Place[] = [];
  /** There as long as some of it is lent. */
  private readonly companions: Record<CompanionName, Companion | null> = { gradients: null, halves: null };

  constructor(device: Device, size: number) {
    this.device = device;
    this.size = size;
  }

  /**
   * The place of a parameter whose memory lies here, in a part that ends at `end` where the next part begins
   * at `next`.
   */
  place(tensor: Tensor, end: number, next: number): Place {
    const { size } = tensor;
    const at = (tensor.memory.offset ?? 0) / 4;
    // Two tensors over the same memory have one place, so that their gradients do not meet.
    const known = this.places.find((one) => one.at === at && one.size === size);
    if (known !== undefined) return known;
    const made = new Place(this, tensor, at, at + size === end ? next : at + size);
    this.places.push(made);
    return made;
  }

  /**
   * Lends the memory of elements that lie side by side; null where that cannot be bound apart, or is not
   * there.
   */
  lend(name: CompanionName, at: number, size: number): Storage | null {
    const dtype = companionTypes[name];
    const known = this.companions[name];
    const companion = known?.memory.live ? known : this.makeCompanion(name);
    const { memory, from, end } = companion;
    const start = (at - from) * itemSize(dtype);
    const there = at >= from && at + size <= end && start % OFFSET_BYTES === 0;
    const loan = there ? memory.range(start, bytesOf(dtype, size)) : null;
    // A new one lives by its loans alone.
    if (companion !== known) memory.release();
    return loan;
  }

  /** Gradients of what is frozen at either end need no memory. */
  private makeCompanion(name: CompanionName): Companion {
    let [from, end] = [0, this.size];
    if (name === 'gradients') {
      const wanted = this.places.filter(({ tensor }) => tensor.requiresGrad);
      from = Math.min(...wanted.map(({ at }) => at), this.size);
      end = Math.max(...wanted.map(({ next }) => next), from);
    }
    const memory = new Storage(this.device, bytesOf(companionTypes[name], end - from));
    this.companions[name] = { memory, from, end };
    return this.companions[name];
  }
}

/**
 * Bytes of parameters that are laid together, where they are more than one: enough for few dispatches, and
 * easy to find room for.
 */
const BUCKET_BYTES = 2 ** 26;

function aligned(elements: number): number {
  return Math.ceil(elements / ALIGNED) * ALIGNED;
}

/** Parameters whose memory cannot be told apart: ranges of one storage. */
interface Unit {
  readonly root: Storage;
  readonly tensors: Tensor[];
}

function unitsOf(tensors: readonly Tensor[]): Unit[] {
  const units = new Map<Storage, Unit>();
  for (const tensor of tensors) {
    const { root } = tensor.memory;
    const unit = units.get(root) ?? { root, tensors: [] };
    unit.tensors.push(tensor);
    units.set(root, unit);
  }
  return [...units.values()];
}

/** Places differ even where there are no elements. */
const sizeOf = ({ root }: Unit): number => Math.max(aligned(root.bytes / 4), ALIGNED);

/** Lays units into a bucket. One alone stays where it is. */
function fill(device: Device, units: readonly Unit[]): void {
  const [first] = units as [Unit];
  const size = units.reduce((sum, unit) => sum + sizeOf(unit), 0);
  const memory = units.length === 1 ? first.root.retain() : new Storage(device, size * 4);
  const bucket = memory.bucket ?? new Bucket(device, size);
  memory.bucket = bucket;
  let start = 0;
  for (const unit of units) {
    if (unit.root !== memory) unit.root.moveInto(memory, start * 4);
    const end = start + unit.root.bytes / 4;
    start += sizeOf(unit);
    for (const tensor of unit.tensors) {
      tensor.place = bucket.place(tensor, end, start);
      // Made anew, its copy finds its place too.
      tensor.halfCopy?.dispose();
    }
  }
  memory.release();
}

/**
 * Gives float32 parameters of one device, which do not overlap, their places, those that have none: next to
 * one another, matrices first, in buffers of at most 64 MiB and half of what can be bound (moments are twice
 * as large). Their values move there.
 */
export function layTogether(tensors: readonly Tensor[]): void {
  const missing = tensors.filter(({ place }) => place === null);
  if (missing.length === 0) return;
  const { device } = missing[0]!;
  // Vectors have no float16 copies, and mostly no weight decay: apart from matrices, both are long runs.
  const waiting = [...missing.filter(({ rank }) => rank > 1), ...missing.filter(({ rank }) => rank <= 1)];
  const most = Math.min(BUCKET_BYTES, device.gpu.maxBindingBytes / 2) / 4;
  let open: Unit[] = [];
  let used = 0;
  const close = (): void => {
    if (open.length > 0) fill(device, open);
    // The buffers they had are of no more use.
    if (open.length > 1) device.trim();
    open = [];
    used = 0;
  };
  for (const unit of unitsOf(waiting)) {
    const size = sizeOf(unit);
    // What is large enough alone stays alone; so does what lies in a bucket already.
    if (size > most || unit.root.bucket !== null) {
      fill(device, [unit]);
      continue;
    }
    if (used + size > most) close();
    open.push(unit);
    used += size;
  }
  close();
}

/**
 * The memory of some parameters in a companion of their bucket; null where they do not lie side by side, or
 * it is lent.
 */
function companionMemory(name: CompanionName, tensors: readonly Tensor[]): Storage | null {
  const first = tensors[0]!.place;
  if (first === null) return null;
  let end = first.at;
  for (const { place } of tensors) {
    if (place?.bucket !== first.bucket || place.at !== end || place.loans[name]?.live) return null;
    end += place.size;
  }
  const loan = first.bucket.lend(name, first.at, end - first.at);
  if (loan !== null) for (const { place } of tensors) place!.loans[name] = loan;
  return loan;
}

/** The shape of tensors that agree in all but their first dimension, one after the other along that. */
function joinedShape(tensors: readonly Tensor[]): Shape {
  const { shape } = tensors[0]!;
  if (tensors.length === 1) return shape;
  const [, ...rest] = shape;
  return [tensors.reduce((rows, one) => rows + one.shape[0]!, 0), ...rest];
}

/**
 * Memory for the gradient of a tensor, or of some that agree in all but their first dimension, one after the
 * other; outside every scope. Beside that of their neighbours, if they have some and nobody holds an older
 * gradient there; but never in a buffer of `read`, tensors that are read by the kernels which write the
 * gradient.
 */
export function gradientMemory(tensors: readonly Tensor[], read: readonly Tensor[] = []): Tensor {
  const { device, dtype } = tensors[0]!;
  const shape = joinedShape(tensors);
  const memory = companionMemory('gradients', tensors);
  if (memory === null) return device.raw(shape, dtype);
  const { buffer } = memory;
  // A gradient that is there already is what this one will be added to: the user may have moved it from
  // another parameter.
  const clash =
    read.some((tensor) => tensor.memory.buffer === buffer) ||
    tensors.some(({ grad }) => grad?.disposed === false && grad.memory.buffer === buffer);
  if (!clash) return new Tensor(device, memory, shape, dtype);
  memory.release();
  return device.raw(shape, dtype);
}

/**
 * Memory for the float16 copies of some parameters that agree in all but their first dimension, one after the
 * other; outside every scope.
 */
export function halfMemory(tensors: readonly Tensor[]): Tensor {
  const { device } = tensors[0]!;
  const shape = joinedShape(tensors);
  const memory = companionMemory('halves', tensors);
  return memory === null ? device.raw(shape, 'float16') : new Tensor(device, memory, shape, 'float16');
}
