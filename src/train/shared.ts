/** What all processes of a group are to have the same of: their steps and sums would not be the same otherwise. */
import type { Dataset } from '../data/dataset.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Progress } from './progress.ts';
import { dataMark } from './resume.ts';
import type { Trainer } from './trainer.ts';

const sizeOf = (tensors: readonly Tensor[]): number => tensors.reduce((sum, { size }) => sum + size, 0);

/** By name, for `Ranks.checkSame`. */
export function sharedTraining(
  { args, model }: Trainer,
  { examples, digest }: NonNullable<Progress['data']>,
): Record<string, unknown> {
  // Only rank 0 writes.
  const { outputDir: _, reportTo: __, ...options } = args;
  const { raw: ___, ...config } = model.config;
  const weights = model.parameters();
  return {
    'the number of training examples': examples,
    'the digest of the training data': digest,
    ...Object.fromEntries(Object.entries(config).map(([name, value]) => [`the model's ${name}`, value])),
    'the number of weights': sizeOf(weights),
    'the number of weights that learn': sizeOf(weights.filter(({ requiresGrad }) => requiresGrad)),
    ...options,
  };
}

/** The same for data that are evaluated. */
export function sharedData(dataset: Dataset<unknown>): Record<string, unknown> {
  const { examples, digest } = dataMark(dataset);
  return { 'the number of examples': examples, 'the digest of the data': digest };
}
