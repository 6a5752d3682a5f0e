/**
 * Memory of parameters. An optimizer lays its parameters out in a few large buffers, the chunks, because the
 * kernels that go over all parameters can bind only a few. A parameter's offset in its chunk is fixed; its
 * gradient, its float16 copy and its moments (`optim/moments.ts`) have the same offset in other buffers.
 */
import { ALIGNED, type Slot } from '../kernels/launch.ts';
import { cast } from '../kernels/pointwise.ts';
import type { Device } from './device.ts';
import { Storage } from './storage.ts';
import { Tensor } from './tensor.ts';

/** The elements [from, end) of a chunk's layout in one buffer, each of `width` bytes. */
export class Plane {
  readonly memory: Storage;
  readonly width: number;
  readonly from: number;
  readonly end: number;

  constructor(memory: Storage, width: number, from: number, end: number) {
    this.memory = memory;
    this.width = width;
    this.from = from;
    this.end = end;
  }

  /** The binding of `count` elements from `at` on. */
  slot(at: number, count: number): Slot {
    const { buffer, offset } = this.memory;
    const dtype = this.width === 2 ? 'float16' : 'float32';
    return { buffer, dtype, offset: offset + this.start(at), size: this.bytes(count) };
  }

  /** The memory of `count` elements from `at` on, as a share of its own. */
  range(at: number, count: number): Storage {
    return this.memory.range(this.start(at), this.bytes(count));
  }

  /** Whether `storage` is the range that begins at `at`. */
  holds(storage: Storage, at: number): boolean {
    const { root, offset } = storage;
    return root === this.memory.root && offset === this.memory.offset + this.start(at);
  }

  private start(at: number): number {
    return (at - this.from) * this.width;
  }

  private bytes(count: number): number {
    return Math.ceil((count * this.width) / 4) * 4;
  }
}

/** Where a parameter is in its chunk, in elements. */
export interface Place {
  readonly chunk: Chunk;
  readonly at: number;
  readonly size: number;
  /** Where the next parameter may begin; nobody's elements are between. */
  readonly end: number;
  /** @internal The parameter, of which only `requiresGrad` matters here. */
  readonly tensor: Tensor;
  /** @internal The memory last lent for its gradient. */
  lent: Storage | null;
}

export const inOrder = (a: Place, b: Place): number => a.chunk.id - b.chunk.id || a.at - b.at;

let chunksMade = 0;

export class Chunk {
  /** Chunks in the order in which they were made. */
  readonly id: number;
  readonly values: Plane;
  private readonly device: Device;
  private readonly places: Place[] = [];
  /** These two live as long as ranges of them do. */
  private gradientPlane: Plane | null = null;
  private halfPlane: Plane | null = null;

  constructor(device: Device, memory: Storage, size: number) {
    chunksMade += 1;
    this.id = chunksMade;
    this.device = device;
    this.values = new Plane(memory, 4, 0, size);
  }

  /** Gradients, while there are any. */
  get gradients(): Plane | null {
    return this.gradientPlane?.memory.live ? this.gradientPlane : null;
  }

  /** float16 copies, while there are any. */
  get halves(): Plane | null {
    return this.halfPlane?.memory.live ? this.halfPlane : null;
  }

  /** Gives a parameter the elements [at, end). */
  add(tensor: Tensor, at: number, end: number): Place {
    const place = { chunk: this, tensor, at, size: tensor.size, end, lent: null };
    this.places.push(place);
    return place;
  }

  /** Lends the memory of a gradient, which nobody may hold. */
  lendGradient(place: Place): Storage {
    const known = this.gradients;
    const plane = this.growGradients(place.at, place.end);
    place.lent = plane.range(place.at, place.size);
    if (plane !== known) plane.memory.release();
    return place.lent;
  }

  lendHalf({ at, size }: Place): Storage {
    const known = this.halves;
    const { end } = this.values;
    this.halfPlane = known ?? new Plane(new Storage(this.device, end * 2), 2, 0, end);
    const loan = this.halfPlane.range(at, size);
    if (known === null) this.halfPlane.memory.release();
    return loan;
  }

  /**
   * Gradients that cover [at, end) and all parameters that learn: what is frozen at either end of the chunk
   * needs no memory. Existing gradients move along.
   */
  private growGradients(at: number, end: number): Plane {
    const known = this.gradients;
    if (known !== null && known.from <= at && end <= known.end) return known;
    const wanted = this.places.filter(({ tensor }) => tensor.requiresGrad && !tensor.disposed);
    const from = Math.min(at, known?.from ?? at, ...wanted.map((place) => place.at));
    const to = Math.max(end, known?.end ?? end, ...wanted.map((place) => place.end));
    const grown = new Plane(new Storage(this.device, (to - from) * 4), 4, from, to);
    known?.memory.moveInto(grown.memory, (known.from - from) * 4);
    this.gradientPlane = grown;
    return grown;
  }
}

/** Bytes of a chunk of more than one parameter: enough for few dispatches, and easy to find room for. */
const CHUNK_BYTES = 2 ** 26;

/** Places by the memory of their parameters, which other tensors may share. */
const places = new WeakMap<Storage, Place>();

/** Elements that a parameter takes; without any it has a place of its own too. */
const roomOf = ({ size }: Tensor): number => Math.max(Math.ceil(size / ALIGNED), 1) * ALIGNED;

