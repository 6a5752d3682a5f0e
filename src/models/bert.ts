/** BERT (Devlin et al., 2019). */
import type { Activation } from '../kernels/activations.ts';
import { biasParameter, LayerNorm, Linear } from '../nn/layers.ts';
import { Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { activationOf } from './common/activations.ts';
import { type BaseOptions, EncoderModel } from './common/base-model.ts';
import { encoderKeys, type PretrainedConfig } from './common/config.ts';
import { Embeddings } from './common/embeddings.ts';
import type { Family } from './common/family.ts';
import { answerSpan, classifierDropout, decoderOf, eachToken, head } from './common/heads.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';

const keys = encoderKeys;

export class BertModel extends EncoderModel<'bert'> {
  constructor(config: PretrainedConfig, options: BaseOptions) {
    super(config, options, { prefix: 'bert', config: keys, Embeddings });
  }
}

/** dropout, projection of the pooled first token. */
const pooled = head({
  parts: (config, device) => ({
    dropout: classifierDropout(config),
    classifier: new Linear(device, config.hiddenSize, config.numLabels),
  }),
  logits: ({ dropout, classifier }, { poolerOutput }) => classifier.forward(dropout.forward(poolerOutput!)),
  pooler: true,
  classLayer: 'classifier',
});

class Transform extends Module {
  readonly dense: Linear;
  readonly LayerNorm: LayerNorm;
  private readonly activation: Activation;

  constructor(device: Device, { hiddenSize, layerNormEps, hiddenAct }: PretrainedConfig) {
    super();
    this.dense = new Linear(device, hiddenSize, hiddenSize);
    this.LayerNorm = new LayerNorm(device, hiddenSize, { eps: layerNormEps });
    this.activation = activationOf(hiddenAct);
  }

  forward(x: Tensor): Tensor {
    return this.LayerNorm.forward(this.dense.forward(x, this.activation));
  }
}

class Predictions extends Module {
  readonly transform: Transform;
  /** The decoder's own if tied. Nothing reads it otherwise, but checkpoints have it all the same. */
  readonly bias: Tensor;
  readonly decoder: Linear;

  constructor(device: Device, config: PretrainedConfig, words: Tensor) {
    super();
    this.transform = new Transform(device, config);
    this.bias = biasParameter(device, config.vocabSize);
    this.decoder = decoderOf(device, config, words, this.bias);
  }

  /** [..., H] → [..., V]. */
  forward(x: Tensor): Tensor {
    return this.decoder.forward(this.transform.forward(x));
  }
}

class LmHead extends Module {
  readonly predictions: Predictions;

  constructor(device: Device, config: PretrainedConfig, words: Tensor) {
    super();
    this.predictions = new Predictions(device, config, words);
  }
}

const vocabulary = head({
  parts: (config, device, { wordEmbeddings }) => ({ cls: new LmHead(device, config, wordEmbeddings.weight) }),
  logits: ({ cls }, { lastHiddenState }) => cls.predictions.forward(lastHiddenState),
});

export class BertForSequenceClassification extends sequenceClassification(BertModel, pooled) {}
export class BertForTokenClassification extends tokenClassification(BertModel, eachToken) {}
export class BertForQuestionAnswering extends questionAnswering(BertModel, answerSpan) {}
export class BertForMaskedLM extends maskedLm(BertModel, vocabulary) {}

export const bert = {
  modelType: 'bert',
  config: keys,
  Model: BertModel,
  tasks: {
    sequenceClassification: BertForSequenceClassification,
    tokenClassification: BertForTokenClassification,
    questionAnswering: BertForQuestionAnswering,
    maskedLm: BertForMaskedLM,
  },
  tokenizerDefaults: { tokenizer_class: 'BertTokenizer' },
} as const satisfies Family;
