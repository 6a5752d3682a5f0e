/**
 * The transformer encoder (Vaswani et al., 2017), LayerNorm after each half of a layer. Property names are
 * the keys of most checkpoints. B batch, L length, H hidden size, I intermediate size.
 */
import { ConfigError, DawngradError } from '../../errors.ts';
import type { Activation } from '../../kernels/activations.ts';
import { Dropout, Embedding, LayerNorm, Linear } from '../../nn/layers.ts';
import { declarePure, Module } from '../../nn/module.ts';
import type { Device } from '../../tensor/device.ts';
import { selfAttention } from '../../tensor/ops/attention.ts';
import { type PlainAttentionOptions, plainSelfAttention } from '../../tensor/ops/plain-attention.ts';
import { select } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { NameRule } from '../files/weight-names.ts';
import { activationOf } from './activations.ts';
import type { PretrainedConfig } from './config.ts';
import type { ModelInputs } from './inputs.ts';
import { type LengthRule, lengthTable } from './length-tables.ts';
import { Packing } from './packing.ts';
import { distanceScores } from './relative-positions.ts';

/** Files keep the projections of an encoder's attention apart. */
export const encoderNames: readonly NameRule[] = [
  ['attention.self.qkv', ['attention.self.query', 'attention.self.key', 'attention.self.value']],
];

export class SelfAttention extends Module {
  /** Queries, keys and values: weight [3 · H, H], bias [3 · H]. */
  readonly qkv: Linear;
  /** A row for each distance of two tokens; null if positions are absolute. */
  readonly distance_embedding: Embedding | null;

  constructor(
    device: Device,
    private readonly config: PretrainedConfig,
  ) {
    super();
    const { hiddenSize: H, numAttentionHeads, maxPositionEmbeddings } = config;
    this.qkv = new Linear(device, H, 3 * H, { parts: 3 });
    const relative = config.positionEmbeddingType !== 'absolute';
    this.distance_embedding = relative
      ? new Embedding(device, 2 * maxPositionEmbeddings - 1, H / numAttentionHeads)
      : null;
  }

  forward(x: Tensor, seen: SeenTokens): Attended {
    const { distance_embedding: distances } = this;
    const { numAttentionHeads: heads, attentionProbsDropoutProb, positionEmbeddingType } = this.config;
    const dropout = this.training ? attentionProbsDropoutProb : 0;
    const more =
      distances === null
        ? undefined
        : (query: Tensor, key: Tensor) => distanceScores(query, key, distances, positionEmbeddingType);
    return attend(this.qkv.forward(x), seen, { heads, dropout, more });
  }
}

/** The result of attention, and its weights [B, heads, L, L] if they exist in memory. */
export interface Attended {
  result: Tensor;
  weights?: Tensor;
}

/**
 * The tokens that attention sees: those that the mask shows, or all of sequences packed between `starts`, the
 * longest of `length`.
 */
export type SeenTokens = ({ mask: Tensor | undefined } | PlainlySeen | { starts: Tensor; length: number }) & {
  rotary?: RotaryPositions | undefined;
};

/** What attention takes that is computed the plain way, and gives its weights. */
export interface PlainlySeen {
  mask: Tensor | undefined;
  plain: true;
  /** float32, added to the scores: broadcasts to [B, heads, L, L]. */
  bias?: Tensor | undefined;
  /** float32 [B, 1, L, 1], by which the scores are multiplied before: 0 for a query that sees nothing. */
  queries?: Tensor | undefined;
  /** Embeddings [n, H], and the row of each distance from −(L − 1) to L − 1. */
  distances?: { table: Tensor; rows: Tensor } | undefined;
}

/** What turns queries and keys: the tables by a name that the layers know. */
export interface RotaryPositions {
  /** int32, of each row, or of each row of one text. */
  positions: Tensor;
  /** float32 [n, size], as `rotary` takes them. */
  angles: Readonly<Record<string, Tensor>>;
}

