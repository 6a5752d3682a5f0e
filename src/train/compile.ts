/**
 * Compiles the kernels of a model's first step or prediction ahead of it, many at once. Which ones these are
 * shows a rehearsal: a copy of the model without values takes the same step on a device that computes nothing.
 */
import { cached } from '../cached.ts';
import type { KernelVariant } from '../gpu/pipelines.ts';
import { LengthTables } from '../models/common/length-tables.ts';
import { Module } from '../nn/module.ts';
import { isAutocastEnabled } from '../tensor/autocast.ts';
import { Device } from '../tensor/device.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { TrainableModel } from './predict.ts';

/** A copy of a model on another device, with undefined weights. */
function copyTo<M extends Module>(device: Device, model: M): M {
  const copies = new Map<unknown, unknown>();
  const make = (value: unknown): unknown => {
    if (value instanceof Device) return device;
    if (value instanceof Tensor) return copyTensor(device, value);
    if (value instanceof LengthTables) return new LengthTables();
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

/** What is rehearsed: a model's prediction, or its training step. */
type Part = 'predict' | 'train';
const known = new WeakMap<TrainableModel, Set<string>>();

/**
 * Compiles what a part of a model's work takes, the first time that it is asked for. `act` does that work with
 * a copy of the model. Models with modules of other packages are left alone: these may do as they like.
 */
export async function compileAhead(
  model: TrainableModel,
  part: Part,
  fp16: boolean,
  act: (copy: TrainableModel) => void | Promise<void>,
): Promise<void> {
  const name = `${part} ${fp16 || isAutocastEnabled()}`;
  const parts = cached(known, model, () => new Set());
  if (parts.has(name)) return;
  parts.add(name);
  if (!model.isOwn) return;
  const variants = await rehearse(model, act);
  await model.device.gpu.compile(variants);
}

async function rehearse(
  model: TrainableModel,
  act: (copy: TrainableModel) => void | Promise<void>,
): Promise<ReadonlySet<KernelVariant>> {
  const { gpu, asked } = model.device.gpu.rehearsal();
  const device = new Device(gpu);
  const scope = device.scope();
  try {
    await act(copyTo(device, model));
  } catch {
    // The model's own step tells what is wrong.
  } finally {
    scope.close();
  }
  return asked;
}
