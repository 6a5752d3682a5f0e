/** Freezing the encoder first, then thawing layers from the top (Howard and Ruder, ULMFiT, 2018). */
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import type { TrainingArguments } from './arguments.ts';

/** How many groups of `model.layerGroups()`, from the top, learn in an epoch (counted from 0). */
export function trainableGroups(
  groups: number,
  epoch: number,
  args: Pick<TrainingArguments, 'freezeEncoderEpochs' | 'unfreezeLayersPerEpoch'>,
): number {
  const { freezeEncoderEpochs, unfreezeLayersPerEpoch } = args;
  if (epoch < freezeEncoderEpochs) return 1;
  if (freezeEncoderEpochs === 0 || unfreezeLayersPerEpoch === 0) return groups;
  return Math.min(groups, 1 + (epoch - freezeEncoderEpochs + 1) * unfreezeLayersPerEpoch);
}

/** Freezes and thaws weights for an epoch. Weights that the caller froze (`fixed`) stay frozen. */
export function applyFreezing(
  model: PreTrainedModel,
  epoch: number,
  args: TrainingArguments,
  fixed: ReadonlySet<unknown>,
): void {
  const groups = model.layerGroups();
  const parametersOf = (some: typeof groups) => some.flat().flatMap((module) => module.parameters());
  // A weight shared with a group that learns learns with it.
  const learning = new Set(parametersOf(groups.slice(0, trainableGroups(groups.length, epoch, args))));
  for (const tensor of parametersOf(groups))
    if (!fixed.has(tensor)) tensor.requiresGrad = learning.has(tensor);
}