/** Attention of queries, keys and values among the tokens that they see; with `more`, the plain way. */
export function attend(
  qkv: Tensor,
  { rotary: _, ...seen }: SeenTokens,
  { more, ...options }: Omit<PlainAttentionOptions, 'mask' | 'bias' | 'queries'>,
): Attended {
  const plain = 'plain' in seen;
  if (more === undefined && !plain) return { result: selfAttention(qkv, { ...seen, ...options }) };
  if ('starts' in seen) throw new DawngradError('distances of packed tokens are unknown');
  const { bias, queries } = plain ? seen : {};
  const { result, weights } = plainSelfAttention(qkv, { mask: seen.mask, bias, queries, more, ...options });
  return plain ? { result, weights } : { result };
}

/** Dense, dropout, residual, LayerNorm: the end of both halves of a layer. */
class ResidualOutput extends Module {
  readonly dense: Linear;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(device: Device, inFeatures: number, config: PretrainedConfig) {
    super();
    this.dense = new Linear(device, inFeatures, config.hiddenSize);
    this.LayerNorm = new LayerNorm(device, config.hiddenSize, { eps: config.layerNormEps });
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  forward(x: Tensor, residual: Tensor): Tensor {
    return this.finish(this.dense.forward(x), residual);
  }

  /** The part after the dense layer. */
  finish(x: Tensor, residual: Tensor): Tensor {
    return this.LayerNorm.forwardAdded(x, residual, this.dropout);
  }
}

class Attention extends Module {
  readonly self: SelfAttention;
  readonly output: ResidualOutput;

  constructor(device: Device, config: PretrainedConfig, self = new SelfAttention(device, config)) {
    super();
    this.self = self;
    this.output = new ResidualOutput(device, config.hiddenSize, config);
  }

  forward(x: Tensor, seen: SeenTokens): Attended {
    const { result, ...more } = this.self.forward(x, seen);
    return { result: this.output.forward(result, x), ...more };
  }
}

/** The first half of the feed-forward part: [B, L, H] → [B, L, I]. */
class Intermediate extends Module {
  readonly dense: Linear;
  readonly activation: Activation;

  constructor(device: Device, { hiddenSize, intermediateSize, hiddenAct }: PretrainedConfig) {
    super();
    this.dense = new Linear(device, hiddenSize, intermediateSize);
    this.activation = activationOf(hiddenAct);
  }
}

export class EncoderLayer extends Module {
  readonly attention: Attention;
  readonly intermediate: Intermediate;
  readonly output: ResidualOutput;

  /** `outerDropout`: that after the feed-forward part; `self`: another family's attention. */
  constructor(
    device: Device,
    config: PretrainedConfig,
    { outerDropout = config.hiddenDropoutProb, self }: { outerDropout?: number; self?: SelfAttention } = {},
  ) {
    super();
    this.attention = new Attention(device, config, self);
    this.intermediate = new Intermediate(device, config);
    this.output = new ResidualOutput(device, config.intermediateSize, {
      ...config,
      hiddenDropoutProb: outerDropout,
    });
  }

  /**
   * [B, L, H] → [B, L, H], or packed tokens [T, H] → [T, H]. Frees on return what backward does not need.
   */
  forward(x: Tensor, seen: SeenTokens): Attended {
    return x.device.tidy(() => {
      const { result: attended, ...more } = this.attention.forward(x, seen);
      const { dense, activation } = this.intermediate;
      const outer = dense.forwardInto(this.output.dense, attended, activation);
      const result = this.output.finish(outer, attended);
      return { result, ...more };
    });
  }
}

export interface EncoderOutput {
  /** On request the embeddings and the result of each layer; the last is the encoder's result. */
  states: Tensor[];
  /** Of each layer; empty unless asked for. */
  attentions: Tensor[];
}

/** A layer of a stack: [B, L, H] → [B, L, H], or packed tokens [T, H] → [T, H]. */
export interface StackedLayer extends Module {
  forward(x: Tensor, seen: SeenTokens): Attended;
}

/** Layers, one after the other. A subclass has them under its files' names, and says in what order. */
export abstract class LayerStack extends Module {
  /** Whether padding can be left out: distances between packed tokens are not known. */
  private readonly packs: boolean;

