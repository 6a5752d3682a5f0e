/**
 * Memory of parameters. An optimizer lays its parameters out in a few large buffers, the chunks, because the
 * kernels that go over all parameters can bind only a few. A parameter's offset in its chunk is fixed; its
 * gradient, its float16 copy and its moments (`optim/moments.ts`) have the same offset in buffers of their own.
 */
import { ALIGNED, type Slot } from '../kernels/launch.ts';
import { cast } from '../kernels/pointwise.ts';
import type { Device } from './device.ts';
import type { Shape } from './shape.ts';
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
    const half = this.width === 2;
    return { buffer, half, offset: (offset ?? 0) + this.start(at), size: this.bytes(count) };
  }

  /** The memory of `count` elements from `at` on, as a share of its own. */
  range(at: number, count: number): Storage {
    return this.memory.range(this.start(at), this.bytes(count));
  }

  /** Whether `storage` is the range that begins at `at`. */
  holds(storage: Storage, at: number): boolean {
    const { root, offset } = storage;
    return root === this.memory.root && (offset ?? 0) === (this.memory.offset ?? 0) + this.start(at);
  }

  private start(at: number): number {
    return (at - this.from) * this.width;
  }

  private bytes(count: number): number {
    return Math.ceil((count * this.width) / 4) * 4;
  }
}

/** Where a parameter is in its chunk, in elements. */
export class Place {
  readonly chunk: Chunk;
  readonly at: number;
  readonly size: number;
  /** Where the next parameter may begin; nobody's elements are between. */
  readonly end: number;
  /** @internal The parameter, of which only `requiresGrad` matters here. */
  readonly tensor: Tensor;
  /** @internal The memory last lent for its gradient. */
  lent: Storage | null = null;

