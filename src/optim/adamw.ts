/** AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019). */
import { CheckpointError, ConfigError } from '../errors.ts';
import { adamw } from '../kernels/optimizer.ts';
import type { Tensor } from '../tensor/tensor.ts';

export interface AdamWOptions {
  /** Learning rate. */
  lr?: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
}

/** Parameters that share hyper-parameters; what is left out comes from the optimizer's options. */
export interface ParameterGroup extends AdamWOptions {
  params: readonly Tensor[];
}

/** A group with every hyper-parameter set. Schedulers write `lr`. */
export interface OptimizerGroup {
  readonly params: readonly Tensor[];
  lr: number;
  /** The rate the schedule scales. */
  readonly initialLr: number;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
}

/** First and second moments, and the number of steps, of one parameter. */
interface Moments {
  first: Tensor;
  second: Tensor;
  step: number;
}

/** The optimizer's state of one parameter, as checkpoints hold it. */
export interface ParameterState {
  step: number;
  expAvg: Tensor;
  expAvgSq: Tensor;
}

function check(name: string, value: number, holds: boolean, remedy: string): void {
  if (!holds) throw new ConfigError(`AdamW: ${name} is ${value}`, { remedy });
}

export class AdamW {
  readonly groups: OptimizerGroup[];
  private readonly moments = new Map<Tensor, Moments>();

  /** PyTorch's defaults: lr 1e-3, betas (0.9, 0.999), eps 1e-8, weightDecay 0.01. Throws `ConfigError` for values out of range. */
  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: AdamWOptions = {}) {
    const groups = params.some((item) => 'params' in item)
      ? (params as readonly ParameterGroup[])
      : [{ params: params as readonly Tensor[] }];
    this.groups = groups.map((group) => {
      const lr = group.lr ?? options.lr ?? 1e-3;
      const betas = group.betas ?? options.betas ?? [0.9, 0.999];
      const eps = group.eps ?? options.eps ?? 1e-8;
      const weightDecay = group.weightDecay ?? options.weightDecay ?? 0.01;
      check('lr', lr, lr >= 0 && Number.isFinite(lr), 'use a finite number ≥ 0');
      for (const beta of betas) check('beta', beta, beta >= 0 && beta < 1, 'use 0 ≤ beta < 1');
      check('eps', eps, eps >= 0, 'use a number ≥ 0');
      check('weightDecay', weightDecay, weightDecay >= 0, 'use a number ≥ 0');
      return { params: group.params, lr, initialLr: lr, betas, eps, weightDecay };
    });
  }

  /** Updates every parameter that has a gradient. */
  step(): void {
    for (const group of this.groups) {
      for (const value of group.params) {
        if (value.grad === null || !value.requiresGrad) continue;
        const state = this.stateOf(value);
        state.step += 1;
        adamw(value.device.gpu, {
          value: value.slot,
          gradient: value.grad.slot,
          first: state.first.slot,
          second: state.second.slot,
          count: value.size,
          lr: group.lr,
          weightDecay: group.weightDecay,
          beta1: group.betas[0],
          beta2: group.betas[1],
          eps: group.eps,
          step: state.step,
        });
      }
    }
  }

  /** Drops the gradients of its parameters. */
  zeroGrad(): void {
    for (const { params } of this.groups) {
      for (const tensor of params) {
        tensor.grad?.dispose();
        tensor.grad = null;
      }
    }
  }

  /** The state of a parameter, or undefined before its first step. */
  state(value: Tensor): ParameterState | undefined {
    const moments = this.moments.get(value);
    return moments && { step: moments.step, expAvg: moments.first, expAvgSq: moments.second };
  }

  /** Puts back a state read from a checkpoint. Throws `CheckpointError` where the sizes differ. */
  loadState(value: Tensor, state: { step: number; expAvg: Float32Array; expAvgSq: Float32Array }): void {
    if (state.expAvg.length !== value.size || state.expAvgSq.length !== value.size) {
      throw new CheckpointError(
        `AdamW: a state of ${state.expAvg.length} elements for a parameter of ${value.size}`,
      );
    }
    const moments = this.stateOf(value);
    moments.step = state.step;
    moments.first.write(state.expAvg);
    moments.second.write(state.expAvgSq);
  }

  dispose(): void {
    for (const { first, second } of this.moments.values()) {
      first.dispose();
      second.dispose();
    }
    this.moments.clear();
  }

  private stateOf(value: Tensor): Moments {
    const known = this.moments.get(value);
    if (known !== undefined) return known;
    const { device } = value;
    const made = { first: device.raw(value.shape), second: device.raw(value.shape), step: 0 };
    device.fill(made.first, 0);
    device.fill(made.second, 0);
    this.moments.set(value, made);
    return made;
  }
}