/** Lays tensors out in a chunk. A single one stays where it is. */
function makeChunk(device: Device, tensors: readonly Tensor[]): void {
  const size = tensors.reduce((sum, tensor) => sum + roomOf(tensor), 0);
  const alone = tensors.length === 1;
  const memory = alone ? tensors[0]!.memory : new Storage(device, size * 4);
  const chunk = new Chunk(device, memory, size);
  let at = 0;
  for (const tensor of tensors) {
    if (!alone) tensor.memory.moveInto(memory, at * 4);
    const end = at + roomOf(tensor);
    places.set(tensor.memory, chunk.add(tensor, at, end));
    at = end;
  }
  if (alone) return;
  memory.release();
  // The buffers that they left are of no more use.
  device.trim();
}

/**
 * Lays out those float32 parameters of one device that are in no chunk yet, matrices first, in chunks of at
 * most 64 MiB and half of what can be bound (moments are twice as large). A larger parameter is a chunk by
 * itself. Tensors over the same memory share a place.
 */
export function layParameters(tensors: readonly Tensor[]): void {
  const missing = tensors.filter(({ place, memory }) => place === null && !places.has(memory));
  // Vectors have no float16 copies and mostly no weight decay: apart from matrices, both form long runs.
  const ordered = [...missing.filter(({ rank }) => rank > 1), ...missing.filter(({ rank }) => rank <= 1)];
  let open: Tensor[] = [];
  let used = 0;
  const close = (): void => {
    if (open.length > 0) makeChunk(open[0]!.device, open);
    open = [];
    used = 0;
  };
  for (const tensor of new Map(ordered.map((one) => [one.memory, one])).values()) {
    const most = Math.min(CHUNK_BYTES, tensor.device.gpu.maxBindingBytes / 2) / 4;
    const room = roomOf(tensor);
    // A range of another storage cannot move.
    if (room > most || tensor.memory.isRange) {
      makeChunk(tensor.device, [tensor]);
      continue;
    }
    if (used + room > most) close();
    open.push(tensor);
    used += room;
  }
  close();
  for (const tensor of tensors) {
    if (tensor.place !== null) continue;
    tensor.place = places.get(tensor.memory)!;
    // The next copy gets its place in the chunk.
    tensor.float16Copy?.values.dispose();
    tensor.float16Copy = null;
  }
}

/**
 * Memory for the gradient of a tensor, outside every scope: for a parameter its place in the chunk, unless an
 * older gradient is there, or `read` (the tensors that the gradient is computed from) has tensors in the same
 * buffer, because WebGPU binds no buffer for reading and writing in one dispatch.
 */
export function gradientMemory(tensor: Tensor, read: readonly Tensor[] = []): Tensor {
  const { device, shape, dtype, place, grad } = tensor;
  if (place === null || occupantOf(place) !== null) return device.raw(shape, dtype);
  const made = new Tensor(device, place.chunk.lendGradient(place), shape, dtype);
  const { buffer } = made.memory;
  // The new gradient is added to one that is assigned already.
  const others = grad === null || grad.disposed ? read : [...read, grad];
  if (others.every(({ memory }) => memory.buffer !== buffer)) return made;
  made.dispose();
  return device.raw(shape, dtype);
}

/** Who holds the gradient's place in the chunk, if anybody does. */
function occupantOf({ chunk: { gradients }, lent }: Place): Storage | null {
  return lent?.live && gradients !== null && lent.root === gradients.memory ? lent : null;
}

/**
 * Moves gradients that are elsewhere (assigned by the user, or computed by an op that could not write in
 * place) into their places. Whoever holds another gradient there keeps its values.
 */
export function gatherGradients(parameters: readonly Tensor[]): void {
  const strays = new Set(
    parameters.filter(
      ({ grad, place }) => grad && place && !place.chunk.gradients?.holds(grad.memory, place.at),
    ),
  );
  if (strays.size === 0) return;
  const gathered = new Set(parameters.filter((one) => !strays.has(one)).map(({ grad }) => grad));
  for (const parameter of strays) {
    const { device, grad, place, shape, dtype } = parameter;
    occupantOf(place!)?.moveOut();
    const home = new Tensor(device, place!.chunk.lendGradient(place!), shape, dtype);
    device.assign(home, grad!);
    // One gradient may have been assigned to several parameters.
    if (gathered.has(grad)) parameter.grad = home;
    else grad!.takeMemory(home);
    gathered.add(grad);
  }
}

/** A parameter's values in float16, and the version of the parameter that they are; −1 for none. */
export interface Float16Copy {
  readonly values: Tensor;
  version: number;
}

/** The up-to-date float16 copy that mixed precision keeps of a parameter as long as that lives. */
export function float16Copy(parameter: Tensor): Tensor {
  const { device, shape, size, place, version } = parameter;
  if (parameter.float16Copy === null) {
    const values = place
      ? new Tensor(device, place.chunk.lendHalf(place), shape, 'float16')
      : device.raw(shape, 'float16');
    parameter.float16Copy = { values, version: -1 };
  }
  const copy = parameter.float16Copy;
  if (copy.version !== version) cast(device.gpu, { x: parameter.slot, y: copy.values.slot, count: size });
  copy.version = version;
  return copy.values;
}

/**
 * Counts a parameter as overwritten by a kernel that can store its float16 copy too, if `storing`. Returns
 * whether the kernel must: if the copy is in its place and was up to date, which it then counts as.
 */
export function overwriteParameter(parameter: Tensor, storing: boolean): boolean {
  const { float16Copy: copy, place, version } = parameter;
  const stored =
    storing && copy?.version === version && place?.chunk.halves?.holds(copy.values.memory, place.at) === true;
  parameter.overwritten();
  if (stored) copy.version = parameter.version;
  return stored;
}
