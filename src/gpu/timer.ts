/**
 * Measures the GPU time of every dispatch, by kernel, with timestamps around a separate pass for each. For
 * benchmarks only: separate passes cost time too.
 */
import { GpuError } from '../errors.ts';

/** Dispatches of one kernel and their total seconds. */
export interface KernelTime {
  count: number;
  seconds: number;
}

export class GpuTimer {
  private readonly device: GPUDevice;
  private readonly queries: GPUQuerySet;
  private readonly resolved: GPUBuffer;
  private labels: string[] = [];
  private readonly pending: Promise<void>[] = [];
  private readonly totals = new Map<string, KernelTime>();

  /** `capacity`: dispatches per submission. Throws `GpuError` if the adapter has no timestamps. */
  constructor(device: GPUDevice, capacity: number) {
    if (!device.features.has('timestamp-query'))
      throw new GpuError('this adapter has no timestamps', { remedy: 'measure wall time instead' });
    this.device = device;
    this.queries = device.createQuerySet({ type: 'timestamp', count: 2 * capacity });
    this.resolved = device.createBuffer({
      label: 'timestamps',
      size: 16 * capacity,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  /** The timestamp writes of the next dispatch, which runs the kernel `label`. */
  next(label: string): GPUComputePassTimestampWrites {
    const first = 2 * this.labels.length;
    this.labels.push(label);
    return { querySet: this.queries, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
  }

  /** Records the copy of a submission's timestamps. Call the returned function after submitting. */
  resolve(encoder: GPUCommandEncoder): () => void {
    const labels = this.labels;
    this.labels = [];
    if (labels.length === 0) return () => {};
    const size = 16 * labels.length;
    const staging = this.device.createBuffer({
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    encoder.resolveQuerySet(this.queries, 0, 2 * labels.length, this.resolved, 0);
    encoder.copyBufferToBuffer(this.resolved, 0, staging, 0, size);
    return () => this.pending.push(this.collect(staging, labels));
  }

  /** Time by kernel since the last call. */
  async read(): Promise<Map<string, KernelTime>> {
    await Promise.all(this.pending.splice(0));
    const result = new Map(this.totals);
    this.totals.clear();
    return result;
  }

  destroy(): void {
    this.queries.destroy();
    this.resolved.destroy();
  }

  private async collect(staging: GPUBuffer, labels: readonly string[]): Promise<void> {
    await staging.mapAsync(GPUMapMode.READ);
    const stamps = new BigUint64Array(staging.getMappedRange());
    for (const [i, label] of labels.entries()) {
      const total = this.totals.get(label) ?? { count: 0, seconds: 0 };
      total.count += 1;
      total.seconds += Number(stamps[2 * i + 1]! - stamps[2 * i]!) / 1e9;
      this.totals.set(label, total);
    }
    staging.destroy();
  }
}
