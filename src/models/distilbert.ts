/** DistilBERT (Sanh et al., 2019): BERT's encoder under other names, without token types and pooler. */
import { Dropout, LayerNorm, Linear } from '../nn/layers.ts';
import { select } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { activationOf } from './common/activations.ts';
import { encoderModel } from './common/base-model.ts';
import { type ConfigValues, encoderKeys, type PretrainedConfig } from './common/config.ts';
import { Embeddings } from './common/embeddings.ts';
import type { Family } from './common/family.ts';
import { decoderOf, eachToken, head } from './common/heads.ts';
import { fixed, flag, key, probability } from './common/keys.ts';
import { multipleChoice, rating } from './common/multiple-choice.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import type { NameRule } from './files/weight-names.ts';

const keys = {
  ...encoderKeys,
  hiddenSize: { ...encoderKeys.hiddenSize, json: 'dim' },
  numHiddenLayers: { ...encoderKeys.numHiddenLayers, json: 'n_layers', default: 6 },
  numAttentionHeads: { ...encoderKeys.numAttentionHeads, json: 'n_heads' },
  intermediateSize: { ...encoderKeys.intermediateSize, json: 'hidden_dim' },
  hiddenAct: { ...encoderKeys.hiddenAct, json: 'activation' },
  hiddenDropoutProb: { ...encoderKeys.hiddenDropoutProb, json: 'dropout' },
  attentionProbsDropoutProb: { ...encoderKeys.attentionProbsDropoutProb, json: 'attention_dropout' },
  seqClassifDropout: key('seq_classif_dropout', probability, 0.2),
  qaDropout: key('qa_dropout', probability, 0.1),
  sinusoidalPosEmbds: key('sinusoidal_pos_embds', flag, false),
  classifierDropout: fixed(null),
  layerNormEps: fixed(1e-12),
  positionEmbeddingType: fixed<'absolute'>('absolute'),
  typeVocabSize: fixed(0),
} as const;

type DistilBertConfig = PretrainedConfig & ConfigValues<typeof keys>;

const names: readonly NameRule[] = [
  ['encoder.layer', 'transformer.layer'],
  ['attention.self.query', 'attention.q_lin'],
  ['attention.self.key', 'attention.k_lin'],
  ['attention.self.value', 'attention.v_lin'],
  ['attention.output.dense', 'attention.out_lin'],
  ['attention.output.LayerNorm', 'sa_layer_norm'],
  ['intermediate.dense', 'ffn.lin1'],
  ['output.dense', 'ffn.lin2'],
  ['output.LayerNorm', 'output_layer_norm'],
];

/** Sines and cosines of falling frequency, [positions, width]; each pair of columns has one frequency. */
function sinusoids(positions: number, width: number): Float32Array {
  return Float32Array.from({ length: positions * width }, (_, i) => {
    const column = i % width;
    const angle = Math.floor(i / width) / 10000 ** ((2 * Math.floor(column / 2)) / width);
    return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
}

export class DistilBertModel extends encoderModel({
  prefix: 'distilbert',
  config: keys,
  names,
  Embeddings,
  pooler: false,
}) {
  /** Position embeddings start sinusoidal on request; they learn all the same, as in transformers. */
  initOwnWeights(which?: ReadonlySet<Tensor>): void {
    const { sinusoidalPosEmbds, maxPositionEmbeddings, hiddenSize } = this.config as DistilBertConfig;
    const { weight } = this.embeddings.position_embeddings!;
    if (sinusoidalPosEmbds && which?.has(weight) !== false)
      weight.write(sinusoids(maxPositionEmbeddings, hiddenSize));
  }
}

/** Dense, ReLU, dropout, projection of the first token. */
const firstToken = head({
  parts: (config: DistilBertConfig, device) => ({
    pre_classifier: new Linear(device, config.hiddenSize, config.hiddenSize),
    classifier: new Linear(device, config.hiddenSize, config.numLabels),
    dropout: new Dropout(config.seqClassifDropout),
  }),
  logits: ({ pre_classifier, classifier, dropout }, { lastHiddenState }) =>
    classifier.forward(dropout.forward(pre_classifier.forward(select(lastHiddenState, 1, 0), 'relu'))),
  classLayer: 'classifier',
});

const answerSpan = head({
  parts: (config: DistilBertConfig, device) => ({
    qa_outputs: new Linear(device, config.hiddenSize, config.numLabels),
    dropout: new Dropout(config.qaDropout),
  }),
  logits: ({ qa_outputs, dropout }, { lastHiddenState }) =>
    qa_outputs.forward(dropout.forward(lastHiddenState)),
});

const vocabulary = head({
  parts: (config, device, { wordEmbeddings }) => ({
    activation: activationOf(config.hiddenAct),
    vocab_transform: new Linear(device, config.hiddenSize, config.hiddenSize),
    vocab_layer_norm: new LayerNorm(device, config.hiddenSize, { eps: config.layerNormEps }),
    vocab_projector: decoderOf(device, config, wordEmbeddings.weight),
  }),
  logits: ({ activation, vocab_transform, vocab_layer_norm, vocab_projector }, { lastHiddenState }) =>
    vocab_projector.forward(vocab_layer_norm.forward(vocab_transform.forward(lastHiddenState, activation))),
});

export class DistilBertForSequenceClassification extends sequenceClassification(
  DistilBertModel,
  firstToken,
) {}
export class DistilBertForTokenClassification extends tokenClassification(DistilBertModel, eachToken) {}
export class DistilBertForQuestionAnswering extends questionAnswering(DistilBertModel, answerSpan) {}
export class DistilBertForMaskedLM extends maskedLm(DistilBertModel, vocabulary) {}
export class DistilBertForMultipleChoice extends multipleChoice(DistilBertModel, rating(firstToken)) {}

export const distilbert = {
  modelType: 'distilbert',
  className: 'DistilBert',
  config: keys,
  Model: DistilBertModel,
  tasks: {
    sequenceClassification: DistilBertForSequenceClassification,
    tokenClassification: DistilBertForTokenClassification,
    questionAnswering: DistilBertForQuestionAnswering,
    maskedLm: DistilBertForMaskedLM,
    multipleChoice: DistilBertForMultipleChoice,
  },
  tokenizerDefaults: { tokenizer_class: 'BertTokenizer' },
} as const satisfies Family;
