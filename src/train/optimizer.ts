/** Makes the optimizer. */
import { Embedding } from '../nn/layers.ts';
import { AdamW } from '../optim/adamw.ts';
import type { TrainingArguments } from './arguments.ts';
import type { TrainableModel } from './predict.ts';

/**
 * AdamW over all weights of a model, in two groups: with weight decay and without (`undecayedParameters`).
 */
export function makeOptimizer(model: TrainableModel, args: TrainingArguments): AdamW {
  const parameters = model.parameters();
  const undecayed = model.undecayedParameters();
  const group = (decayed: boolean) => parameters.filter((tensor) => undecayed.has(tensor) !== decayed);
  return new AdamW(
    [
      { params: group(true), weightDecay: args.weightDecay },
      { params: group(false), weightDecay: 0 },
    ],
    { lr: args.learningRate, betas: [args.adamBeta1, args.adamBeta2], eps: args.adamEpsilon },
  );
}

/** The number of weights outside the embeddings, by which transformers estimates operations. */
export function computingWeights(model: TrainableModel): number {
  const embeddings = new Set(
    [...model.modules()].flatMap((module) => (module instanceof Embedding ? [module.weight] : [])),
  );
  return model
    .parameters()
    .filter((tensor) => !embeddings.has(tensor))
    .reduce((sum, { size }) => sum + size, 0);
}
