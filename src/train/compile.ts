/**
 * Compiles the kernels of a model's first step or prediction ahead of it, many at once. Which ones these are
 * shows a rehearsal.
 */
import { cached } from '../cached.ts';
import { isAutocastEnabled } from '../tensor/autocast.ts';
import type { TrainableModel } from './predict.ts';
import { rehearse } from './rehearsal.ts';

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
  const { asked } = await rehearse(model, async (copy) => {
    try {
      await act(copy);
    } catch {
      // The model's own step tells what is wrong.
    }
  });
  await model.device.gpu.compile(asked);
}
