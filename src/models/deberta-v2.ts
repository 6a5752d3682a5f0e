/**
 * DeBERTa version 2 and 3 (He et al., 2021; 2023): attention whose scores are products of contents, and of
 * contents with embeddings of distances, in logarithmic buckets.
 */
import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { Activation } from '../kernels/activations.ts';
import { biasParameter, Dropout, Embedding, LayerNorm, Linear } from '../nn/layers.ts';
import { declarePure, Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import { mul } from '../tensor/ops/elementwise.ts';
import { linear } from '../tensor/ops/matmul.ts';
import { narrow, select } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { activationOf } from './common/activations.ts';
import { type BaseModel, encoderModel } from './common/base-model.ts';
import { type ConfigValues, encoderKeys, type PretrainedConfig } from './common/config.ts';
import {
  DisentangledSelfAttention,
  disentangledKeys,
  hidingPadding,
  rowsOf,
  spanOf,
} from './common/disentangled.ts';
import { Embeddings } from './common/embeddings.ts';
import { EncoderLayer, LayerStack, type PlainlySeen, type RelativePositions } from './common/encoder.ts';
import type { Family } from './common/family.ts';
import { answerSpan, classifierDropout, head, LmHead } from './common/heads.ts';
import { hidingMask, type ModelInputs, shownAs } from './common/inputs.ts';
import { activation, fixed, flag, index, key, probability, size } from './common/keys.ts';
import type { LengthRule } from './common/length-tables.ts';
import { multipleChoice, rating } from './common/multiple-choice.ts';
import { DistanceRule } from './common/relative-positions.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import type { NameRule } from './files/weight-names.ts';

const keys = {
  ...encoderKeys,
  ...disentangledKeys,
  vocabSize: { ...encoderKeys.vocabSize, default: 128100 },
  hiddenSize: { ...encoderKeys.hiddenSize, default: 1536 },
  numHiddenLayers: { ...encoderKeys.numHiddenLayers, default: 24 },
  numAttentionHeads: { ...encoderKeys.numAttentionHeads, default: 24 },
  intermediateSize: { ...encoderKeys.intermediateSize, default: 6144 },
  layerNormEps: { ...encoderKeys.layerNormEps, default: 1e-7 },
  typeVocabSize: key('type_vocab_size', index, 0),
  classifierDropout: { ...encoderKeys.classifierDropout, json: 'cls_dropout', omitted: true },
  positionEmbeddingType: fixed<'absolute'>('absolute'),
  /** Whether positions are added to the embeddings, too. */
  positionBiasedInput: key('position_biased_input', flag, true),
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

/** BERT's, with positions and token types if the config has them; zeros for padding. */
class DebertaEmbeddings extends Embeddings {
  constructor(device: Device, config: PretrainedConfig) {
    super(device, config, { places: (config as DebertaConfig).positionBiasedInput });
  }

  protected override normalized(sum: Tensor, { attentionMask }: ModelInputs): Tensor {
    const normal = this.LayerNorm.forward(sum);
    const mask = hidingMask(attentionMask);
    return mask === undefined ? normal : mul(normal, shownAs(mask, [...mask.shape, 1]));
  }
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
  private readonly rows: LengthRule;
  /** null if scores do not depend on distances. */
  private readonly byDistance: DistanceRule | null;

  constructor(device: Device, config: PretrainedConfig) {
    super(config);
    const deberta = config as DebertaConfig;
    this.rows = rowsOf(deberta);
    const depends = deberta.relativeAttention && deberta.posAttType.length > 0;
    this.byDistance = depends ? new DistanceRule(this.rows, 2 * spanOf(deberta)) : null;
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

  protected override plainly(device: Device, length: number, mask: Tensor | undefined): PlainlySeen {
    const seen = { plain: true, ...(mask && hidingPadding(mask)) } as const;
    const { rel_embeddings: table } = this;
    if (table === null) return seen;
    const rows = this.tables.of(device, length, this.rows);
    return { ...seen, plainDistances: { table: this.normalized(table), rows } };
  }

  private normalized({ weight }: Embedding): Tensor {
    return this.LayerNorm === null ? weight : this.LayerNorm.forward(weight);
  }

  override get knowsDistances(): boolean {
    return true;
  }

  protected override relative(device: Device, length: number, mask: Tensor | undefined): RelativePositions {
    const { rel_embeddings: embeddings } = this;
    const hiding = hidingMask(mask);
    const shown = hiding && shownAs(hiding, [...hiding.shape, 1]);
    if (embeddings === null || this.byDistance === null) return { shown };
    const distances = this.byDistance.of(this.tables, device, length);
    const { low, count } = distances;
    const table = narrow(this.normalized(embeddings), 0, low, count);
    return { shown, distances: { ...distances, table } };
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

  constructor(device: Device, { hiddenSize, hiddenAct, layerNormEps, vocabSize }: PretrainedConfig) {
    super();
    this.dense = new Linear(device, hiddenSize, hiddenSize);
    this.LayerNorm = new LayerNorm(device, hiddenSize, { eps: layerNormEps });
    this.bias = biasParameter(device, vocabSize);
    this.activation = activationOf(hiddenAct);
  }

  /** `words`: the base model's embeddings. */
  forward(x: Tensor, words: Embedding): Tensor {
    const normal = this.LayerNorm.forward(this.dense.forwardActivated(x, this.activation));
    return linear(normal, words.weight, this.bias);
  }
}

declarePure(DebertaEmbeddings, DebertaEncoder, ContextPooler, NewerHead);

/** `base`: the model's own, which `logits` reads beside its parts. */
const vocabulary = head<{ lm_head?: LmHead; newer_head?: NewerHead; base?: BaseModel }>({
  parts: (config, device, { wordEmbeddings }) =>
    (config as DebertaConfig).legacy
      ? { lm_head: new LmHead(device, config, wordEmbeddings.weight, config.hiddenAct) }
      : { newer_head: new NewerHead(device, config) },
  logits: ({ lm_head, newer_head, base }, { lastHiddenState }) =>
    lm_head?.forward(lastHiddenState) ?? newer_head!.forward(lastHiddenState, base!.wordEmbeddings),
});

export class DebertaV2ForSequenceClassification extends sequenceClassification(DebertaV2Model, pooled) {}
export class DebertaV2ForTokenClassification extends tokenClassification(DebertaV2Model, eachToken) {}
export class DebertaV2ForQuestionAnswering extends questionAnswering(DebertaV2Model, answerSpan) {}
export class DebertaV2ForMaskedLM extends maskedLm(DebertaV2Model, vocabulary) {}
export class DebertaV2ForMultipleChoice extends multipleChoice(DebertaV2Model, rating(pooled)) {}

export const debertaV2 = {
  modelType: 'deberta-v2',
  className: 'DebertaV2',
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
