/** AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019). */

import { adamw, type OptimizerLaunch } from '../kernels/optimizer.ts';
import { type Advice, check, checkOptions, type OptionNames } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { MomentOptimizer, type ParameterState } from './moment-optimizer.ts';

export type { ParameterState, StepOptions } from './moment-optimizer.ts';

export interface AdamWOptions {
  /** Learning rate. */
  lr?: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
}

/** Parameters that share hyper-parameters; the optimizer's options fill in absent ones. */
export interface ParameterGroup extends AdamWOptions {
  params: readonly Tensor[];
}

/** A group with every hyper-parameter set. Schedulers write `lr`. */
export interface OptimizerGroup extends Required<ParameterGroup> {
  /** The rate the schedule scales. */
  readonly initialLr: number;
}

const optionNames: OptionNames<AdamWOptions> = { lr: true, betas: true, eps: true, weightDecay: true };
const groupNames: OptionNames<ParameterGroup> = { ...optionNames, params: true };
const advice: Advice = {
  learningRate: "the rate is lr, as PyTorch's",
  amsgrad: 'leave it out',
  decoupledWeightDecay: 'leave it out: the decay is decoupled',
};

export class AdamW extends MomentOptimizer<OptimizerGroup> {
  /**
   * PyTorch's defaults: lr 1e-3, betas (0.9, 0.999), eps 1e-8, weightDecay 0.01. Moves the parameters into a
   * few buffers, each of which is freed with the last parameter in it. Throws `ConfigError` for values out of
   * range, for a parameter given twice, for two over the same memory and for parameters of several devices,
   * `DtypeError` for one that is not float32, `DisposedError`.
   */
  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: AdamWOptions = {}) {
    const groups = params.some((item) => 'params' in item)
      ? (params as readonly ParameterGroup[])
      : [{ params: params as readonly Tensor[] }];
    checkOptions('AdamW', options, optionNames, advice);
    const filled = groups.map((group) => {
      checkOptions('AdamW: a group of parameters', group, groupNames, advice);
      const lr = group.lr ?? options.lr ?? 1e-3;
      const betas = group.betas ?? options.betas ?? [0.9, 0.999];
      const eps = group.eps ?? options.eps ?? 1e-8;
      const weightDecay = group.weightDecay ?? options.weightDecay ?? 0.01;
      check('AdamW: lr', lr, lr >= 0 && Number.isFinite(lr), 'use a finite number ≥ 0');
      check('AdamW: the number of betas', betas.length, betas.length === 2, 'pass two');
      for (const beta of betas) check('AdamW: beta', beta, beta >= 0 && beta < 1, 'use 0 ≤ beta < 1');
      check('AdamW: eps', eps, eps >= 0, 'use a number ≥ 0');
      check('AdamW: weightDecay', weightDecay, weightDecay >= 0, 'use a number ≥ 0');
      return { params: group.params, lr, initialLr: lr, betas, eps, weightDecay };
    });
    super('AdamW', filled, 2);
  }

  /** The state of a parameter, or undefined before its first step. */
  override state(value: Tensor): Required<ParameterState> | undefined {
    return super.state(value) as Required<ParameterState> | undefined;
  }

  /** @internal */
  protected override alike(a: OptimizerGroup, b: OptimizerGroup): boolean {
    return a.betas[0] === b.betas[0] && a.betas[1] === b.betas[1] && a.eps === b.eps;
  }

  /** @internal */
  protected override update({ gpu }: Device, launch: OptimizerLaunch, { betas, eps }: OptimizerGroup): void {
    adamw(gpu, { ...launch, beta1: betas[0], beta2: betas[1], eps });
  }
}
