/**
 * A rehearsal: a copy of a model without values does some work on a device that computes nothing and holds no
 * memory, to show what the work takes.
 */
import type { KernelVariant } from '../gpu/pipelines.ts';
import { KeptTables, LengthTables } from '../models/common/length-tables.ts';
import { Module } from '../nn/module.ts';
import { Device, type DeviceStatistics } from '../tensor/device.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { TrainableModel } from './predict.ts';

/** A copy of a model on another device, with undefined weights. */
function copyTo<M extends Module>(device: Device, model: M): M {
  const copies = new Map<unknown, unknown>();
  const make = (value: unknown): unknown => {
    if (value instanceof Device) return device;
    if (value instanceof Tensor) return copyTensor(device, value);
    if (value instanceof LengthTables) return new LengthTables();
    if (value instanceof KeptTables) return new KeptTables();
    if (Array.isArray(value)) return value.map(copy);
    return value instanceof Module ? Object.create(Object.getPrototypeOf(value) as object) : value;
  };
  const copy = (value: unknown): unknown => {
    if (copies.has(value)) return copies.get(value);
    const made = make(value);
    copies.set(value, made);
    if (value instanceof Module)
      for (const [key, part] of Object.entries(value)) Reflect.set(made as object, key, copy(part));
    return made;
  };
  return copy(model) as M;
}

function copyTensor(device: Device, { shape, dtype, parts, requiresGrad }: Tensor): Tensor {
  const tensor = device.raw(shape, dtype);
  return Object.assign(tensor, { parts, requiresGrad });
}

/** What a rehearsal took: kernels, buffers and memory. */
export interface Rehearsed {
  asked: ReadonlySet<KernelVariant>;
  statistics: DeviceStatistics;
}

/**
 * Lets a copy of a model do some work. The model, its device and its random state stay as they are. For models
 * of the package's own modules only (`isOwn`): others may do as they like.
 */
export async function rehearse(
  model: TrainableModel,
  act: (copy: TrainableModel) => void | Promise<void>,
): Promise<Rehearsed> {
  const { gpu, asked } = model.device.gpu.rehearsal();
  const device = new Device(gpu);
  const scope = device.scope();
  try {
    await act(copyTo(device, model));
  } finally {
    scope.close();
  }
  return { asked, statistics: device.statistics() };
}
