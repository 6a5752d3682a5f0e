/**
 * Repeats a model's inference for a batch of a shape that it had before: the same kernels run in the same
 * buffers, and neither the model nor any op is asked. Modules that the package does not know may do as they
 * like, and batches with padding are packed in their own ways, so that both are computed anew.
 */
import { cached } from '../cached.ts';
import type { Batch } from '../data/collate.ts';
import type { PooledBuffer } from '../gpu/pool.ts';
import type { Recording } from '../gpu/recorder.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import type { Module } from '../nn/module.ts';
import { isAutocastEnabled } from '../tensor/autocast.ts';
import type { Device } from '../tensor/device.ts';
import { type Dtype, Tensor, typedArray } from '../tensor/tensor.ts';
import { arraysOf, type NamedArray } from './arrays.ts';

/** A tensor's place in memory, which outlives the tensor. */
interface Place {
  readonly name: string;
  readonly buffer: PooledBuffer;
  readonly offset: number;
  readonly bytes: number;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  readonly size: number;
}

interface Plan {
  readonly recording: Recording;
  /** Buffers that belong to no weight. */
  readonly free: readonly PooledBuffer[];
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
}

/** The properties of a model and the places of its weights, on which its forward pass depends. */
class Watch {
  private readonly properties: (readonly [owner: object, key: string | number, value: unknown])[] = [];
  private readonly keyCounts = new Map<object, number>();
  private readonly tables = new Set<Tensor>();
  private readonly weights: (readonly [Tensor, PooledBuffer, offset: number, version: number])[] = [];

  constructor(model: Module, { gpu }: Device) {
    for (const module of model.modules()) {
      this.addAll(module);
      this.add(module, 'forward');
      for (const [key, value] of Object.entries(module))
        if (value instanceof Tensor) this.addWeight(value);
        else if (key === 'config') this.addAll(value as object);
        else this.addPlain(value);
    }
    this.add(gpu, 'subgroupMatrices');
    this.add(gpu.tuning, 'changes');
  }

  /** Tables that modules keep come and go. */
  addTables(model: Module): void {
    for (const module of model.modules())
      for (const table of module.ownTables()) if (!this.tables.has(table)) this.addTable(table);
  }

  private addTable(table: Tensor): void {
    this.tables.add(table);
    this.addWeight(table);
  }

  private addAll(owner: object): void {
    const keys = Object.keys(owner);
    // Layers share a config.
    if (this.keyCounts.has(owner)) return;
    this.keyCounts.set(owner, keys.length);
    // Predicting switches training off, whatever it was.
    for (const key of keys) if (key !== 'training') this.add(owner, key);
  }

  /** Lists and settings, and what is in them. */
  private addPlain(value: unknown): void {
    const plain =
      Array.isArray(value) || (value !== null && Reflect.getPrototypeOf(Object(value)) === Object.prototype);
    if (typeof value !== 'object' || !plain) return;
    this.addAll(value as object);
    for (const part of Object.values(value as object)) this.addPlain(part);
  }

  private add(owner: object, key: string): void {
    this.properties.push([owner, key, Reflect.get(owner, key)]);
  }

  private addWeight(tensor: Tensor): void {
    const { buffer, offset } = tensor.memory;
    this.weights.push([tensor, buffer, offset, tensor.version]);
    this.add(tensor, 'float16Copy');
    if (tensor.float16Copy !== null) this.addWeight(tensor.float16Copy.values);
  }

  get buffers(): Set<PooledBuffer> {
    return new Set(this.weights.map(([, buffer]) => buffer));
  }

  /** Whether all is as it was. */
  holds(): boolean {
    return (
      this.properties.every(([owner, key, value]) => Reflect.get(owner, key) === value) &&
      [...this.keyCounts].every(([owner, count]) => Object.keys(owner).length === count) &&
      this.weights.every(([tensor, buffer, offset, version]) => {
        if (tensor.disposed) return false;
        const { memory } = tensor;
        return memory.buffer === buffer && memory.offset === offset && memory.version === version;
      })
    );
  }
}

const MOST_PLANS = 64;

/** The plans of a model. */
class Plans {
  private readonly byKey = new Map<string, Plan>();
  private watch: Watch | null = null;
  /** Smallest and largest value of each input that the model accepted. */
  private readonly ranges = new Map<string, readonly [low: number, high: number]>();

  constructor(private readonly model: PreTrainedModel) {}

