/** The gradients of a model as a few flat tensors. */
import { gatherGradients } from '../tensor/parameters.ts';
import type { Storage } from '../tensor/storage.ts';
import { Tensor } from '../tensor/tensor.ts';

/** @internal Flat tensors [n] over the gradients where they are, of the open scope: one for each run of adjacent ones. */
export function gradientRuns(parameters: readonly Tensor[]): Tensor[] {
  const runs: { root: Storage; start: number; count: number }[] = [];
  const byEnd = new Map<Storage, Map<number, (typeof runs)[number]>>();
  for (const { grad } of new Set(parameters)) {
    if (grad === null || grad.size === 0) continue;
    const { root, offset: start } = grad.memory;
    const ends = byEnd.get(root) ?? new Map<number, (typeof runs)[number]>();
    byEnd.set(root, ends);
    const run = ends.get(start ?? 0) ?? { root, start: start ?? 0, count: 0 };
    if (run.count === 0) runs.push(run);
    run.count += grad.size;
    ends.set(run.start + run.count * 4, run);
  }
  const device = parameters[0]?.device;
  return runs.map(({ root, start, count }) =>
    device!.track(new Tensor(device!, root.range(start, count * 4), [count], 'float32')),
  );
}

/**
 * The gradients of `parameters` as few flat tensors [n] over the same memory, of the open scope, in an order
 * that depends on the parameters alone: those of adjacent parameters are one, without gaps. An all-reduce
 * between processes reads and writes them, between backward and clipping.
 */
export function flatGradients(parameters: readonly Tensor[]): Tensor[] {
  gatherGradients(parameters);
  return gradientRuns(parameters);
}
