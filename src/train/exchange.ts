/** Gradients of a step, summed over a group of processes while backward still computes others. */
import type { ProcessGroup } from '../platform/contract.ts';
import type { Device } from '../tensor/device.ts';
import { watchGradients } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Reduce, reduceFloat16, reduceFloat32 } from './wire.ts';

/** A bucket is read, sent and written at once; a larger parameter is one by itself. */
const BUCKET_BYTES = 2 ** 24;

/** Parameters whose gradients travel together, one behind the other. */
class Bucket {
  readonly parameters: readonly Tensor[];
  readonly size: number;
  private readonly device: Device;
  private readonly staging: GPUBuffer;
  /** Parameters that this step's backward has yet to finish. */
  private readonly missing: Set<Tensor>;
  private reading: Promise<ArrayBuffer> | null = null;

  constructor(parameters: readonly Tensor[]) {
    this.parameters = parameters;
    this.missing = new Set(parameters);
    this.size = parameters.reduce((sum, { size }) => sum + size, 0);
    this.device = parameters[0]!.device;
    this.staging = this.device.gpu.stagingBuffer(this.size * 4);
  }

  /** Reads the gradients as soon as all parameters are finished. */
  finish(parameter: Tensor): void {
    if (this.missing.delete(parameter) && this.missing.size === 0) this.read();
  }

  /** Forgets what was read too early. */
  reopen(): void {
    if (this.reading !== null) this.staging.unmap();
    this.reading = null;
  }

  read(): void {
    if (this.reading !== null) return;
    const ranges = this.ranges().map(({ memory, at, size }) => {
      const { buffer, offset } = memory;
      return { buffer, offset, to: at * 4, bytes: size * 4 };
    });
    this.reading = this.device.gpu.readRanges(this.staging, ranges);
    // It may be forgotten before it is awaited.
    this.reading.catch(() => {});
  }

  /** The gradients; zeros where there is none. Valid until `close`. */
  async values(): Promise<Float32Array> {
    this.read();
    const values = new Float32Array(await this.reading!, 0, this.size);
    if (this.parameters.every(({ grad }) => grad !== null)) return values;
    const filled = new Float32Array(this.size);
    for (const { at, size } of this.ranges()) filled.set(values.subarray(at, at + size), at);
    return filled;
  }

  /** Overwrites the gradients; of parameters that only other processes have used, too, if `isUsed`. */
  write(sums: Float32Array, isUsed: (parameter: Tensor) => boolean): void {
    for (const parameter of this.parameters)
      if (parameter.grad === null && isUsed(parameter))
        parameter.grad = this.device.raw(parameter.shape, parameter.dtype);
    for (const { grad, at, size } of this.ranges()) grad.write(sums.subarray(at, at + size));
  }

  close(): void {
    this.reopen();
    for (const parameter of this.parameters) this.missing.add(parameter);
  }

  destroy(): void {
    this.staging.destroy();
  }

  /** The gradients that are there, with their places in the bucket. */
  private ranges() {
    let end = 0;
    return this.parameters.flatMap(({ grad, size }) => {
      const at = end;
      end += size;
      return grad === null || size === 0 ? [] : [{ grad, memory: grad.memory, at, size }];
    });
  }
}

/** The parameters' gradients of a group's processes. All processes have the same parameters that learn. */
export class GradientExchange {
  private readonly reduceValues: Reduce;
  private learning: readonly Tensor[] = [];
  private buckets: readonly Bucket[] = [];
  private readonly bucketOf = new Map<Tensor, Bucket>();
  /** How often a backward adds to each parameter's gradient, in the order of the last times. */
  private expected = new Map<Tensor, number>();
  /** Whether the buckets are in the order in which backward finishes. */
  private ordered = false;

  constructor(
    private readonly group: ProcessGroup,
    private readonly parameters: readonly Tensor[],
    float16: boolean,
  ) {
    this.reduceValues = float16 ? reduceFloat16 : reduceFloat32;
  }

  /** Runs the last backward of a step. Reads gradients that it finishes while the GPU computes the others. */
  watch(body: () => void): void {
    const counts = new Map<Tensor, number>();
    watchGradients((leaf) => {
      const count = (counts.get(leaf) ?? 0) + 1;
      // The last leaf to be finished is the map's last.
      counts.delete(leaf);
      counts.set(leaf, count);
      const bucket = this.bucketOf.get(leaf);
      const expected = this.expected.get(leaf);
      if (bucket === undefined || expected === undefined) return;
      if (count === expected) bucket.finish(leaf);
      // This backward is not like the one before: the gradient was not finished.
      else if (count > expected) bucket.reopen();
    }, body);
    this.expected = counts;
  }

  /** Replaces the gradients by their sums over all processes. */
  async reduce(): Promise<void> {
    await this.layOut();
    const { learning, buckets, group } = this;
    const own = Float64Array.from(learning, ({ grad }) => (grad === null ? 0 : 1));
    for (const bucket of buckets) bucket.read();
    const users = new Float64Array(own.length);
    await group.allReduce(own, users);
    const used = new Set(learning.filter((_, at) => users[at]! > 0));
    const sums = new Float32Array(Math.max(0, ...buckets.map(({ size }) => size)));
    for (const bucket of buckets) {
      const part = sums.subarray(0, bucket.size);
      await this.reduceValues(group, await bucket.values(), part);
      bucket.write(part, (parameter) => used.has(parameter));
      bucket.close();
    }
    await this.order();
  }

  /** Makes buckets, if other parameters learn than before. */
  private async layOut(): Promise<void> {
    const learning = this.parameters.filter(({ requiresGrad, size }) => requiresGrad && size > 0);
    const same =
      learning.length === this.learning.length && learning.every((one, at) => one === this.learning[at]);
    if (same) return;
    this.learning = learning;
    this.ordered = false;
    this.fill([...learning].reverse());
  }

  /** After the first backward: puts parameters into the order in which rank 0's backward finished them. */
  private async order(): Promise<void> {
    if (this.ordered) return;
    this.ordered = true;
    const index = new Map(this.learning.map((parameter, at) => [parameter, at]));
    const finished = [...this.expected.keys()].flatMap((parameter) => index.get(parameter) ?? []);
    const order = await this.group.broadcastObject(finished);
    const known = order.map((at) => this.learning[at]!);
    const rest = this.learning.filter((parameter) => !known.includes(parameter));
    this.fill([...known, ...rest]);
  }

  private fill(parameters: readonly Tensor[]): void {
    this.dispose();
    const made: Tensor[][] = [];
    let bytes = Number.POSITIVE_INFINITY;
    for (const parameter of parameters) {
      const own = parameter.size * 4;
      if (bytes + own > BUCKET_BYTES) made.push([]);
      bytes = bytes + own > BUCKET_BYTES ? own : bytes + own;
      made.at(-1)!.push(parameter);
    }
    this.buckets = made.map((part) => new Bucket(part));
    for (const bucket of this.buckets)
      for (const parameter of bucket.parameters) this.bucketOf.set(parameter, bucket);
  }

  dispose(): void {
    for (const bucket of this.buckets) bucket.destroy();
    this.buckets = [];
    this.bucketOf.clear();
  }
}