  /** The plan, if its buffers are free, and the model as it was and sure to accept the batch. */
  find(key: string, batch: Batch): Plan | null {
    const plan = this.byKey.get(key);
    if (plan === undefined) return null;
    if (!plan.free.every(({ idle }) => idle)) {
      this.byKey.delete(key);
      return null;
    }
    const accepted = plan.inputs.every(({ name }) => {
      const [low, high] = this.ranges.get(name)!;
      return (batch[name] as Int32Array).every((value) => value >= low && value <= high);
    });
    return accepted && this.watch!.holds() ? plan : null;
  }

  add(
    key: string,
    recording: Recording,
    inputs: readonly [string, Tensor][],
    outputs: readonly [string, Tensor][],
  ): void {
    if (!this.model.isPure) return;
    if (this.watch?.holds() !== true || this.byKey.size >= MOST_PLANS) {
      this.byKey.clear();
      this.watch = new Watch(this.model, this.model.device);
    }
    for (const [name, { integers }] of inputs) {
      const [low, high] = this.ranges.get(name) ?? [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      this.ranges.set(name, [Math.min(low, ...integers!), Math.max(high, ...integers!)]);
    }
    this.watch!.addTables(this.model);
    const weights = this.watch!.buffers;
    this.byKey.set(key, {
      recording,
      free: [...recording.buffers].filter((buffer) => !weights.has(buffer)),
      inputs: inputs.map(placeOf).filter(({ buffer }) => recording.buffers.has(buffer)),
      outputs: outputs.map(placeOf),
    });
  }
}

function placeOf([name, tensor]: [string, Tensor]): Place {
  const { shape, dtype, size, bytes } = tensor;
  const { buffer, offset } = tensor.memory;
  return { name, buffer, offset, bytes, shape: tensor.rank === 0 ? [1] : shape, dtype, size };
}

const inputNames: readonly string[] = ['inputIds', 'attentionMask', 'tokenTypeIds'];
const plansOf = new WeakMap<PreTrainedModel, Plans>();

/** In larger batches the GPU takes so long that the host's time does not matter. */
const MOST_TOKENS = 2048;

/** Of a small batch of texts without padding and labels; null for another one. */
function keyOf(batch: Batch, fp16: boolean): string | null {
  const arrays = arraysOf(batch);
  const plain = arrays.every(
    ([name, { values }]) =>
      inputNames.includes(name) &&
      values instanceof Int32Array &&
      values.length <= MOST_TOKENS &&
      !(name === 'attentionMask' && values.includes(0)),
  );
  if (!plain) return null;
  return [fp16 || isAutocastEnabled(), ...arrays.map(([name, { shape }]) => `${name} ${shape}`)].join();
}

/** Whether a batch's inference may be recorded and repeated. */
export const mayReplay = (batch: Batch): boolean => keyOf(batch, false) !== null;

/** Records a batch as one before it, and gives its outputs; null if the model has to compute them. */
export function replayed(
  model: PreTrainedModel,
  batch: Batch,
  fp16: boolean,
): Promise<Record<string, NamedArray>> | null {
  const key = keyOf(batch, fp16);
  const plan = key === null ? undefined : plansOf.get(model)?.find(key, batch);
  if (!plan) return null;
  const { gpu } = model.device;
  for (const { name, buffer, offset } of plan.inputs)
    gpu.recorder.write(buffer, offset, batch[name] as Int32Array);
  gpu.recorder.replay(plan.recording);
  const reads = plan.outputs.map(async ({ name, buffer, offset, bytes, shape, dtype, size }) => {
    const values = typedArray(dtype, await gpu.read(buffer, offset, bytes), size);
    return [name, { values, shape }] as const;
  });
  return Promise.all(reads).then(Object.fromEntries<NamedArray>);
}

/** Keeps what was recorded for a batch, to be replayed. */
export function keepRecording(
  model: PreTrainedModel,
  [batch, fp16]: readonly [Batch, boolean],
  recording: Recording,
  inputs: object,
  outputs: readonly [string, Tensor][],
): void {
  const key = keyOf(batch, fp16);
  if (key === null) return;
  const tensors = Object.entries(inputs).filter(
    (entry): entry is [string, Tensor] => entry[1] instanceof Tensor,
  );
  cached(plansOf, model, () => new Plans(model)).add(key, recording, tensors, outputs);
}
