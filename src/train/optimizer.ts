/** The optimizer that arguments ask for. */
import { AdamW } from '../optim/adamw.ts';
import type { TrainingArguments } from './arguments.ts';
import type { TrainableModel } from './predict.ts';

/** Names of weights without decay: biases and LayerNorm's, as transformers decides. */
export function isDecayed(name: string): boolean {
  return !/(^|\.)bias$/.test(name) && !/(LayerNorm|layer_norm)\.[a-z]+$/.test(name);
}

/** AdamW over all of a model's weights, in two groups: with decay and without. */
export function makeOptimizer(model: TrainableModel, args: TrainingArguments): AdamW {
  const named = model.namedParameters();
  const group = (decayed: boolean) =>
    named.filter(([name]) => isDecayed(name) === decayed).map(([, tensor]) => tensor);
  return new AdamW(
    [
      { params: group(true), weightDecay: args.weightDecay },
      { params: group(false), weightDecay: 0 },
    ],
    { lr: args.learningRate, betas: [args.adamBeta1, args.adamBeta2], eps: args.adamEpsilon },
  );
}

/** Weights outside the embeddings: what transformers estimates a training's operations by. */
export function computingWeights(model: TrainableModel): number {
  return model
    .namedParameters()
    .filter(([name]) => !/_embeddings\.weight$/.test(name))
    .reduce((sum, [, { size }]) => sum + size, 0);
}
