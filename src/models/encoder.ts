/**
 * The transformer encoder that BERT (Devlin et al., 2019) and RoBERTa (Liu et al., 2019) share.
 * Shapes: B batch, L length, H hidden size, I intermediate size. Property names are the checkpoint's keys.
 */
import { Dropout, LayerNorm, Linear } from '../nn/layers.ts';
import { Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import { attention } from '../tensor/ops/attention.ts';
import { select } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { PretrainedConfig } from './config.ts';

class SelfAttention extends Module {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  private readonly heads: number;
  private readonly dropoutProb: number;

  constructor(
    device: Device,
    { hiddenSize: H, numAttentionHeads, attentionProbsDropoutProb }: PretrainedConfig,
  ) {
    super();
    this.query = new Linear(device, H, H);
    this.key = new Linear(device, H, H);
    this.value = new Linear(device, H, H);
    this.heads = numAttentionHeads;
    this.dropoutProb = attentionProbsDropoutProb;
  }

  forward(x: Tensor, mask: Tensor | undefined): Tensor {
    const dropout = this.training ? this.dropoutProb : 0;
    const [q, k, v] = [this.query.forward(x), this.key.forward(x), this.value.forward(x)];
    return attention(q, k, v, { heads: this.heads, mask, dropout });
  }
}

/** Dense, dropout, residual, LayerNorm: the end of both halves of a layer. */
class ResidualOutput extends Module {
  readonly dense: Linear;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(
    device: Device,
    inFeatures: number,
    { hiddenSize, layerNormEps, hiddenDropoutProb }: PretrainedConfig,
  ) {
    super();
    this.dense = new Linear(device, inFeatures, hiddenSize);
    this.LayerNorm = new LayerNorm(device, hiddenSize, { eps: layerNormEps });
    this.dropout = new Dropout(hiddenDropoutProb);
  }

  forward(x: Tensor, residual: Tensor): Tensor {
    return this.LayerNorm.forwardAdded(this.dense.forward(x), residual, this.dropout);
  }
}

class Attention extends Module {
  readonly self: SelfAttention;
  readonly output: ResidualOutput;

  constructor(device: Device, config: PretrainedConfig) {
    super();
    this.self = new SelfAttention(device, config);
    this.output = new ResidualOutput(device, config.hiddenSize, config);
  }

  forward(x: Tensor, mask: Tensor | undefined): Tensor {
    return this.output.forward(this.self.forward(x, mask), x);
  }
}

class Intermediate extends Module {
  readonly dense: Linear;
  private readonly activation: PretrainedConfig['hiddenAct'];

  constructor(device: Device, { hiddenSize, intermediateSize, hiddenAct }: PretrainedConfig) {
    super();
    this.dense = new Linear(device, hiddenSize, intermediateSize);
    this.activation = hiddenAct;
  }

  /** [B, L, H] → [B, L, I]. */
  forward(x: Tensor): Tensor {
    return this.dense.forward(x, this.activation);
  }
}

export class EncoderLayer extends Module {
  readonly attention: Attention;
  readonly intermediate: Intermediate;
  readonly output: ResidualOutput;

  constructor(device: Device, config: PretrainedConfig) {
    super();
    this.attention = new Attention(device, config);
    this.intermediate = new Intermediate(device, config);
    this.output = new ResidualOutput(device, config.intermediateSize, config);
  }

  /** [B, L, H] → [B, L, H]; mask int32 [B, L]. What backward does not need is freed on return. */
  forward(x: Tensor, mask: Tensor | undefined): Tensor {
    return x.device.tidy(() => {
      const attended = this.attention.forward(x, mask);
      return this.output.forward(this.intermediate.forward(attended), attended);
    });
  }
}

export class Encoder extends Module {
  readonly layer: readonly EncoderLayer[];

  constructor(device: Device, config: PretrainedConfig) {
    super();
    this.layer = Array.from({ length: config.numHiddenLayers }, () => new EncoderLayer(device, config));
  }

  /** The result of each layer, the last one last. `all` keeps them; otherwise each is freed when the next is done. */
  forward(x: Tensor, mask: Tensor | undefined, all: boolean): Tensor[] {
    const states = [x];
    for (const layer of this.layer) {
      const next = layer.forward(states.at(-1)!, mask);
      if (!all && states.length > 1) states.pop()!.dispose();
      states.push(next);
    }
    return states;
  }
}

/** tanh(dense(first token)): [B, L, H] → [B, H]. */
export class Pooler extends Module {
  readonly dense: Linear;

  constructor(device: Device, { hiddenSize }: PretrainedConfig) {
    super();
    this.dense = new Linear(device, hiddenSize, hiddenSize);
  }

  forward(x: Tensor): Tensor {
    return this.dense.forward(select(x, 1, 0), 'tanh');
  }
}
