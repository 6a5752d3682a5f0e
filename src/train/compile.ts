/**
 * Compiles the kernels of a model's first step or prediction ahead of it, many at once. Which ones these are
 * shows a rehearsal.
 */
import { cached } from '../cached.ts';
import { isAutocastEnabled } from '../tensor/autocast.ts';
import type { TrainableModel } from './predict.ts';
import { rehearse } from './rehearsal.ts';

const known = new WeakMap<TrainableModel, Set<string>>();

/**
 * Compiles the kernels of a part of a model's work, many at once, the first time that the part is asked for by
 * its name (`train` and `predict` are the trainer's). `act` does that work with a copy of the model on a device
 * that computes nothing: it makes tensors on the copy's device, and reads none back. Models with modules of
 * other packages are left alone: these may do as they like.
 */
export async function compileAhead(
  model: TrainableModel,
  part: string,
  fp16: boolean,
  act: (copy: TrainableModel) => void | Promise<void>,
): Promise<void> {
  const name = `${part} ${fp16 || isAutocastEnabled()}`;
  const parts = cached(known, model, () => new Set());
  if (parts.has(name)) return;
  parts.add(name);
  if (!model.isOwn) return;
  const { asked } = await rehearse(model, async (copy) => {
    try {
      await act(copy);
    } catch {
      // The model's own step tells what is wrong.
    }
  });
  await model.device.gpu.compile(asked);
}
