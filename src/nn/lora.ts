/** Low-rank adaptation (Hu et al., "LoRA", 2021): a frozen linear layer with products of two small matrices. */
import type { Activation } from '../kernels/activations.ts';
import { withAutocast } from '../tensor/autocast.ts';
import type { Device } from '../tensor/device.ts';
import { activate, add, scale } from '../tensor/ops/elementwise.ts';
import { cat } from '../tensor/ops/join.ts';
import { linear, matmul } from '../tensor/ops/matmul.ts';
import { narrow } from '../tensor/ops/view.ts';
import { noGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Dropout, Linear, parameter } from './layers.ts';
import { declarePure, Module } from './module.ts';

/** How A and B begin: `true`: A as a linear layer, B zero; `gaussian`: A normal; `false`: both as linear layers. */
export type LoraStart = boolean | 'gaussian';

export interface LoraSizes {
  r: number;
  /** By which the product is multiplied. */
  scaling: number;
  dropout: number;
  /** Default true. */
  start?: LoraStart;
}

/** What one part of a layer learns: scaling · B · A. */
export class LoraPart extends Module {
  /** [r, in] */
  readonly lora_A: Tensor;
  /** [out, r] */
  readonly lora_B: Tensor;
  readonly dropout: Dropout;
  readonly scaling: number;

  constructor(
    device: Device,
    /** Which of the layer's parts. */
    readonly part: number,
    [outFeatures, inFeatures]: readonly [number, number],
    { r, scaling, dropout, start = true }: LoraSizes,
  ) {
    super();
    this.lora_A = parameter(device, [r, inFeatures]);
    this.lora_B = parameter(device, [outFeatures, r]);
    this.dropout = new Dropout(dropout);
    this.scaling = scaling;
    const bound = 1 / Math.sqrt(inFeatures);
    if (start === 'gaussian') device.fillNormal(this.lora_A, { std: 1 / r });
    else device.fillUniform(this.lora_A, -bound, bound);
    if (start === false) device.fillUniform(this.lora_B, -1 / Math.sqrt(r), 1 / Math.sqrt(r));
    else device.fill(this.lora_B, 0);
  }
}

/** A bias of one part that learns in the place of the layer's. */
export class PartBias extends Module {
  constructor(
    readonly part: number,
    readonly bias: Tensor,
  ) {
    super();
  }
}

/** One adapter's share in a layer. */
export class LoraAdapter extends Module {
  constructor(
    readonly adapterName: string,
    readonly parts: readonly LoraPart[],
    readonly biases: readonly PartBias[],
  ) {
    super();
  }
}

/** A linear layer with adapters, of which one acts or none. */
export class LoraLinear extends Linear {
  /** The layer without adapters, whose memory this one shares. */
  readonly plain: readonly [Linear];
  adapters: readonly LoraAdapter[] = [];
  /** The name of the adapter that acts. */
  active: string | null = null;

  constructor(layer: Linear) {
    const { weight, bias } = layer;
    const [out, inner] = weight.shape as [number, number];
    super(weight.device, inner, out, { memory: { weight, bias } });
    this.plain = [layer];
    this.training = layer.training;
  }

  /** Not the layer that it stands for, whose weights are its own. */
  override namedChildren(): [string, Module][] {
    return super.namedChildren().filter(([, child]) => child !== this.plain[0]);
  }

  get adapter(): LoraAdapter | null {
    return this.adapters.find(({ adapterName }) => adapterName === this.active) ?? null;
  }

  override forward(x: Tensor, activation: Activation = 'none'): Tensor {
    const { adapter } = this;
    if (adapter === null) return super.forward(x, activation);
    return withAutocast(x, (input) => {
      const y = linear(input, this.weight, this.biasOf(adapter) ?? undefined);
      return activate(add(y, this.delta(input, adapter)), activation);
    });
  }

  /** The layer's bias, with the adapter's parts of it in their places. */
  private biasOf({ biases }: LoraAdapter): Tensor | null {
    const { bias } = this;
    if (bias === null || biases.length === 0) return bias;
    const size = this.rows;
    const parts = Array.from(
      { length: this.weight.parts },
      (_, part) => biases.find((own) => own.part === part)?.bias ?? narrow(bias, 0, part * size, size),
    );
    return parts.length === 1 ? parts[0]! : cat(parts);
  }

  /** Rows of one part. */
  private get rows(): number {
    return this.weight.shape[0]! / this.weight.parts;
  }

  /** x [.., in] → what the adapter adds to the result, [.., out]. */
  private delta(x: Tensor, adapter: LoraAdapter): Tensor {
    const { parts } = adapter;
    const drops = parts.some(({ dropout }) => dropout.training && dropout.p > 0);
    const reduced = drops
      ? joined(
          parts.map(({ lora_A, dropout }) => linear(dropout.forward(x), lora_A)),
          -1,
        )
      : linear(x, allA(adapter));
    return linear(reduced, this.allB(adapter));
  }

  /** [out, sum of r]: each part's B times its scaling, in the rows of the part; zero elsewhere. */
  private allB({ parts }: LoraAdapter): Tensor {
    const { device } = this.weight;
    const ranks = parts.map(({ lora_B }) => lora_B.shape[1]!);
    const total = ranks.reduce((sum, r) => sum + r, 0);
    const zeros = (columns: number): Tensor[] => (columns === 0 ? [] : [device.zeros([this.rows, columns])]);
    const rows = Array.from({ length: this.weight.parts }, (_, part) => {
      const at = parts.findIndex((own) => own.part === part);
      if (at < 0) return zeros(total)[0]!;
      const before = ranks.slice(0, at).reduce((sum, r) => sum + r, 0);
      const { lora_B, scaling } = parts[at]!;
      const own = scale(lora_B, scaling);
      return joined([...zeros(before), own, ...zeros(total - before - ranks[at]!)], 1);
    });
    return joined(rows, 0);
  }

  /** Adds an adapter's product to the weight, and its biases to the bias, in their memory. */
  merge(adapter: LoraAdapter): void {
    const { weight, bias } = this;
    const { device } = weight;
    const scope = device.scope();
    noGrad(() => {
      device.assign(weight, add(weight, matmul(this.allB(adapter), allA(adapter))));
      const own = this.biasOf(adapter);
      if (bias !== null && own !== null && own !== bias) device.assign(bias, own);
    });
    scope.close();
  }
}

const joined = (tensors: readonly Tensor[], dim: number): Tensor =>
  tensors.length === 1 ? tensors[0]! : cat(tensors, dim);

/** [sum of r, in] */
const allA = ({ parts }: LoraAdapter): Tensor =>
  joined(
    parts.map(({ lora_A }) => lora_A),
    0,
  );

declarePure(LoraPart, PartBias, LoraAdapter, LoraLinear);
