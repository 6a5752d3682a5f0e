/** What a training asks of an optimizer, AdamW or one of your own. */
import type { Tensor } from '../tensor/tensor.ts';
import type { ParameterState, StepOptions } from './adamw.ts';

export interface Optimizer {
  /** Groups of parameters. The schedule sets `lr` to `initialLr` times its factor. */
  readonly groups: readonly { lr: number; readonly initialLr: number }[];
  /**
   * Changes the weights by their gradients (`parameter.grad`). With `gradScale`, [norm, factor], it must
   * multiply gradients by the factor: clipping and mixed precision need it.
   */
  step(options: Required<StepOptions>): void | Promise<void>;
  dispose?(): void;
  /**
   * The state of a parameter, for checkpoints. Without these three a training goes on only with an optimizer
   * that has forgotten, and refuses to.
   */
  state?(value: Tensor): ParameterState | undefined;
  reserve?(values: readonly Tensor[]): void;
  loadState?(value: Tensor, state: { step: number; expAvg: Float32Array; expAvgSq: Float32Array }): void;
}
