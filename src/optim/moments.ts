/** The moments of an optimizer, in the layout of the parameters' chunks. */
import { cached } from '../cached.ts';
import { ALIGNED } from '../kernels/launch.ts';
import { padded } from '../kernels/optimizer.ts';
import type { Device } from '../tensor/device.ts';
import { type Chunk, inOrder, type Place, Plane } from '../tensor/parameters.ts';
import type { Shape } from '../tensor/shape.ts';
import { Storage } from '../tensor/storage.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Blocks of so many first moments, each followed by the second moments of the same elements, if there are any. */
const BLOCK = padded(1);

/** One kind of moment of one parameter, to be read. */
export interface MomentView {
  readonly shape: Shape;
  float32Data(): Promise<Float32Array>;
}

/** @internal `count` elements of a parameter, from `at` of its chunk on, whose moments are in one buffer. */
export interface Piece {
  readonly plane: Plane;
  readonly at: number;
  readonly count: number;
}

/** Joins adjacent places. */
function spansOf(places: readonly Place[]): { chunk: Chunk; at: number; end: number }[] {
  const spans: { chunk: Chunk; at: number; end: number }[] = [];
  for (const { chunk, at, end } of [...places].sort(inOrder)) {
    const last = spans.at(-1);
    if (last?.chunk === chunk && last.end === at) last.end = end;
    else spans.push({ chunk, at, end });
  }
  return spans;
}

/** @internal The moments of an optimizer's parameters. */
export class MomentStore {
  private readonly planes = new Map<Chunk, Plane[]>();
  private readonly reserved = new Set<Place>();
  /** Bytes of the moments of one element. */
  private readonly bytes: number;

  /** `each`: moments of an element. */
  constructor(private readonly each: 1 | 2) {
    this.bytes = 4 * each;
  }

  /** The most elements whose moments one buffer holds: it must be possible to bind it as a whole. */
  private windowSize({ gpu }: Device): number {
    const most = Math.min(gpu.maxBindingBytes, gpu.limits.maxBufferSize) / this.bytes;
    return Math.max(Math.floor(most / ALIGNED) * ALIGNED, BLOCK);
  }

  /** Whether runs begin at multiples that float16 copies can be bound at. */
  storesCopies(device: Device): boolean {
    return this.windowSize(device) % ALIGNED === 0;
  }

  /** Makes moments of zero for places without any; adjacent places share buffers as large as can be bound. */
  reserve(device: Device, places: readonly Place[]): void {
    const missing = [...new Set(places)].filter((place) => !this.reserved.has(place));
    const most = this.windowSize(device);
    for (const { chunk, at, end } of spansOf(missing)) {
      const planes = cached(this.planes, chunk, () => []);
      for (let from = at; from < end; from += most) {
        const to = Math.min(from + most, end);
        const memory = new Storage(device, padded(to - from) * this.bytes);
        device.gpu.recorder.clear({ buffer: memory.buffer }, memory.bytes);
        planes.push(new Plane(memory, this.bytes, from, to));
      }
    }
    for (const place of missing) this.reserved.add(place);
  }

  /** The parts of a parameter, in order. */
  pieces({ chunk, at, size }: Place): Piece[] {
    const pieces: Piece[] = [];
    for (const plane of this.planes.get(chunk) ?? []) {
      const from = Math.max(at, plane.from);
      const count = Math.min(at + size, plane.end) - from;
      if (count > 0) pieces.push({ plane, at: from, count });
    }
    return pieces;
  }

  /** A parameter's moments of one kind: 0 for the first, 1 for the second. */
  view(value: Tensor, place: Place, which: number): MomentView {
    return {
      shape: value.shape,
      float32Data: async () => {
        const all = new Float32Array(place.size);
        for (const { plane, at, count } of this.pieces(place)) {
          const { buffer, offset, size } = plane.slot(at, padded(count));
          const held = new Float32Array(await value.device.gpu.read(buffer, offset!, size!));
          for (let done = 0; done < count; done += BLOCK) {
            const from = this.each * done + which * BLOCK;
            all.set(held.subarray(from, from + Math.min(BLOCK, count - done)), at - place.at + done);
          }
        }
        return all;
      },
    };
  }

  /** Overwrites a parameter's moments, as many kinds as there are. All have the parameter's size. */
  write({ device }: Tensor, place: Place, moments: readonly Float32Array[]): void {
    this.reserve(device, [place]);
    for (const { plane, at, count } of this.pieces(place)) {
      const held = new Float32Array(this.each * padded(count));
      for (let done = 0; done < count; done += BLOCK) {
        const from = at - place.at + done;
        const to = from + Math.min(BLOCK, count - done);
        for (const [which, values] of moments.entries())
          held.set(values.subarray(from, to), this.each * done + which * BLOCK);
      }
      const { buffer, offset } = plane.slot(at, padded(count));
      device.gpu.recorder.write(buffer, offset!, held);
    }
  }

  dispose(): void {
    for (const planes of this.planes.values()) for (const { memory } of planes) memory.release();
    this.planes.clear();
    this.reserved.clear();
  }
}
