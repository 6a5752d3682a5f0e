/** What a training asks of an optimizer, one of the package's or one of your own. */
import type { Tensor } from '../tensor/tensor.ts';
import type { StepOptions } from './moment-optimizer.ts';
import type { MomentView } from './moments.ts';

/**
 * What optimizers keep of a weight, by the names that checkpoints have in snake case: means of the gradient
 * and of its square, and those of a matrix's rows and columns. Each has as many numbers for every part of the
 * weight.
 */
export const stateKinds = ['expAvg', 'expAvgSq', 'expAvgSqRow', 'expAvgSqCol'] as const;
export type StateKind = (typeof stateKinds)[number];

/** The optimizer's state of one parameter. */
export type OptimizerState = { step: number } & { [K in StateKind]?: MomentView };

/** As checkpoints give it back. */
export type SavedState = { step: number } & { [K in StateKind]?: Float32Array | undefined };

export interface Optimizer {
  /** Groups of parameters. The schedule sets `lr` to `initialLr` times its factor. */
  readonly groups: readonly { lr: number; readonly initialLr: number }[];
  /**
   * Whether `step` multiplies gradients by the factor in `gradScale`, as it reads them, and skips a step
   * whose norm is not finite, as `StepOptions` say. Otherwise a training scales the gradients before `step`,
   * and refuses `fp16`. Default false.
   */
  readonly readsGradScale?: boolean;
  /** Changes the weights by their gradients (`parameter.grad`). */
  step(options: Required<StepOptions>): void | Promise<void>;
  dispose?(): void;
  /**
   * The state of a parameter, for checkpoints. An optimizer without `loadState` cannot go on from one.
   */
  state?(value: Tensor): OptimizerState | undefined;
  reserve?(values: readonly Tensor[]): void;
  loadState?(value: Tensor, state: SavedState): void;
}
