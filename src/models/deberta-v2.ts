/**
 * DeBERTa version 2 and 3 (He et al., 2021; 2023): attention whose scores are products of contents, and of
 * contents with embeddings of distances, in logarithmic buckets.
 */
import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { Activation } from '../kernels/activations.ts';
import { biasParameter, Dropout, Embedding, LayerNorm, Linear } from '../nn/layers.ts';
import { declareOwn, Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import { byDistance, type DistanceRows } from '../tensor/ops/distances.ts';
import { add, type FloatDtype, mul, scale, to } from '../tensor/ops/elementwise.ts';
import { embedding } from '../tensor/ops/embedding.ts';
import { linear, matmul } from '../tensor/ops/matmul.ts';
import { narrow, permute, reshape, select } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { activationOf } from './common/activations.ts';
import { encoderModel } from './common/base-model.ts';
import { type ConfigValues, encoderKeys, type PretrainedConfig } from './common/config.ts';
import type { InputEmbeddings } from './common/embeddings.ts';
import {
  type Attended,
  attend,
  EncoderLayer,
  LayerStack,
  type PlainlySeen,
  type SeenTokens,
  SelfAttention,
} from './common/encoder.ts';
import type { Family } from './common/family.ts';
import { answerSpan, classifierDropout, head, LmHead } from './common/heads.ts';
import { checkRange, type ModelInputs } from './common/inputs.ts';
import { activation, fixed, flag, index, key, probability, size } from './common/keys.ts';
import { multipleChoice, rating } from './common/multiple-choice.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import type { NameRule } from './files/weight-names.ts';

const whole = v.pipe(v.number(), v.integer());
const kinds = v.picklist(['c2p', 'p2c']);
/** A list, or names between bars. */
const attentionTypes = v.pipe(
  v.nullable(v.union([v.string(), v.array(v.string())])),
  v.transform((given) =>
    typeof given === 'string'
      ? given
          .toLowerCase()
          .split('|')
          .map((name) => name.trim())
      : (given ?? []),
  ),
  v.array(kinds),
);

const keys = {
  ...encoderKeys,
  vocabSize: { ...encoderKeys.vocabSize, default: 128100 },
  hiddenSize: { ...encoderKeys.hiddenSize, default: 1536 },
  numHiddenLayers: { ...encoderKeys.numHiddenLayers, default: 24 },
  numAttentionHeads: { ...encoderKeys.numAttentionHeads, default: 24 },
  intermediateSize: { ...encoderKeys.intermediateSize, default: 6144 },
  layerNormEps: { ...encoderKeys.layerNormEps, default: 1e-7 },
  typeVocabSize: key('type_vocab_size', index, 0),
  classifierDropout: { ...encoderKeys.classifierDropout, json: 'cls_dropout', omitted: true },
  positionEmbeddingType: fixed<'absolute'>('absolute'),
  relativeAttention: key('relative_attention', flag, false),
  /** Distances up to which each has an embedding; below 1: `max_position_embeddings`. */
  maxRelativePositions: key('max_relative_positions', whole, -1),
  /** Buckets of distances on either side; below 1: none. */
  positionBuckets: { ...key('position_buckets', whole, -1), omitted: true },
  /** Whether positions are added to the embeddings, too. */
  positionBiasedInput: key('position_biased_input', flag, true),
  posAttType: key<('c2p' | 'p2c')[]>('pos_att_type', attentionTypes, []),
  /** Whether distances are projected by the layers of queries and keys. */
  shareAttKey: { ...key('share_att_key', flag, false), omitted: true },
  normRelEbd: { ...key('norm_rel_ebd', v.string(), 'none'), omitted: true },
  poolerDropout: key('pooler_dropout', probability, 0),
  poolerHiddenAct: key('pooler_hidden_act', activation, 'gelu'),
  /** Whether the head of masked language modelling is transformers' older one. */
  legacy: key('legacy', flag, true),
  embeddingSize: { ...key('embedding_size', v.nullable(size), null), omitted: true },
  attentionHeadSize: { ...key('attention_head_size', v.nullable(size), null), omitted: true },
  poolerHiddenSize: { ...key('pooler_hidden_size', v.nullable(size), null), omitted: true },
  convKernelSize: {
    ...key('conv_kernel_size', v.literal(0, 'a convolution is not supported'), 0),
    omitted: true,
  },
} as const;

type DebertaConfig = PretrainedConfig & ConfigValues<typeof keys>;

const names: readonly NameRule[] = [
  ['attention.self.query', 'attention.self.query_proj'],
  ['attention.self.key', 'attention.self.key_proj'],
  ['attention.self.value', 'attention.self.value_proj'],
  ['lm_head.dense', 'cls.predictions.transform.dense'],
  ['lm_head.layer_norm', 'cls.predictions.transform.LayerNorm'],
  ['lm_head', 'cls.predictions'],
  ['newer_head', 'lm_predictions.lm_head'],
];

/** 1 where the mask shows a token, else 0: float32 of the given shape. */
function shownAs(mask: Tensor, shape: readonly number[]): Tensor {
  return reshape(embedding(mask.device.tensor([0, 1], [2, 1]), mask), shape);
}

/** Words, and positions and token types if the config has them; LayerNorm; zeros for padding; dropout. */
class DebertaEmbeddings extends Module implements InputEmbeddings {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding | null;
  readonly token_type_embeddings: Embedding | null;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(
    device: Device,
    private readonly config: PretrainedConfig,
  ) {
    super();
    const { vocabSize, hiddenSize: H, padTokenId, maxPositionEmbeddings, typeVocabSize } = config;
    const { positionBiasedInput } = config as DebertaConfig;
    this.word_embeddings = new Embedding(device, vocabSize, H, { paddingIdx: padTokenId });
    this.position_embeddings = positionBiasedInput ? new Embedding(device, maxPositionEmbeddings, H) : null;
    this.token_type_embeddings = typeVocabSize > 0 ? new Embedding(device, typeVocabSize, H) : null;
    this.LayerNorm = new LayerNorm(device, H, { eps: config.layerNormEps });
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  get maxLength(): number {
    return this.config.maxPositionEmbeddings;
  }

  forward({ inputIds, attentionMask, tokenTypeIds, positionIds }: ModelInputs): Tensor {
    const { position_embeddings: positions, token_type_embeddings: types } = this;
    const length = inputIds.shape[1]!;
    if (positions !== null) {
      if (positionIds !== undefined) checkRange('positionIds', positionIds, this.maxLength);
      else if (length > this.maxLength)
        throw new ConfigError(
          `a sequence of ${length} tokens is longer than the model's ${this.maxLength} positions`,
          {
            remedy: 'truncate the text (truncation: true, or a smaller maxLength)',
          },
        );
    }
    if (types !== null && tokenTypeIds !== undefined)
      checkRange('tokenTypeIds', tokenTypeIds, this.config.typeVocabSize);
    return inputIds.device.tidy(() => {
      let sum = this.word_embeddings.forward(inputIds);
      if (positions !== null)
        sum = add(
          sum,
          positionIds === undefined ? positions.forwardFirst(length) : positions.forward(positionIds),
        );
      if (types !== null)
        sum = add(sum, tokenTypeIds === undefined ? types.forwardFirst(1) : types.forward(tokenTypeIds));
      const normal = this.LayerNorm.forward(sum);
      const shown =
        attentionMask === undefined ? normal : mul(normal, shownAs(attentionMask, [...inputIds.shape, 1]));
      return this.dropout.forward(shown);
    });
  }
}

/** Distances that embeddings tell apart, on either side. */
function spanOf({ positionBuckets, maxRelativePositions, maxPositionEmbeddings }: DebertaConfig): number {
  if (positionBuckets > 0) return positionBuckets;
  return maxRelativePositions < 1 ? maxPositionEmbeddings : maxRelativePositions;
}

/**
 * The bucket of a query's position minus a key's: the distance itself up to half of the buckets, then growing
 * as its logarithm, up to `buckets` − 1 for `most` − 1. float32, as transformers computes it.
 */
export function logBucket(distance: number, buckets: number, most: number): number {
  const { abs, ceil, fround, log, sign } = Math;
  const middle = Math.floor(buckets / 2);
  if (abs(distance) <= middle) return distance;
  const far = fround(log(fround(abs(distance) / middle)));
  const steps = fround(fround(far / fround(log(fround((most - 1) / middle)))) * (middle - 1));
  return sign(distance) * (ceil(steps) + middle);
}

/** The row of the embeddings for each distance from −(L − 1) to L − 1. */
function rowsOf(length: number, config: DebertaConfig): Int32Array {
  const { positionBuckets, maxRelativePositions, maxPositionEmbeddings } = config;
  const most = maxRelativePositions < 1 ? maxPositionEmbeddings : maxRelativePositions;
  const span = spanOf(config);
  return Int32Array.from({ length: 2 * length - 1 }, (_, at) => {
    const distance = at - length + 1;
    const place = positionBuckets > 0 ? logBucket(distance, positionBuckets, most) : distance;
    return Math.min(Math.max(place + span, 0), 2 * span - 1);
  });
}

class DisentangledSelfAttention extends SelfAttention {
  /** Projections of distances; null if those of queries and keys serve, or nothing needs them. */
  readonly pos_key_proj: Linear | null;
  readonly pos_query_proj: Linear | null;
  readonly pos_dropout: Dropout;

  constructor(
    device: Device,
    private readonly deberta: DebertaConfig,
  ) {
    super(device, deberta);
    const { hiddenSize: H, relativeAttention, shareAttKey, posAttType } = deberta;
    const project = (type: 'c2p' | 'p2c') =>
      relativeAttention && !shareAttKey && posAttType.includes(type) ? new Linear(device, H, H) : null;
    this.pos_key_proj = project('c2p');
    this.pos_query_proj = project('p2c');
    this.pos_dropout = new Dropout(deberta.hiddenDropoutProb);
  }

  override forward(x: Tensor, seen: SeenTokens): Attended {
    const { numAttentionHeads: heads, attentionProbsDropoutProb, posAttType } = this.deberta;
    const { distances } = seen as PlainlySeen;
    const more =
      distances === undefined || posAttType.length === 0
        ? undefined
        : (query: Tensor, key: Tensor) => this.distanceScores(query, key, distances);
    const dropout = this.training ? attentionProbsDropoutProb : 0;
    // The sum of as many products has the variance of one.
    return attend(this.qkv.forward(x), seen, { heads, dropout, more, products: 1 + posAttType.length });
  }

  /** Contents of queries by distances, and distances by contents of keys: [B, heads, L, L]. */
  private distanceScores(query: Tensor, key: Tensor, distances: Distances): Tensor {
    const table = this.pos_dropout.forward(distances.table);
    const { shareAttKey, posAttType, hiddenSize: H } = this.deberta;
    const both = shareAttKey ? this.qkv.forward(table) : null;
    const projected = (layer: Linear | null, first: number) =>
      both === null ? layer!.forward(table) : narrow(both, 1, first, H);
    const scores = {
      c2p: () => this.scoresOf(query, projected(this.pos_key_proj, H), distances.rows, 'query'),
      p2c: () => this.scoresOf(key, projected(this.pos_query_proj, 0), distances.rows, 'key'),
    };
    return posAttType.map((type) => scores[type]()).reduce((a, b) => add(a, b));
  }

  /** x [B, heads, L, size] by a table [n, H] of distances, of which `rows` has each one's: [B, heads, L, L]. */
  private scoresOf(x: Tensor, table: Tensor, rows: Tensor, side: DistanceRows): Tensor {
    const [batch, heads, , size] = x.shape as [number, number, number, number];
    const each = permute(reshape(embedding(table, rows), [rows.size, heads, size]), [1, 0, 2]);
    const none = to(x.device.zeros([batch, 1, 1, 1]), each.dtype as FloatDtype);
    return byDistance(matmul(x, add(each, none), { transposeB: true }), side);
  }
}

/** Embeddings of distances [2 · span, H], and the row of each distance from −(L − 1) to L − 1. */
interface Distances {
  table: Tensor;
  rows: Tensor;
}

/** transformers hides padding from keys, and everything from padding: the weights of its rows are all equal. */
function hidingPadding(mask: Tensor): Pick<PlainlySeen, 'bias' | 'queries'> {
  const [batch, length] = mask.shape as [number, number];
  const queries = shownAs(mask, [batch, 1, length, 1]);
  const both = mul(queries, shownAs(mask, [batch, 1, 1, length]));
  return { queries, bias: scale(both, 3.4e38, -3.4e38) };
}

/** Throws `ConfigError` for widths that are not those of `hidden_size`. */
function checkWidths(config: DebertaConfig): void {
  const { hiddenSize, numAttentionHeads, embeddingSize, attentionHeadSize, poolerHiddenSize } = config;
  const wanted: [string, number | null, number][] = [
    ['embedding_size', embeddingSize, hiddenSize],
    ['attention_head_size', attentionHeadSize, hiddenSize / numAttentionHeads],
    ['pooler_hidden_size', poolerHiddenSize, hiddenSize],
  ];
  for (const [name, given, usual] of wanted)
    if (given !== null && given !== usual)
      throw new ConfigError(`${name} ${given} is not supported`, {
        remedy: `hidden_size ${hiddenSize} gives ${usual}, the only width that is`,
      });
}

export class DebertaEncoder extends LayerStack {
  readonly layer: readonly EncoderLayer[];
  readonly rel_embeddings: Embedding | null;
  /** Of the embeddings of distances; null unless `norm_rel_ebd` asks for it. */
  readonly LayerNorm: LayerNorm | null;

  constructor(
    device: Device,
    private readonly config: PretrainedConfig,
  ) {
    super(config);
    const deberta = config as DebertaConfig;
    checkWidths(deberta);
    const { hiddenSize: H, layerNormEps: eps, numHiddenLayers } = config;
    this.layer = Array.from(
      { length: numHiddenLayers },
      () => new EncoderLayer(device, config, { self: new DisentangledSelfAttention(device, deberta) }),
    );
    this.rel_embeddings = deberta.relativeAttention ? new Embedding(device, 2 * spanOf(deberta), H) : null;
    const norms = deberta.normRelEbd
      .toLowerCase()
      .split('|')
      .map((name) => name.trim());
    this.LayerNorm = norms.includes('layer_norm') ? new LayerNorm(device, H, { eps }) : null;
  }

  override order(): readonly EncoderLayer[] {
    return this.layer;
  }

  /** The embeddings of distances thaw with the first layer. */
  override groups(): Module[][] {
    const groups: Module[][] = [...this.layer].reverse().map((layer) => [layer]);
    const own = [this.rel_embeddings, this.LayerNorm].filter((part) => part !== null);
    groups.at(-1)!.push(...own);
    return groups;
  }

  protected override plainly(length: number, mask: Tensor | undefined): PlainlySeen {
    const seen = { plain: true, mask: undefined, ...(mask && hidingPadding(mask)) } as const;
    const { rel_embeddings: table } = this;
    if (table === null) return seen;
    const rows = table.weight.device.tensor(rowsOf(length, this.config as DebertaConfig));
    const normal = this.LayerNorm === null ? table.weight : this.LayerNorm.forward(table.weight);
    return { ...seen, distances: { table: normal, rows } };
  }
}

export class DebertaV2Model extends encoderModel({
  prefix: 'deberta',
  config: keys,
  names,
  Embeddings: DebertaEmbeddings,
  Encoder: DebertaEncoder,
  pooler: false,
}) {}

/** Dropout, dense, activation of the first token. */
class ContextPooler extends Module {
  readonly dense: Linear;
  readonly dropout: Dropout;
  private readonly activation: Activation;

  constructor(device: Device, { hiddenSize, poolerDropout, poolerHiddenAct }: DebertaConfig) {
    super();
    this.dense = new Linear(device, hiddenSize, hiddenSize);
    this.dropout = new Dropout(poolerDropout);
    this.activation = activationOf(poolerHiddenAct);
  }

  /** [B, L, H] → [B, H]. */
  forward(states: Tensor): Tensor {
    return this.dense.forwardActivated(this.dropout.forward(select(states, 1, 0)), this.activation);
  }
}

const pooled = head({
  parts: (config, device) => ({
    pooler: new ContextPooler(device, config as DebertaConfig),
    classifier: new Linear(device, config.hiddenSize, config.numLabels),
    dropout: classifierDropout(config),
  }),
  logits: ({ pooler, classifier, dropout }, { lastHiddenState }) =>
    classifier.forward(dropout.forward(pooler.forward(lastHiddenState))),
  classLayer: 'classifier',
});

/** The dropout is the encoder's, whatever the classifier's. */
const eachToken = head({
  parts: (config, device) => ({
    dropout: new Dropout(config.hiddenDropoutProb),
    classifier: new Linear(device, config.hiddenSize, config.numLabels),
  }),
  logits: ({ dropout, classifier }, { lastHiddenState }) =>
    classifier.forward(dropout.forward(lastHiddenState)),
  classLayer: 'classifier',
});

/** Dense, activation, LayerNorm, product with the word embeddings, whether the config ties them or not. */
class NewerHead extends Module {
  readonly dense: Linear;
  readonly LayerNorm: LayerNorm;
  readonly bias: Tensor;
  private readonly activation: Activation;

  constructor(
    device: Device,
    { hiddenSize, hiddenAct, layerNormEps, vocabSize }: PretrainedConfig,
    /** Not a property: they are the base model's. */
    private readonly words: () => Tensor,
  ) {
    super();
    this.dense = new Linear(device, hiddenSize, hiddenSize);
    this.LayerNorm = new LayerNorm(device, hiddenSize, { eps: layerNormEps });
    this.bias = biasParameter(device, vocabSize);
    this.activation = activationOf(hiddenAct);
  }

  forward(x: Tensor): Tensor {
    const normal = this.LayerNorm.forward(this.dense.forwardActivated(x, this.activation));
    return linear(normal, this.words(), this.bias);
  }
}

const vocabulary = head<{ lm_head?: LmHead; newer_head?: NewerHead }>({
  parts: (config, device, { wordEmbeddings }) =>
    (config as DebertaConfig).legacy
      ? { lm_head: new LmHead(device, config, wordEmbeddings.weight, config.hiddenAct) }
      : { newer_head: new NewerHead(device, config, () => wordEmbeddings.weight) },
  logits: ({ lm_head, newer_head }, { lastHiddenState }) => (lm_head ?? newer_head!).forward(lastHiddenState),
});

export class DebertaV2ForSequenceClassification extends sequenceClassification(DebertaV2Model, pooled) {}
export class DebertaV2ForTokenClassification extends tokenClassification(DebertaV2Model, eachToken) {}
export class DebertaV2ForQuestionAnswering extends questionAnswering(DebertaV2Model, answerSpan) {}
export class DebertaV2ForMaskedLM extends maskedLm(DebertaV2Model, vocabulary) {}
export class DebertaV2ForMultipleChoice extends multipleChoice(DebertaV2Model, rating(pooled)) {}

export const debertaV2 = {
  modelType: 'deberta-v2',
  config: keys,
  Model: DebertaV2Model,
  tasks: {
    sequenceClassification: DebertaV2ForSequenceClassification,
    tokenClassification: DebertaV2ForTokenClassification,
    questionAnswering: DebertaV2ForQuestionAnswering,
    maskedLm: DebertaV2ForMaskedLM,
    multipleChoice: DebertaV2ForMultipleChoice,
  },
  tokenizerDefaults: { tokenizer_class: 'DebertaV2Tokenizer' },
} as const satisfies Family;

declareOwn(DebertaEmbeddings, DisentangledSelfAttention, DebertaEncoder, ContextPooler, NewerHead);