  constructor({ positionEmbeddingType, maxPositionEmbeddings: longest }: PretrainedConfig) {
    super();
    this.packs = positionEmbeddingType === 'absolute';
    const values = (length: number) => Int32Array.from({ length }, (_, at) => at);
    this.counted = { over: 'positions', longest, values };
  }

  /** The layers as they compute; the same one may come several times. */
  abstract order(): readonly StackedLayer[];

  /** Layers that thaw together, from the top down. */
  abstract groups(): Module[][];

  /** What all layers see, if they compute attention the plain way whether its weights are asked for or not. */
  protected plainly?(length: number, mask: Tensor | undefined): PlainlySeen;

  /** Whether layers see near tokens only, so that texts must be packed without gaps. */
  protected readonly local: boolean = false;

  /** Angles of the positions 0 to count − 1, for layers with rotary positions. */
  protected rotaryAngles?(device: Device, count: number): RotaryPositions['angles'];

  /** The positions of texts whose positions are not given. */
  private readonly counted: LengthRule;

  /**
   * [B, L, H] → states, float32 under `autocast` too. Without `outputHiddenStates`, each state is freed when
   * the next one is done.
   */
  forward(embedded: Tensor, inputs: Omit<ModelInputs, 'inputIds'>): EncoderOutput {
    const { attentionMask: mask, skipPadding, outputHiddenStates: all = false } = inputs;
    const { outputAttentions: weights = false } = inputs;
    const plain =
      this.plainly?.(embedded.shape[1]!, mask) ?? (weights ? { mask, plain: true as const } : null);
    const packing = this.packs && skipPadding && plain === null ? Packing.of(mask, this.local) : null;
    const rotary = this.rotaryPositions(embedded, inputs.positionIds, packing);
    if (packing === null) {
      return this.run(embedded, { ...(plain ?? { mask }), rotary }, { all, weights });
    }
    const seen = { starts: packing.starts, length: packing.longest, rotary };
    const { states, attentions } = this.run(packing.pack(embedded), seen, { all, weights });
    return { states: (all ? states : states.slice(-1)).map((state) => packing.unpack(state)), attentions };
  }

  private rotaryPositions(
    { device, shape }: Tensor,
    given: Tensor | undefined,
    packing: Packing | null,
  ): RotaryPositions | undefined {
    if (this.rotaryAngles === undefined) return undefined;
    const all = given ?? lengthTable(device, shape[1]!, this.counted);
    const known = all.integers;
    if (known === null)
      throw new ConfigError('positionIds came from the GPU', {
        remedy: 'make an int32 tensor of numbers on the CPU: device.tensor(Int32Array.from(values), shape)',
      });
    const positions = packing === null ? all : packing.packIntegers(known);
    return { positions, angles: this.rotaryAngles(device, known.reduce((a, b) => Math.max(a, b), 0) + 1) };
  }

  private run(x: Tensor, seen: SeenTokens, keep: { all: boolean; weights: boolean }): EncoderOutput {
    const states = [x];
    const attentions: Tensor[] = [];
    for (const layer of this.order()) {
      const { result, weights } = layer.forward(states.at(-1)!, seen);
      if (!keep.all && states.length > 1) states.pop()!.dispose();
      states.push(result);
      if (keep.weights) attentions.push(weights!);
      else weights?.dispose();
    }
    return { states, attentions };
  }
}

/** A stack of layers with weights of their own. */
export class Encoder extends LayerStack {
  readonly layer: readonly EncoderLayer[];

  constructor(device: Device, config: PretrainedConfig) {
    super(config);
    this.layer = Array.from({ length: config.numHiddenLayers }, () => new EncoderLayer(device, config));
  }

  override order(): readonly EncoderLayer[] {
    return this.layer;
  }

  override groups(): Module[][] {
    return [...this.layer].reverse().map((layer) => [layer]);
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
    return this.dense.forwardActivated(select(x, 1, 0), 'tanh');
  }
}

declarePure(SelfAttention, ResidualOutput, Attention, Intermediate, EncoderLayer, Encoder, Pooler);
