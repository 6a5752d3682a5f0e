/** The gradients of a model as few flat tensors. */
import { gatherGradients } from '../tensor/parameters.ts';
import type { Storage } from '../tensor/storage.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Elements of 256 bytes, at multiples of which a binding may begin. */
const BINDING = 64;

function withGradient(parameters: readonly Tensor[]): Tensor[] {
  return [...new Set(parameters)].filter(({ grad }) => grad !== null && grad.size > 0);
}

/** Flat tensors [n] over the memory of `tensors`, of the open scope: one for each run of adjacent tensors. */
function runsOf(tensors: readonly Tensor[]): Tensor[] {
  const runs: { root: Storage; start: number; count: number }[] = [];
  const byEnd = new Map<Storage, Map<number, (typeof runs)[number]>>();
  for (const { memory, size } of tensors) {
    const { root, offset: start } = memory;
    const ends = byEnd.get(root) ?? new Map<number, (typeof runs)[number]>();
    byEnd.set(root, ends);
    const run = ends.get(start) ?? { root, start, count: 0 };
    if (run.count === 0) runs.push(run);
    run.count += size;
    ends.set(run.start + run.count * 4, run);
  }
  const device = tensors[0]?.device;
  return runs.map(({ root, start, count }) =>
    device!.track(new Tensor(device!, root.range(start, count * 4), [count], 'float32')),
  );
}

/** @internal The gradients where they are, as few flat tensors of the open scope. */
export function gradientRuns(parameters: readonly Tensor[]): Tensor[] {
  return runsOf(withGradient(parameters).map(({ grad }) => grad!));
}

/**
 * @internal `gradientRuns` for the norm. Its sum takes the parts of a parameter one by one, as if they were
 * parameters of their own, and so keeps their bits; parts that no binding can begin at are copied.
 */
export function normRuns(parameters: readonly Tensor[]): Tensor[] {
  const copies: Tensor[] = [];
  const gradients = withGradient(parameters).flatMap(({ device, grad, parts }) => {
    const size = grad!.size / parts;
    if (parts === 1 || size % BINDING === 0) return [grad!];
    const { buffer, offset = 0 } = grad!.slot;
    return Array.from({ length: parts }, (_, part) => {
      const copy = device.raw([size]);
      device.gpu.recorder.copy({ buffer, offset: offset + part * size * 4 }, copy.slot, size * 4);
      copies.push(copy);
      return copy;
    });
  });
  const runs = runsOf(gradients);
  for (const copy of copies) copy.dispose();
  return runs;
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
