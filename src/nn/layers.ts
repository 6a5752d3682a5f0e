/** Linear, Embedding, LayerNorm and Dropout, as in torch.nn. */

import { ShapeError } from '../errors.ts';
import type { Activation } from '../kernels/activations.ts';
import { checkOptions } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import { activate, add, dropout, type FloatDtype, to } from '../tensor/ops/elementwise.ts';
import { embedding } from '../tensor/ops/embedding.ts';
import { feedForward, type LinearParameters } from '../tensor/ops/feed-forward.ts';
import { linear } from '../tensor/ops/matmul.ts';
import { addLayerNorm, layerNorm } from '../tensor/ops/normalize.ts';
import { narrow } from '../tensor/ops/view.ts';
import { formatShape, type Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declarePure, Module } from './module.ts';

let skipping = 0;

/**
 * Builds modules whose weights are undefined memory, for a checkpoint or the caller's initialiser to fill.
 */
export function skipInit<T>(build: () => T): T {
  skipping += 1;
  try {
    return build();
  } finally {
    skipping -= 1;
  }
}

/** A weight: outside every scope, collecting gradients. Its content is unspecified. */
export function parameter(device: Device, shape: Shape, parts = 1): Tensor {
  const tensor = device.raw(shape);
  tensor.parts = parts;
  tensor.requiresGrad = true;
  return tensor;
}

/** A bias outside any layer: zeros, or within `skipInit` undefined memory. */
export function biasParameter(device: Device, size: number): Tensor {
  const tensor = parameter(device, [size]);
  if (skipping === 0) device.fill(tensor, 0);
  return tensor;
}

/** Draws each part of some parameters as a separate tensor: the first part of all, then the second, … */
export function drawParts(tensors: readonly Tensor[], draw: (tensor: Tensor) => void): void {
  for (let part = 0; part < tensors[0]!.parts; part += 1) {
    for (const tensor of tensors) {
      const { device, shape, parts } = tensor;
      const drawn = parts === 1 ? tensor : device.raw([shape[0]! / parts, ...shape.slice(1)]);
      draw(drawn);
      if (drawn === tensor) continue;
      device.assignPart(tensor, drawn, part * drawn.size);
      drawn.dispose();
    }
  }
}

export interface LinearOptions {
  bias?: boolean;
  /**
   * Number of layers of one input that are computed as one. Files keep their weights apart, and initial
   * weights are drawn for each. Default 1.
   */
  parts?: number;
  /** Existing parameters of the layer's shapes to use instead of new ones. */
  memory?: { weight: Tensor; bias: Tensor | null };
}

/**
 * y = x · weightᵀ + bias; weight [outFeatures, inFeatures], bias [outFeatures]. A subclass may override
 * `operands`, which fused kernels read too, or `forward`, which then replaces fused kernels.
 */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(device: Device, inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    checkOptions<LinearOptions>('Linear', options, { bias: true, parts: true, memory: true });
    const { bias = true, parts = 1, memory } = options;
    this.weight = memory?.weight ?? parameter(device, [outFeatures, inFeatures], parts);
    const ownBias = bias && memory === undefined ? parameter(device, [outFeatures], parts) : null;
    this.bias = memory === undefined ? ownBias : memory.bias;
    if (skipping === 0) this.resetParameters();
  }

  /** Uniform in ±1/√inFeatures, as torch.nn.Linear begins. */
  resetParameters(): void {
    const bound = 1 / Math.sqrt(this.weight.shape[1]!);
    const tensors = this.bias === null ? [this.weight] : [this.weight, this.bias];
    drawParts(tensors, (tensor) => tensor.device.fillUniform(tensor, -bound, bound));
  }

  /** The weight and bias that every path computes with; by default the parameters. */
  operands(): LinearParameters {
    return { weight: this.weight, bias: this.bias };
  }

  /** x [..., inFeatures] → activation(y) [..., outFeatures]. */
  forward(x: Tensor, activation: Activation = 'none'): Tensor {
    const { weight, bias } = this.operands();
    return linear(x, weight, bias ?? undefined, activation);
  }

  /** activation(forward(x)), even if the `forward` of a subclass knows no activation. */
  forwardActivated(x: Tensor, activation: Activation): Tensor {
    return this.overridden ? activate(this.forward(x), activation) : this.forward(x, activation);
  }

  /** outer(activation(forward(x))): in the kernels of `feedForward` unless a `forward` is a subclass's. */
  forwardInto(outer: Linear, x: Tensor, activation: Activation): Tensor {
    if (this.overridden || outer.overridden) return outer.forward(this.forwardActivated(x, activation));
    return feedForward(x, this.operands(), outer.operands(), activation);
  }

  private get overridden(): boolean {
    return this.forward !== Linear.prototype.forward;
  }
}

