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
  const open = trainableGroups(groups.length, epoch, args);
  for (const [index, modules] of groups.entries()) {
    for (const module of modules) {
      for (const tensor of module.parameters()) {
        if (!fixed.has(tensor)) tensor.requiresGrad = index < open;
      }
    }
  }
  // A weight shared with a group that learns learns with it.
  for (const modules of groups.slice(0, open)) {
    for (const module of modules)
      for (const tensor of module.parameters()) if (!fixed.has(tensor)) tensor.requiresGrad = true;
  }
}
