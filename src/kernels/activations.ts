/** The functions that a kernel may apply to an element before it writes it. */

/** As in shaders/common/activate.wgsl. */
export const activations = [
  'none',
  'gelu',
  'gelu_tanh',
  'quick_gelu',
  'tanh',
  'relu',
  'sigmoid',
  'silu',
  'exp',
] as const;
export type Activation = (typeof activations)[number];

/** Further functions of a number, as in shaders/common/functions.wgsl and shaders/unary.wgsl. */
export const numberFunctions = ['log', 'sqrt', 'abs', 'clamp', 'power'] as const;
export type NumberFunction = (typeof numberFunctions)[number];
