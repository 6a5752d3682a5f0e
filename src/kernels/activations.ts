/** What a kernel may do with an element on its way to memory. */

/** As in shaders/common/activate.wgsl. */
export const activations = ['none', 'gelu', 'gelu_tanh', 'tanh', 'relu', 'sigmoid', 'silu', 'exp'] as const;
export type Activation = (typeof activations)[number];
