/** The optimizer of a training, made from its arguments. */
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { Adafactor } from '../optim/adafactor.ts';
import { AdamW } from '../optim/adamw.ts';
import { Lion, type LionGroup } from '../optim/lion.ts';
import type { Optimizer } from '../optim/optimizer.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { TrainingArguments } from './arguments.ts';

/** transformers' names of optimizers. */
export const optimizerNames = ['adamw_torch', 'lion_32bit', 'adafactor'] as const;
export type OptimizerName = (typeof optimizerNames)[number];

type GroupArguments = Pick<TrainingArguments, 'learningRate' | 'weightDecay' | 'layerwiseLrDecay'>;

/**
 * The depth of each weight in `model.layerGroups()`: 0 for the head, 1 for the last layer, and so on. A
 * weight that several parts share has the depth of the lowest.
 */
function depths(model: PreTrainedModel): Map<Tensor, number> {
  const groups = model.layerGroups().map((modules) => modules.flatMap((module) => module.parameters()));
  return new Map(groups.flatMap((tensors, depth) => tensors.map((tensor) => [tensor, depth] as const)));
}

/**
 * The weights of a model that learn, with and without weight decay; with `layerwiseLrDecay`, two groups for each layer,
 * from the top down.
 */
export function parameterGroups(model: PreTrainedModel, args: GroupArguments): LionGroup[] {
  const { learningRate, weightDecay, layerwiseLrDecay } = args;
  const undecayed = model.undecayedParameters();
  // As in transformers, weights that are frozen from the start are none of the optimizer's.
  const all = model.parameters().filter(({ requiresGrad }) => requiresGrad);
  const pair = (tensors: readonly Tensor[], lr: number): LionGroup[] => [
    { params: tensors.filter((one) => !undecayed.has(one)), weightDecay, lr },
    { params: tensors.filter((one) => undecayed.has(one)), weightDecay: 0, lr },
  ];
  if (layerwiseLrDecay === 1) return pair(all, learningRate);
  const depthOf = depths(model);
  const depth = (tensor: Tensor): number => depthOf.get(tensor) ?? 0;
  const levels = [...new Set(all.map(depth))].sort((a, b) => a - b);
  return levels.flatMap((level) =>
    pair(
      all.filter((tensor) => depth(tensor) === level),
      learningRate * layerwiseLrDecay ** level,
    ),
  );
}

export function makeOptimizer(model: PreTrainedModel, args: TrainingArguments): Optimizer {
  const { optim, learningRate: lr, adamBeta1, adamBeta2, adamEpsilon: eps } = args;
  const groups = parameterGroups(model, args);
  const betas = [adamBeta1, adamBeta2] as const;
  if (optim === 'adafactor') return new Adafactor(groups, { lr });
  return optim === 'lion_32bit' ? new Lion(groups, { lr, betas }) : new AdamW(groups, { lr, betas, eps });
}
