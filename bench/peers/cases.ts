/** The comparisons: kernels, training steps and inference, at sizes that the adapter handles in seconds. */
import { makeJob, makeTexts, type PeerJob, type PeerModel, randomValues } from './job.ts';
import type { Library, PeerKernel, Work } from './library.ts';
import type { PyTorchCase } from './pytorch.ts';

export interface Comparison {
  name: string;
  /** Draws the inputs; the returned function makes a library's work, undefined if unsupported. */
  make: () => (library: Library) => Promise<Work> | undefined;
  /** Number of results to compare before timing: one, or several consecutive training steps. */
  checks: number;
  /** The largest difference allowed, as computed by `differenceOf`. */
  tolerance: number;
}

function kernelComparison(kernel: PeerKernel): Comparison {
  const matmul = kernel.op === 'matmul';
  const size = matmul ? `${kernel.m}×${kernel.n}×${kernel.k}` : `${kernel.rows}×${kernel.cols}`;
  const counts = matmul
    ? [kernel.m * kernel.k, kernel.k * kernel.n]
    : [kernel.rows * kernel.cols, ...(kernel.op === 'layerNorm' ? [kernel.cols, kernel.cols] : [])];
  return {
    name: `${kernel.op} ${size}`,
    make: () => {
      const values = counts.map((count, i) => randomValues(count, i + 1));
      return (library) => library.kernel?.(kernel, values);
    },
    checks: 1,
    tolerance: 3e-5,
  };
}

// Adam's first steps follow the signs of the gradients, and libraries round its bias corrections differently.
const TOLERANCE = { inference: 5e-5, texts: 5e-5, training: 2e-4 };

function jobComparison(
  kind: keyof typeof TOLERANCE,
  model: PeerModel,
  size: string,
  makeIt: () => PeerJob,
): Comparison {
  return {
    name: `${model.name} ${kind === 'training' ? kind : 'inference'} ${size}`,
    make: () => {
      const job = makeIt();
      return (library) => library[kind]?.(job);
    },
    checks: kind === 'training' ? 3 : 1,
    tolerance: TOLERANCE[kind],
  };
}

function batchComparison(
  kind: 'training' | 'inference',
  model: PeerModel,
  [size, length]: readonly [number, number],
): Comparison {
  return jobComparison(kind, model, `${size}×${length}`, () => makeJob(model, size, length));
}

/** One text, whose cost is mostly that of a call, and many short ones. */
function textComparisons(model: PeerModel, quick: boolean): Comparison[] {
  const ones = (quick ? [8] : [8, 32, 128]).map((length) => batchComparison('inference', model, [1, length]));
  if (quick) return ones;
  return [...ones, jobComparison('texts', model, '500 texts', () => makeTexts(model, 500))];
}

const tiny = { name: 'bert-tiny', layers: 2, hidden: 128, heads: 2, vocabulary: 30_522 };
const mini = { name: 'bert-mini', layers: 4, hidden: 256, heads: 4, vocabulary: 30_522 };
const miniLm = { name: 'MiniLM', layers: 6, hidden: 384, heads: 12, vocabulary: 30_522 };
const base = { name: 'bert-base', layers: 12, hidden: 768, heads: 12, vocabulary: 30_522 };

function kernels(software: boolean): PeerKernel[] {
  const products: [number, number, number][] = [
    [512, 512, 512],
    [1024, 1024, 1024],
    [512, 1536, 384],
    [512, 768, 768],
  ];
  if (!software) products.push([2048, 2048, 2048], [4096, 768, 768], [4096, 3072, 768]);
  return [
    ...products.map(([m, n, k]): PeerKernel => ({ op: 'matmul', m, n, k })),
    { op: 'softmax', rows: 2048, cols: 128 },
    { op: 'softmax', rows: 512, cols: 30_522 },
    { op: 'layerNorm', rows: software ? 512 : 4096, cols: 768 },
  ];
}

export function comparisons(software: boolean, quick: boolean): Comparison[] {
  const trained = quick ? [tiny] : software ? [tiny, mini] : [tiny, mini, miniLm, base];
  const inferred = quick ? [mini] : software ? [mini, miniLm] : [mini, miniLm, base];
  const shape = shapeOf(software);
  return [
    ...kernels(software)
      .slice(0, quick ? 1 : undefined)
      .map(kernelComparison),
    ...trained.map((model) => batchComparison('training', model, shape)),
    ...inferred.map((model) => batchComparison('inference', model, shape)),
    ...textComparisons(miniLm, quick),
  ];
}

const shapeOf = (software: boolean): [batch: number, length: number] => (software ? [8, 64] : [32, 128]);

/** The cases for PyTorch: training with clipping and weight decay, and inference, at the jobs' sizes. */
export function pyTorchCases(software: boolean, quick: boolean): PyTorchCase[] {
  const models = quick ? [tiny] : software ? [tiny, mini, miniLm] : [tiny, mini, miniLm, base];
  return models.map((model) => pyTorchCase(model, shapeOf(software)));
}

export function pyTorchCase(
  model: PeerModel,
  [size, length]: readonly [batch: number, length: number],
): PyTorchCase {
  return {
    model: model.name,
    shape: `${size}×${length}`,
    kinds: ['training', 'inference'],
    make: () => makeJob(model, size, length),
  };
}
