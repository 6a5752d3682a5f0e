/** ALBERT (Lan et al., 2020): BERT with layers that share weights, and embeddings narrower than the encoder. */
import { type Dropout, Linear } from '../nn/layers.ts';
import { declarePure, Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { encoderModel } from './common/base-model.ts';
import { type ConfigValues, encoderKeys, type PretrainedConfig } from './common/config.ts';
import { EncoderLayer, LayerStack } from './common/encoder.ts';
import { FactorizedEmbeddings, factorizedKeys } from './common/factorized.ts';
import type { Family } from './common/family.ts';
import { answerSpan, classifierDropout, eachToken, pooled, vocabulary } from './common/heads.ts';
import { fixed, key, layers } from './common/keys.ts';
import { multipleChoice, rating } from './common/multiple-choice.ts';
import { pairHead, pairPreTraining } from './common/pair-pretraining.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import type { NameRule } from './files/weight-names.ts';

const keys = {
  ...encoderKeys,
  ...factorizedKeys,
  vocabSize: { ...encoderKeys.vocabSize, default: 30000 },
  hiddenSize: { ...encoderKeys.hiddenSize, default: 4096 },
  numAttentionHeads: { ...encoderKeys.numAttentionHeads, default: 64 },
  intermediateSize: { ...encoderKeys.intermediateSize, default: 16384 },
  hiddenAct: { ...encoderKeys.hiddenAct, default: 'gelu_new' },
  hiddenDropoutProb: { ...encoderKeys.hiddenDropoutProb, default: 0 },
  attentionProbsDropoutProb: { ...encoderKeys.attentionProbsDropoutProb, default: 0 },
  classifierDropout: { ...encoderKeys.classifierDropout, json: 'classifier_dropout_prob', default: 0.1 },
  // With relative positions, transformers 4 scaled ALBERT's scores in another way than BERT's.
  positionEmbeddingType: fixed<'absolute'>('absolute'),
  /** The layers are divided among as many groups; those of a group share weights. */
  numHiddenGroups: key('num_hidden_groups', layers, 1),
  /** Layers, each with weights of its own, that a group computes in the place of one. */
  innerGroupNum: key('inner_group_num', layers, 1),
} as const;

type AlbertConfig = PretrainedConfig & ConfigValues<typeof keys>;

const names: readonly NameRule[] = [
  ['embeddings.projection', 'encoder.embedding_hidden_mapping_in'],
  ['attention.self.query', 'attention.query'],
  ['attention.self.key', 'attention.key'],
  ['attention.self.value', 'attention.value'],
  ['attention.output.dense', 'attention.dense'],
  ['attention.output.LayerNorm', 'attention.LayerNorm'],
  ['intermediate.dense', 'ffn'],
  ['output.dense', 'ffn_output'],
  ['output.LayerNorm', 'full_layer_layer_norm'],
  ['pooler.dense', 'pooler'],
  ['lm_head.layer_norm', 'predictions.LayerNorm'],
  ['lm_head', 'predictions'],
];

class AlbertEmbeddings extends FactorizedEmbeddings {
  constructor(device: Device, config: PretrainedConfig) {
    super(device, config, true);
  }
}

class AlbertLayerGroup extends Module {
  readonly albert_layers: readonly EncoderLayer[];

  constructor(device: Device, config: AlbertConfig) {
    super();
    // transformers drops nothing after the feed-forward part.
    const layer = () => new EncoderLayer(device, config, { outerDropout: 0 });
    this.albert_layers = Array.from({ length: config.innerGroupNum }, layer);
  }
}

/** Groups of layers, each used for several layers in turn. */
export class AlbertEncoder extends LayerStack {
  readonly albert_layer_groups: readonly AlbertLayerGroup[];
  private readonly perGroup: number;
  private readonly depth: number;

  constructor(device: Device, config: PretrainedConfig) {
    super(config);
    const albert = config as AlbertConfig;
    const { numHiddenLayers, numHiddenGroups } = albert;
    this.depth = numHiddenLayers;
    this.perGroup = numHiddenLayers / numHiddenGroups;
    const group = () => new AlbertLayerGroup(device, albert);
    this.albert_layer_groups = Array.from({ length: numHiddenGroups }, group);
  }

  override order(): readonly EncoderLayer[] {
    const groupOf = (layer: number) => this.albert_layer_groups[Math.floor(layer / this.perGroup)]!;
    return Array.from({ length: this.depth }, (_, layer) => groupOf(layer).albert_layers).flat();
  }

  override groups(): Module[][] {
    return [...this.albert_layer_groups].reverse().map((group) => [group]);
  }
}

export class AlbertModel extends encoderModel({
  prefix: 'albert',
  config: keys,
  names,
  Embeddings: AlbertEmbeddings,
  Encoder: AlbertEncoder,
}) {}

/** Dropout and projection of the pooled first token: which of two texts came first. */
class SentenceOrderHead extends Module {
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor(device: Device, config: PretrainedConfig) {
    super();
    this.dropout = classifierDropout(config);
    this.classifier = new Linear(device, config.hiddenSize, config.numLabels);
  }

  /** [B, H] → [B, 2]. */
  forward(x: Tensor): Tensor {
    return this.classifier.forward(this.dropout.forward(x));
  }
}

declarePure(AlbertEmbeddings, AlbertLayerGroup, AlbertEncoder, SentenceOrderHead);

const tokensAndOrder = pairHead((config, device) => ({
  sop_classifier: new SentenceOrderHead(device, config),
}));

/** `sentenceOrderLabel`: 0 for a pair in order, 1 for one whose texts changed places. */
const sentenceOrder = pairPreTraining({
  part: 'sop_classifier',
  label: 'sentenceOrderLabel',
  logits: 'sopLogits',
});

export class AlbertForSequenceClassification extends sequenceClassification(AlbertModel, pooled) {}
export class AlbertForTokenClassification extends tokenClassification(AlbertModel, eachToken) {}
export class AlbertForQuestionAnswering extends questionAnswering(AlbertModel, answerSpan) {}
export class AlbertForMaskedLM extends maskedLm(AlbertModel, vocabulary()) {}
export class AlbertForMultipleChoice extends multipleChoice(AlbertModel, rating(pooled)) {}
export class AlbertForPreTraining extends sentenceOrder(AlbertModel, tokensAndOrder) {}

export const albert = {
  modelType: 'albert',
  className: 'Albert',
  config: keys,
  Model: AlbertModel,
  tasks: {
    sequenceClassification: AlbertForSequenceClassification,
    tokenClassification: AlbertForTokenClassification,
    questionAnswering: AlbertForQuestionAnswering,
    maskedLm: AlbertForMaskedLM,
    multipleChoice: AlbertForMultipleChoice,
    preTraining: AlbertForPreTraining,
  },
  tokenizerDefaults: { tokenizer_class: 'AlbertTokenizer' },
} as const satisfies Family;