export interface EmbeddingOptions {
  /** Default null: none. */
  paddingIdx?: number | null | undefined;
}

/**
 * Rows of weight [numEmbeddings, embeddingDim] by index. The row of `paddingIdx` begins as zeros and gets no
 * gradient.
 */
export class Embedding extends Module {
  readonly weight: Tensor;
  readonly paddingIdx: number | null;

  constructor(device: Device, numEmbeddings: number, embeddingDim: number, options: EmbeddingOptions = {}) {
    super();
    checkOptions<EmbeddingOptions>('Embedding', options, { paddingIdx: true });
    this.weight = parameter(device, [numEmbeddings, embeddingDim]);
    this.paddingIdx = options.paddingIdx ?? null;
    if (skipping === 0) this.resetParameters(1);
  }

  /** Normal with the given deviation; the padding row zero. */
  resetParameters(std: number): void {
    this.weight.device.fillNormal(this.weight, { std });
    this.zeroPadding();
  }

  zeroPadding(): void {
    if (this.paddingIdx === null) return;
    const width = this.weight.shape[1]!;
    this.weight.write(new Float32Array(width), this.paddingIdx * width);
  }

  /** ids int32 [...] → float32 [..., embeddingDim]. */
  forward(ids: Tensor): Tensor {
    const rows = embedding(this.weight, ids, this.paddingIdx ?? -1);
    if (rows.dtype === 'float32') return rows;
    const wide = to(rows, 'float32');
    rows.dispose();
    return wide;
  }

  /** `forward` of the ids 0 to count − 1, [count, embeddingDim], without the ids. */
  forwardFirst(count: number): Tensor {
    if (this.forward === Embedding.prototype.forward) return narrow(this.weight, 0, 0, count);
    return this.forward(this.weight.device.tensor(Int32Array.from({ length: count }, (_, id) => id)));
  }
}

export interface LayerNormOptions {
  /** Default 1e-5. */
  eps?: number;
  /** Default true. */
  bias?: boolean;
}

/** LayerNorm over the last dimension. */
export class LayerNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly eps: number;

  constructor(device: Device, size: number, options: LayerNormOptions = {}) {
    super();
    checkOptions<LayerNormOptions>('LayerNorm', options, { eps: true, bias: true });
    this.weight = parameter(device, [size]);
    this.bias = options.bias === false ? null : parameter(device, [size]);
    this.eps = options.eps ?? 1e-5;
    if (skipping === 0) this.resetParameters();
  }

  resetParameters(): void {
    this.weight.device.fill(this.weight, 1);
    if (this.bias !== null) this.bias.device.fill(this.bias, 0);
  }

  override ownUndecayed(): readonly Tensor[] {
    return this.bias === null ? [this.weight] : [this.weight, this.bias];
  }

  forward(x: Tensor): Tensor {
    this.checkWidth(x);
    return layerNorm(x, this.weight, this.bias, this.eps);
  }

  /** Of residual + dropout(x); both [..., size]. In one kernel unless a `forward` is a subclass's. */
  forwardAdded(x: Tensor, residual: Tensor, dropout: Dropout): Tensor {
    if (this.forward !== LayerNorm.prototype.forward || dropout.forward !== Dropout.prototype.forward)
      return this.forward(add(to(dropout.forward(x), residual.dtype as FloatDtype), residual));
    this.checkWidth(x);
    const options = { eps: this.eps, dropout: dropout.training ? dropout.p : 0 };
    return addLayerNorm(x, residual, this.weight, this.bias, options);
  }

  private checkWidth({ shape }: Tensor): void {
    const { size } = this.weight;
    if (shape.at(-1) !== size)
      throw new ShapeError(`LayerNorm: the last dimension of ${formatShape(shape)} must be ${size}`);
  }
}

/** Drops elements with probability p while training. */
export class Dropout extends Module {
  constructor(readonly p: number) {
    super();
  }

  forward(x: Tensor): Tensor {
    return this.training ? dropout(x, this.p) : x;
  }
}

declarePure(Linear, Embedding, LayerNorm, Dropout);
