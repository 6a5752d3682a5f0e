/** ELECTRA (Clark et al., 2020): BERT's encoder, trained to tell which tokens a small generator replaced. */
import * as v from 'valibot';
import { ConfigError, ShapeError } from '../errors.ts';
import type { Activation } from '../kernels/activations.ts';
import { Dropout, LayerNorm, Linear } from '../nn/layers.ts';
import { declarePure, Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import { activate } from '../tensor/ops/elementwise.ts';
import { bceWithLogits } from '../tensor/ops/loss.ts';
import { reshape, select } from '../tensor/ops/view.ts';
import { formatShape, sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { activationOf } from './common/activations.ts';
import { encoderModel } from './common/base-model.ts';
import { type ConfigValues, encoderKeys, type PretrainedConfig } from './common/config.ts';
import { type FactorizedConfig, FactorizedEmbeddings, factorizedKeys } from './common/factorized.ts';
import type { Family } from './common/family.ts';
import { answerSpan, decoderOf, eachToken, gatherPositions, head } from './common/heads.ts';
import { hostValues } from './common/inputs.ts';
import { activation, flag, key, probability } from './common/keys.ts';
import { multipleChoice } from './common/multiple-choice.ts';
import {
  type LabelledInputs,
  maskedLm,
  questionAnswering,
  sequenceClassification,
  TaskModel,
  taskFactory,
  tokenClassification,
} from './common/tasks.ts';
import type { NameRule } from './files/weight-names.ts';
import { firstTokenBy } from './roberta.ts';

const summaryTypes = ['first', 'last', 'mean', 'cls_index', 'attn'] as const;
const keys = {
  ...encoderKeys,
  ...factorizedKeys,
  hiddenSize: { ...encoderKeys.hiddenSize, default: 256 },
  numAttentionHeads: { ...encoderKeys.numAttentionHeads, default: 4 },
  intermediateSize: { ...encoderKeys.intermediateSize, default: 1024 },
  summaryType: key('summary_type', v.picklist(summaryTypes), 'first'),
  summaryUseProj: key('summary_use_proj', flag, true),
  summaryActivation: key('summary_activation', v.nullable(activation), 'gelu'),
  summaryLastDropout: key('summary_last_dropout', probability, 0.1),
} as const;

type ElectraConfig = FactorizedConfig & ConfigValues<typeof keys>;

const names: readonly NameRule[] = [['embeddings.projection', 'embeddings_project']];

class ElectraEmbeddings extends FactorizedEmbeddings {
  constructor(device: Device, config: PretrainedConfig) {
    super(device, config, false);
  }
}

export class ElectraModel extends encoderModel({
  prefix: 'electra',
  config: keys,
  names,
  Embeddings: ElectraEmbeddings,
  pooler: false,
}) {}

/** Dense, GELU, LayerNorm, as wide as the embeddings. */
class GeneratorPredictions extends Module {
  readonly LayerNorm: LayerNorm;
  readonly dense: Linear;

  constructor(device: Device, { hiddenSize, embeddingSize, layerNormEps }: FactorizedConfig) {
    super();
    this.LayerNorm = new LayerNorm(device, embeddingSize, { eps: layerNormEps });
    this.dense = new Linear(device, hiddenSize, embeddingSize);
  }

  /** [..., H] → [..., embeddingSize]. */
  forward(x: Tensor): Tensor {
    return this.LayerNorm.forward(this.dense.forwardActivated(x, 'gelu'));
  }
}

const generator = head({
  parts: (config: ElectraConfig, device, { wordEmbeddings }) => ({
    generator_predictions: new GeneratorPredictions(device, config),
    generator_lm_head: decoderOf(device, config, wordEmbeddings.weight),
  }),
  logits: ({ generator_predictions, generator_lm_head }, { lastHiddenState }) =>
    generator_lm_head.forward(generator_predictions.forward(lastHiddenState)),
});

/** Dense, activation, projection of every token to one number. */
class DiscriminatorPredictions extends Module {
  readonly dense: Linear;
  readonly dense_prediction: Linear;
  private readonly activation: Activation;

  constructor(device: Device, { hiddenSize, hiddenAct }: PretrainedConfig) {
    super();
    this.dense = new Linear(device, hiddenSize, hiddenSize);
    this.dense_prediction = new Linear(device, hiddenSize, 1);
    this.activation = activationOf(hiddenAct);
  }

  /** [B, L, H] → [B, L]. */
  forward(x: Tensor): Tensor {
    const rated = this.dense_prediction.forward(this.dense.forwardActivated(x, this.activation));
    return reshape(rated, rated.shape.slice(0, -1));
  }
}

const discriminator = head({
  parts: (config, device) => ({ discriminator_predictions: new DiscriminatorPredictions(device, config) }),
  logits: ({ discriminator_predictions }, { lastHiddenState }) =>
    discriminator_predictions.forward(lastHiddenState),
});

/**
 * Logits [B, L], above zero for a token that was replaced; labels int32 [B, L], 1 for such a token and 0 for
 * others. The loss is the mean over the tokens that the mask shows.
 */
class ReplacedTokens extends TaskModel {
  protected override loss(logits: Tensor, labels: Tensor, { attentionMask: mask }: LabelledInputs): Tensor {
    const where = `${this.architecture}.forward`;
    if (!sameShape(labels.shape, logits.shape))
      throw new ShapeError(
        `${where}: labels ${formatShape(labels.shape)} do not fit inputIds ${formatShape(logits.shape)}`,
      );
    const shown =
      mask === undefined ? new Int32Array(logits.size).fill(1) : hostValues(`${where}: attentionMask`, mask);
    const values = hostValues(`${where}: labels`, labels);
    const places = Array.from(shown.keys()).filter((at) => shown[at] === 1);
    const stray = places.map((at) => values[at]!).find((value) => value !== 0 && value !== 1);
    if (stray !== undefined)
      throw new ShapeError(`${where}: label ${stray} is neither 0 (as it was) nor 1 (replaced)`);
    const attended = gatherPositions(
      reshape(logits, [...logits.shape, 1]),
      this.device.tensor(Int32Array.from(places)),
    );
    const wanted = this.device.tensor(
      Float32Array.from(places, (at) => values[at]!),
      [places.length, 1],
    );
    return bceWithLogits(attended, wanted);
  }
}

const replacedTokens = taskFactory(ReplacedTokens, false);

/** transformers' summary of a text as one vector: the first token, dense, activation, dropout. */
class SequenceSummary extends Module {
  /** null without `summary_use_proj`. */
  readonly summary: Linear | null;
  readonly last_dropout: Dropout;
  private readonly activation: Activation;

  constructor(device: Device, config: ElectraConfig) {
    super();
    const { hiddenSize, summaryType, summaryUseProj, summaryActivation, summaryLastDropout } = config;
    if (summaryType !== 'first')
      throw new ConfigError(`summary_type '${summaryType}' is not supported`, { remedy: "only 'first' is" });
    this.summary = summaryUseProj ? new Linear(device, hiddenSize, hiddenSize) : null;
    this.activation = summaryActivation === null ? 'none' : activationOf(summaryActivation);
    this.last_dropout = new Dropout(summaryLastDropout);
  }

  /** [B, L, H] → [B, H]. */
  forward(states: Tensor): Tensor {
    const { summary, activation } = this;
    const first = select(states, 1, 0);
    const dense =
      summary === null ? activate(first, activation) : summary.forwardActivated(first, activation);
    return this.last_dropout.forward(dense);
  }
}

declarePure(ElectraEmbeddings, GeneratorPredictions, DiscriminatorPredictions, SequenceSummary);

const summarized = head({
  parts: (config: ElectraConfig, device) => ({
    sequence_summary: new SequenceSummary(device, config),
    classifier: new Linear(device, config.hiddenSize, 1),
  }),
  logits: ({ sequence_summary, classifier }, { lastHiddenState }) =>
    classifier.forward(sequence_summary.forward(lastHiddenState)),
});

export class ElectraForSequenceClassification extends sequenceClassification(
  ElectraModel,
  firstTokenBy('gelu'),
) {}
export class ElectraForTokenClassification extends tokenClassification(ElectraModel, eachToken) {}
export class ElectraForQuestionAnswering extends questionAnswering(ElectraModel, answerSpan) {}
export class ElectraForMaskedLM extends maskedLm(ElectraModel, generator) {}
export class ElectraForMultipleChoice extends multipleChoice(ElectraModel, summarized) {}
export class ElectraForPreTraining extends replacedTokens(ElectraModel, discriminator) {}

export const electra = {
  modelType: 'electra',
  className: 'Electra',
  config: keys,
  Model: ElectraModel,
  tasks: {
    sequenceClassification: ElectraForSequenceClassification,
    tokenClassification: ElectraForTokenClassification,
    questionAnswering: ElectraForQuestionAnswering,
    maskedLm: ElectraForMaskedLM,
    multipleChoice: ElectraForMultipleChoice,
    preTraining: ElectraForPreTraining,
  },
  tokenizerDefaults: { tokenizer_class: 'BertTokenizer' },
} as const satisfies Family;
