/** RoBERTa (Liu et al., 2019): positions that count from the padding id, and heads of its own. */
import type { Activation } from '../kernels/activations.ts';
import { type Dropout, Linear } from '../nn/layers.ts';
import { declarePure, Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import { positionIds } from '../tensor/ops/embedding.ts';
import { narrow, select } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { encoderModel } from './common/base-model.ts';
import { type ConfigTable, encoderKeys, type PretrainedConfig } from './common/config.ts';
import { Embeddings } from './common/embeddings.ts';
import type { Family } from './common/family.ts';
import { answerSpan, classifierDropout, eachToken, head, pooled, vocabulary } from './common/heads.ts';
import type { ModelInputs } from './common/inputs.ts';
import { multipleChoice, rating } from './common/multiple-choice.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';

/** Of the families with RoBERTa's model, which have vocabularies of their own. */
export const relativeKeys = {
  ...encoderKeys,
  padTokenId: { ...encoderKeys.padTokenId, default: 1 },
} as const;
const keys = { ...relativeKeys, vocabSize: { ...encoderKeys.vocabSize, default: 50265 } } as const;

/** Positions begin after the padding id, and padding keeps that id. */
export class RobertaEmbeddings extends Embeddings {
  constructor(device: Device, config: PretrainedConfig) {
    super(device, config, { positionPadding: config.padTokenId ?? 1 });
  }

  private get padding(): number {
    return this.config.padTokenId ?? 1;
  }

  override get maxLength(): number {
    return this.config.maxPositionEmbeddings - this.padding - 1;
  }

  protected override positions({ inputIds, inputsEmbeds }: ModelInputs): Tensor {
    const { padding, position_embeddings: places } = this;
    if (inputIds !== undefined) return places!.forward(positionIds(inputIds, padding));
    // Embeddings do not show which tokens are padding.
    const length = inputsEmbeds!.shape[1]!;
    return narrow(places!.forwardFirst(padding + 1 + length), 0, padding + 1, length);
  }
}

/** RoBERTa's base model, for every family that has it. */
export function robertaModel(config: ConfigTable) {
  return encoderModel({ prefix: 'roberta', config, Embeddings: RobertaEmbeddings });
}

export class RobertaModel extends robertaModel(keys) {}

/** Dropout, dense, activation, dropout, projection of the first token. */
export class ClassificationHead extends Module {
  readonly dense: Linear;
  readonly dropout: Dropout;
  readonly out_proj: Linear;
  private readonly activation: Activation;

  constructor(device: Device, config: PretrainedConfig, activation: Activation) {
    super();
    this.activation = activation;
    this.dense = new Linear(device, config.hiddenSize, config.hiddenSize);
    this.dropout = classifierDropout(config);
    this.out_proj = new Linear(device, config.hiddenSize, config.numLabels);
  }

  /** [B, L, H] → [B, labels]. */
  forward(states: Tensor): Tensor {
    const first = this.dropout.forward(select(states, 1, 0));
    return this.out_proj.forward(this.dropout.forward(this.dense.forwardActivated(first, this.activation)));
  }
}

declarePure(RobertaEmbeddings, ClassificationHead);

export const firstTokenBy = (activation: Activation) =>
  head({
    parts: (config, device) => ({ classifier: new ClassificationHead(device, config, activation) }),
    logits: ({ classifier }, { lastHiddenState }) => classifier.forward(lastHiddenState),
    classLayer: 'classifier.out_proj',
  });
export const firstToken = firstTokenBy('tanh');

/** Dropout as in the encoder, whatever the classifier's. */
export const pooledRating = rating(pooled, { classifierDropout: null });

export class RobertaForSequenceClassification extends sequenceClassification(RobertaModel, firstToken) {}
export class RobertaForTokenClassification extends tokenClassification(RobertaModel, eachToken) {}
export class RobertaForQuestionAnswering extends questionAnswering(RobertaModel, answerSpan) {}
export class RobertaForMaskedLM extends maskedLm(RobertaModel, vocabulary('gelu')) {}
export class RobertaForMultipleChoice extends multipleChoice(RobertaModel, pooledRating) {}

export const roberta = {
  modelType: 'roberta',
  className: 'Roberta',
  config: keys,
  Model: RobertaModel,
  tasks: {
    sequenceClassification: RobertaForSequenceClassification,
    tokenClassification: RobertaForTokenClassification,
    questionAnswering: RobertaForQuestionAnswering,
    maskedLm: RobertaForMaskedLM,
    multipleChoice: RobertaForMultipleChoice,
  },
  tokenizerDefaults: { tokenizer_class: 'RobertaTokenizer' },
} as const satisfies Family;
