/**
 * The transformer encoder (Vaswani et al., 2017), LayerNorm after each half of a layer. Property names are
 * the keys of most checkpoints. B batch, L length, H hidden size, I intermediate size.
 */
import type { Activation } from '../../kernels/activations.ts';
import { Dropout, Embedding, LayerNorm, Linear } from '../../nn/layers.ts';
import { declarePure, Module } from '../../nn/module.ts';
import { checkpoint } from '../../tensor/checkpoint.ts';
import type { Device, TensorTree } from '../../tensor/device.ts';
import { selfAttention } from '../../tensor/ops/attention.ts';
import { type DistanceAttentionOptions, distanceAttention } from '../../tensor/ops/distance-attention.ts';
import {
  maskBias,
  type PlainAttentionOptions,
  plainSelfAttention,
  windowBias,
} from '../../tensor/ops/plain-attention.ts';
import { select } from '../../tensor/ops/view.ts';
import { isGradEnabled } from '../../tensor/tape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { NameRule } from '../files/weight-names.ts';
import { activationOf } from './activations.ts';
import type { PretrainedConfig } from './config.ts';
import { hostValues, type ModelInputs } from './inputs.ts';
import { type LengthRule, LengthTables } from './length-tables.ts';
import { Packing } from './packing.ts';
import { type Distances, distanceScores, distanceTables, HeadDistanceRule } from './relative-positions.ts';

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
    const options = { heads, dropout: this.training ? attentionProbsDropoutProb : 0 };
    const qkv = this.qkv.forward(x);
    if (distances === null) return attend(qkv, seen, options);
    return attend(qkv, seen, options, {
      plainly: { more: (query, key) => distanceScores(query, key, distances, positionEmbeddingType) },
      tables: (rows) => distanceTables(distances, rows, positionEmbeddingType),
    });
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
} & RelativePositions;

/** What distances between tokens add to scores, in all layers. */
export interface RelativePositions {
  /** float32 [heads, 2 · L − 1]: see `selfAttention`. Of attention with weights it is another. */
  bias?: Tensor | undefined;
  distances?: Distances | undefined;
  /** float32 [B, L, 1], 0 for tokens that see all alike, because the mask hides them; else 1. */
  shown?: Tensor | undefined;
}

/** What attention takes that gives its weights, computed the plain way. */
export interface PlainlySeen {
  plain: true;
  /** Of the mask, and of layers that see near tokens only; see `plainSelfAttention`. */
  hidden?: Tensor | undefined;
  near?: Tensor | undefined;
  /** float32, added to the scores: broadcasts to [B, heads, L, L]. */
  bias?: Tensor | undefined;
  /** float32 [B, 1, L, 1], by which the scores are multiplied before: 0 for a query that sees nothing. */
  queries?: Tensor | undefined;
  /** Embeddings [n, H], and the row of each distance from −(L − 1) to L − 1. */
  plainDistances?: { table: Tensor; rows: Tensor } | undefined;
}

/** What turns queries and keys: the tables by a name that the layers know. */
export interface RotaryPositions {
  /** int32, of each row, or of each row of one text. */
  positions: Tensor;
  /** float32 [n, size], as `rotary` takes them. */
  angles: Readonly<Record<string, Tensor>>;
}

/** Scores by distance that a layer has of its own. */
interface LayerDistances {
  plainly: Pick<PlainAttentionOptions, 'more'>;
  /** The rows of its embeddings, as `distanceAttention` takes them. */
  tables(distances: Distances): Pick<DistanceAttentionOptions, 'byQuery' | 'byKey'>;
}

interface AttendOptions {
  heads: number;
  dropout: number;
  window?: number | undefined;
  /** Products that are summed up before they are scaled by 1 / √(products · size). Default 1. */
  products?: number | undefined;
}