  constructor(chunk: Chunk, tensor: Tensor, at: number, end: number) {
    this.chunk = chunk;
    this.tensor = tensor;
    this.at = at;
    this.size = tensor.size;
    this.end = end;
  }
}

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

  /**
   * The place of a tensor whose memory is in this chunk, in a part that ends at `end`, where the next part
   * begins at `next`.
   */
  place(tensor: Tensor, end: number, next: number): Place {
    const { size } = tensor;
    const at = (tensor.memory.offset ?? 0) / 4;
    // Tensors over the same memory share a place, so that only one of their gradients is put there.
    const known = this.places.find((one) => one.at === at && one.size === size);
    if (known !== undefined) return known;
    const made = new Place(this, tensor, at, at + size === end ? next : at + size);
    this.places.push(made);
    return made;
  }

  /** Lends the gradients' memory of adjacent places, which nobody may hold. */
  lendGradient(places: readonly Place[]): Storage {
    const [first, last] = [places[0]!, places.at(-1)!];
    const known = this.gradients;
    const plane = this.growGradients(first.at, last.end);
    const loan = plane.range(first.at, last.at + last.size - first.at);
    if (plane !== known) plane.memory.release();
    for (const place of places) place.lent = loan;
    return loan;
  }

  /** Lends the memory of a float16 copy; null if it could not be bound there. */
  lendHalf({ at, size }: Place): Storage | null {
    if (at % ALIGNED !== 0) return null;
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

/** Chunks by the storage of their values. */
const chunks = new WeakMap<Storage, Chunk>();

function aligned(elements: number): number {
  return Math.ceil(elements / ALIGNED) * ALIGNED;
}

/** Parameters that are ranges of one storage, which therefore move together. */
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

/** Even parameters without elements have places of their own. */
const sizeOf = ({ root }: Unit): number => Math.max(aligned(root.bytes / 4), ALIGNED);

/** Lays units out in a chunk. A single one stays where it is. */
function fill(device: Device, units: readonly Unit[]): void {
  const [first] = units as [Unit];
  const size = units.reduce((sum, unit) => sum + sizeOf(unit), 0);
  const memory = units.length === 1 ? first.root.retain() : new Storage(device, size * 4);
  const chunk = chunks.get(memory) ?? new Chunk(device, memory, size);
  chunks.set(memory, chunk);
  let start = 0;
  for (const unit of units) {
    if (unit.root !== memory) unit.root.moveInto(memory, start * 4);
    const end = start + unit.root.bytes / 4;
    start += sizeOf(unit);
    for (const tensor of unit.tensors) {
      tensor.place = chunk.place(tensor, end, start);
      // The next copy gets its place in the chunk.
      dropFloat16Copy(tensor);
    }
  }
  memory.release();
}

/**
 * Lays out those float32 parameters of one device that are in no chunk yet, matrices first, in chunks of at
 * most 64 MiB and half of what can be bound (moments are twice as large); a larger parameter is a chunk of its
 * own. Parameters must not overlap.
 */
export function layParameters(tensors: readonly Tensor[]): void {
  const missing = tensors.filter(({ place }) => place === null);
  if (missing.length === 0) return;
  const { device } = missing[0]!;
  // Vectors have no float16 copies and mostly no weight decay: apart from matrices, both form long runs.
  const waiting = [...missing.filter(({ rank }) => rank > 1), ...missing.filter(({ rank }) => rank <= 1)];
  const most = Math.min(CHUNK_BYTES, device.gpu.maxBindingBytes / 2) / 4;
  let open: Unit[] = [];
  let used = 0;
  const close = (): void => {
    if (open.length > 0) fill(device, open);
    // The buffers that they left are of no more use.
    if (open.length > 1) device.trim();
    open = [];
    used = 0;
  };
  for (const unit of unitsOf(waiting)) {
    const size = sizeOf(unit);
    if (size > most || chunks.has(unit.root)) {
      fill(device, [unit]);
      continue;
    }
    if (used + size > most) close();
    open.push(unit);
    used += size;
  }
  close();
}

/** The shape of tensors that differ in their first dimension only, joined along it. */
function joinedShape(tensors: readonly Tensor[]): Shape {
  const { shape } = tensors[0]!;
  if (tensors.length === 1) return shape;
  const [, ...rest] = shape;
  return [tensors.reduce((rows, one) => rows + one.shape[0]!, 0), ...rest];
}

/** The places of tensors, if they are adjacent and nobody holds a gradient there. */
function freePlaces(tensors: readonly Tensor[]): Place[] | null {
  const places: Place[] = [];
  for (const { place } of tensors) {
    const before = places.at(-1);
    const follows =
      before === undefined || (before.chunk === place?.chunk && before.at + before.size === place.at);
    if (place === null || !follows || occupantOf(place) !== null) return null;
    places.push(place);
  }
  return places;
}

/**
 * Memory for the gradient of a tensor, or of several joined along their first dimension; outside every scope.
 * A parameter's is its place in the chunk, unless an older gradient is there, or the chunk's gradients are in
 * `read` (what the kernels read that compute the gradient): WebGPU binds no buffer for reading and writing.
 */
export function gradientMemory(tensors: readonly Tensor[], read: readonly Tensor[] = []): Tensor {
  const { device, dtype } = tensors[0]!;
  const shape = joinedShape(tensors);
  const places = freePlaces(tensors);
  if (places === null) return device.raw(shape, dtype);
  const made = new Tensor(device, places[0]!.chunk.lendGradient(places), shape, dtype);
  const { buffer } = made.memory;
  // The new gradient is added to one that is assigned already.
  const others = [...read, ...tensors.flatMap(({ grad }) => (grad === null || grad.disposed ? [] : grad))];
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
    const home = new Tensor(device, place!.chunk.lendGradient([place!]), shape, dtype);
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
    const memory = place?.chunk.lendHalf(place);
    const values = memory ? new Tensor(device, memory, shape, 'float16') : device.raw(shape, 'float16');
    parameter.float16Copy = { values, version: -1 };
  }
  const copy = parameter.float16Copy;
  if (copy.version !== version) cast(device.gpu, { x: parameter.slot, y: copy.values.slot, count: size });
  copy.version = version;
  return copy.values;
}

export function dropFloat16Copy(parameter: Tensor): void {
  parameter.float16Copy?.values.dispose();
  parameter.float16Copy = null;
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
