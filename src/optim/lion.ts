/** Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023). */
import { lion, type OptimizerLaunch } from '../kernels/optimizer.ts';
import { type Advice, check, checkOptions, type OptionNames } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { MomentOptimizer, type UpdatedGroup } from './moment-optimizer.ts';

export interface LionOptions {
  /** Learning rate; the paper's advice is a tenth to a third of AdamW's. */
  lr?: number;
  betas?: readonly [number, number];
  weightDecay?: number;
}

/** Parameters that share hyper-parameters; the optimizer's options fill in absent ones. */
export interface LionGroup extends LionOptions {
  params: readonly Tensor[];
}

interface FilledGroup extends UpdatedGroup {
  betas: readonly [number, number];
}

const optionNames: OptionNames<LionOptions> = { lr: true, betas: true, weightDecay: true };
const groupNames: OptionNames<LionGroup> = { ...optionNames, params: true };
const advice: Advice = { learningRate: "the rate is lr, as PyTorch's", eps: 'leave it out' };

/**
 * w ← w · (1 − lr · weightDecay) − lr · sign(β1 m + (1 − β1) g), then m ← β2 m + (1 − β2) g. A parameter has one
 * moment, half of AdamW's.
 */
export class Lion extends MomentOptimizer<FilledGroup> {
  /**
   * The paper's defaults: lr 1e-4, betas (0.9, 0.99), weightDecay 0. Moves the parameters into a few buffers.
   * Throws as `AdamW` does.
   */
  constructor(params: readonly Tensor[] | readonly LionGroup[], options: LionOptions = {}) {
    const groups = params.some((item) => 'params' in item)
      ? (params as readonly LionGroup[])
      : [{ params: params as readonly Tensor[] }];
    checkOptions('Lion', options, optionNames, advice);
    const filled = groups.map((group: LionGroup): FilledGroup => {
      checkOptions('Lion: a group of parameters', group, groupNames, advice);
      const lr = group.lr ?? options.lr ?? 1e-4;
      const betas = group.betas ?? options.betas ?? [0.9, 0.99];
      const weightDecay = group.weightDecay ?? options.weightDecay ?? 0;
      check('Lion: lr', lr, lr >= 0 && Number.isFinite(lr), 'use a finite number ≥ 0');
      check('Lion: the number of betas', betas.length, betas.length === 2, 'pass two');
      for (const beta of betas) check('Lion: beta', beta, beta >= 0 && beta < 1, 'use 0 ≤ beta < 1');
      check('Lion: weightDecay', weightDecay, weightDecay >= 0, 'use a number ≥ 0');
      return { params: group.params, lr, initialLr: lr, betas, weightDecay };
    });
    super('Lion', filled, 1);
  }

  /** @internal */
  protected override alike(a: FilledGroup, b: FilledGroup): boolean {
    return a.betas[0] === b.betas[0] && a.betas[1] === b.betas[1];
  }

  /** @internal */
  protected override update({ gpu }: Device, launch: OptimizerLaunch, { betas }: FilledGroup): void {
    lion(gpu, { ...launch, beta1: betas[0], beta2: betas[1] });
  }
}