/** Attention of queries, keys and values among the tokens that they see. */
export function attend(
  qkv: Tensor,
  { rotary: _, ...seen }: SeenTokens,
  { products, ...options }: AttendOptions,
  layer?: LayerDistances,
): Attended {
  if ('plain' in seen) {
    const { hidden, bias, queries } = seen;
    const { window, ...more } = options;
    const near = window === undefined ? undefined : seen.near;
    return plainSelfAttention(qkv, { hidden, near, bias, queries, products, ...more, ...layer?.plainly });
  }
  const { bias, distances, shown: __, ...tokens } = seen;
  const { window, ...more } = options;
  const scale = products && 1 / Math.sqrt((products * qkv.shape.at(-1)!) / 3 / options.heads);
  if (layer === undefined || distances === undefined)
    return { result: selfAttention(qkv, { ...tokens, ...more, bias, window, scale }) };
  const { rows, firsts, low } = distances;
  const places = { rows, firsts, low };
  return {
    result: distanceAttention(qkv, { ...tokens, ...more, ...places, ...layer.tables(distances), scale }),
  };
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
  /** Whether layers that train keep no activations, and compute them again for their gradients. */
  gradientCheckpointing = false;
  /** Tables by the length of texts. */
  protected readonly tables = new LengthTables();

  constructor(private readonly values: PretrainedConfig) {
    super();
    const { maxPositionEmbeddings: longest } = values;
    const count = (length: number) => Int32Array.from({ length }, (_, at) => at);
    this.counted = { over: 'positions', longest, values: count };
    this.distances = new HeadDistanceRule(values);
  }

  override ownTables(): readonly Tensor[] {
    return this.tables.all;
  }

  /** The layers as they compute; the same one may come several times. */
  abstract order(): readonly StackedLayer[];

  /** Layers that thaw together, from the top down. */
  abstract groups(): Module[][];

  /** What all layers see that give the weights of attention. Made once, whatever their number. */
  protected plainly(device: Device, length: number, mask: Tensor | undefined): PlainlySeen {
    const { reach } = this;
    return {
      plain: true,
      hidden: mask && maskBias(mask),
      near: reach === undefined ? undefined : windowBias(device, length, reach),
    };
  }

  /** What distances add to scores in texts of up to `length` tokens; `mask`: of those that are not packed. */
  protected relative(device: Device, length: number, _mask: Tensor | undefined): RelativePositions {
    if (this.values.positionEmbeddingType === 'absolute') return {};
    return { distances: this.distances.of(this.tables, device, length) };
  }

  /** Whether scores depend on distances. */
  get knowsDistances(): boolean {
    return this.values.positionEmbeddingType !== 'absolute';
  }

  /** The largest distance to a token that layers see that see near tokens only. */
  protected get reach(): number | undefined {
    return undefined;
  }

  /** Angles of the positions 0 to count − 1, for layers with rotary positions. */
  protected rotaryAngles?(device: Device, count: number): RotaryPositions['angles'];

  /** The positions of texts whose positions are not given. */
  private readonly counted: LengthRule;

  /** Of layers with embeddings of their own. */
  private readonly distances: HeadDistanceRule;

  /**
   * [B, L, H] → states, float32 under `autocast` too. Without `outputHiddenStates`, each state is freed when
   * the next one is done.
   */
  forward(embedded: Tensor, inputs: Omit<ModelInputs, 'inputIds' | 'inputsEmbeds'>): EncoderOutput {
    const { attentionMask: mask, skipPadding, outputHiddenStates: all = false } = inputs;
    const { outputAttentions: weights = false } = inputs;
    const { device, shape } = embedded;
    // Where tokens between others are left out, distances are not what they were.
    const gapless = this.reach !== undefined || this.knowsDistances;
    const packing = skipPadding && !weights ? Packing.of(mask, gapless) : null;
    const rotary = this.rotaryPositions(embedded, inputs.positionIds, packing);
    if (packing === null) {
      const seen = weights
        ? this.plainly(device, shape[1]!, mask)
        : { mask, ...this.relative(device, shape[1]!, mask) };
      return this.run(embedded, { ...seen, rotary }, { all, weights });
    }
    const { starts, longest: length } = packing;
    const seen = { starts, length, rotary, ...this.relative(device, length, undefined) };
    const { states, attentions } = this.run(packing.pack(embedded), seen, { all, weights });
    return { states: (all ? states : states.slice(-1)).map((state) => packing.unpack(state)), attentions };
  }

  private rotaryPositions(
    { device, shape }: Tensor,
    given: Tensor | undefined,
    packing: Packing | null,
  ): RotaryPositions | undefined {
    if (this.rotaryAngles === undefined) return undefined;
    const all = given ?? this.tables.of(device, shape[1]!, this.counted);
    const known = hostValues('positionIds', all);
    const positions = packing === null ? all : packing.packIntegers(known);
    return { positions, angles: this.rotaryAngles(device, known.reduce((a, b) => Math.max(a, b), 0) + 1) };
  }

  /** One layer, whose activations are kept unless they can be computed again. */
  private compute(layer: StackedLayer, x: Tensor, seen: SeenTokens): Attended {
    const again = this.gradientCheckpointing && this.training && isGradEnabled() && !('plain' in seen);
    // Only what learns is computed again: what is below a frozen layer may need no gradient.
    const learns = () => x.requiresGrad || layer.parameters().some(({ requiresGrad }) => requiresGrad);
    if (!again || !learns()) return layer.forward(x, seen);
    const inputs = { x, seen: seen as typeof seen & TensorTree };
    return { result: checkpoint(x.device, (given) => layer.forward(given.x, given.seen).result, inputs) };
  }

  private run(x: Tensor, seen: SeenTokens, keep: { all: boolean; weights: boolean }): EncoderOutput {
    const states = [x];
    const attentions: Tensor[] = [];
    for (const layer of this.order()) {
      const { result, weights } = this.compute(layer, states.at(-1)!, seen);
      if (!keep.all && states.length > 1) states.pop()!.dispose();
      states.push(result);
      if (keep.weights) attentions.push(weights!);
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
