/** Activations by the names that configs have for them (transformers' `ACT2FN`). */
import type { Activation } from '../../kernels/activations.ts';

/**
 * `gelu_pytorch_tanh` and its like are one formula, computed in different ways; so are `swish` and `silu`.
 */
const kernels = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_accurate: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_python_tanh: 'gelu_tanh',
  quick_gelu: 'quick_gelu',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
  linear: 'none',
} as const satisfies Record<string, Activation>;

export type HiddenActivation = keyof typeof kernels;

export const hiddenActivations = Object.keys(kernels) as HiddenActivation[];

export function activationOf(name: HiddenActivation): Activation {
  return kernels[name];
}
