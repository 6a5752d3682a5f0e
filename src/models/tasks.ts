/** Models for tasks: an encoder with a head, giving logits and, with labels, a loss. */
import { ConfigError } from '../errors.ts';
import { type Dropout, Linear } from '../nn/layers.ts';
import type { OptionNames } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import { add, scale, to } from '../tensor/ops/elementwise.ts';
import { crossEntropy } from '../tensor/ops/loss.ts';
import { select } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type BaseModelOutput, BertModel, type EncoderModel, RobertaModel } from './base.ts';
import type { PretrainedConfig } from './config.ts';
import {
  BertLmHead,
  classifierDropout,
  gatherPositions,
  RobertaClassificationHead,
  RobertaLmHead,
  sequenceLoss,
  spanLoss,
} from './heads.ts';
import { checkInputs, type ModelInputs, modelInputNames } from './inputs.ts';
import { PreTrainedModel } from './pretrained.ts';

export interface LabelledInputs extends ModelInputs {
  labels?: Tensor | undefined;
}

const labelledInputNames: OptionNames<LabelledInputs> = { ...modelInputNames, labels: true };

export interface TaskOutput extends EncoderOutputs {
  /** A scalar; absent without labels. */
  loss?: Tensor;
  logits: Tensor;
}

/** What a head hands on of its encoder's result, where it was asked for. */
type EncoderOutputs = Pick<BaseModelOutput, 'hiddenStates' | 'attentions'>;

function handedOn({ hiddenStates, attentions }: BaseModelOutput): EncoderOutputs {
  return { ...(hiddenStates && { hiddenStates }), ...(attentions && { attentions }) };
}

/** The inputs that an encoder takes. */
function encoderInputs(inputs: ModelInputs): ModelInputs {
  const names = Object.entries(inputs).filter(([name]) => Object.hasOwn(modelInputNames, name));
  return Object.fromEntries(names) as unknown as ModelInputs;
}

/** A model whose result is one tensor of logits. */
export abstract class TaskModel extends PreTrainedModel {
  /** Whether the result is the same whatever the states of padding are. */
  protected readonly ignoresPadding: boolean = false;
  protected readonly inputNames: Readonly<Record<string, true>> = labelledInputNames;

  /** Throws `ShapeError` where inputs do not fit the model, `ConfigError` for an input there is not. */
  forward(inputs: LabelledInputs): TaskOutput {
    checkInputs(this.architecture, inputs, this.inputNames);
    return this.device.tidy(() => {
      const hidden = this.outputsOf(inputs).outputHiddenStates;
      const skipPadding = inputs.skipPadding ?? (this.ignoresPadding && !hidden);
      const output = this.base.forward({ ...encoderInputs(inputs), skipPadding });
      const logits = to(this.logits(output, inputs), 'float32');
      const more = handedOn(output);
      return inputs.labels === undefined
        ? { logits, ...more }
        : { loss: this.loss(logits, inputs.labels), logits, ...more };
    });
  }

  protected abstract logits(output: BaseModelOutput, inputs: LabelledInputs): Tensor;
  protected abstract loss(logits: Tensor, labels: Tensor): Tensor;
}

abstract class SequenceClassification extends TaskModel {
  protected override readonly ignoresPadding = true;

  protected override loss(logits: Tensor, labels: Tensor): Tensor {
    return sequenceLoss(this.config, logits, labels);
  }
}

/** Logits [B, labels] from the pooled first token. */
export class BertForSequenceClassification extends SequenceClassification {
  readonly bert: BertModel;
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.bert = new BertModel(config, { device });
    this.dropout = classifierDropout(config);
    this.classifier = new Linear(device, config.hiddenSize, config.numLabels);
  }

  override get base(): EncoderModel {
    return this.bert;
  }

  override get classLayer(): Linear {
    return this.classifier;
  }

  protected override logits({ poolerOutput }: BaseModelOutput): Tensor {
    return this.classifier.forward(this.dropout.forward(poolerOutput!));
  }
}

export class RobertaForSequenceClassification extends SequenceClassification {
  readonly roberta: RobertaModel;
  readonly classifier: RobertaClassificationHead;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.roberta = new RobertaModel(config, { device, addPoolingLayer: false });
    this.classifier = new RobertaClassificationHead(device, config);
  }

  override get base(): EncoderModel {
    return this.roberta;
  }

  override get classLayer(): Linear {
    return this.classifier.out_proj;
  }

  protected override logits({ lastHiddenState }: BaseModelOutput): Tensor {
    return this.classifier.forward(lastHiddenState);
  }
}

/** Logits [B, L, labels]; labels int32 [B, L], −100 where a token does not count. */
abstract class TokenClassification extends TaskModel {
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.dropout = classifierDropout(config);
    this.classifier = new Linear(device, config.hiddenSize, config.numLabels);
  }

  override get classLayer(): Linear {
    return this.classifier;
  }

  protected override logits({ lastHiddenState }: BaseModelOutput): Tensor {
    return this.classifier.forward(this.dropout.forward(lastHiddenState));
  }

  protected override loss(logits: Tensor, labels: Tensor): Tensor {
    return crossEntropy(logits, labels);
  }
}

export class BertForTokenClassification extends TokenClassification {
  readonly bert: BertModel;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.bert = new BertModel(config, { device, addPoolingLayer: false });
  }

  override get base(): EncoderModel {
    return this.bert;
  }
}

export class RobertaForTokenClassification extends TokenClassification {
  readonly roberta: RobertaModel;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.roberta = new RobertaModel(config, { device, addPoolingLayer: false });
  }

  override get base(): EncoderModel {
    return this.roberta;
  }
}

export interface QuestionAnsweringInputs extends ModelInputs {
  /** int32 [B]: first and last token of the answer. */
  startPositions?: Tensor | undefined;
  endPositions?: Tensor | undefined;
}

const questionAnsweringInputNames: OptionNames<QuestionAnsweringInputs> = {
  ...modelInputNames,
  startPositions: true,
  endPositions: true,
};

export interface QuestionAnsweringOutput extends EncoderOutputs {
  /** A scalar; absent without positions. */
  loss?: Tensor;
  /** [B, L] each. */
  startLogits: Tensor;
  endLogits: Tensor;
}

abstract class QuestionAnswering extends PreTrainedModel {
  readonly qa_outputs: Linear;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.qa_outputs = new Linear(device, config.hiddenSize, config.numLabels);
  }

  /**
   * Throws `ShapeError` where inputs do not fit the model, `ConfigError` for an input there is not, or one
   * position without the other.
   */
  forward(inputs: QuestionAnsweringInputs): QuestionAnsweringOutput {
    checkInputs(this.architecture, inputs, questionAnsweringInputNames);
    const { startPositions, endPositions } = inputs;
    if ((startPositions === undefined) !== (endPositions === undefined)) {
      const given = startPositions === undefined ? 'endPositions' : 'startPositions';
      throw new ConfigError(`${this.architecture}.forward: there are ${given} only`, {
        remedy: 'pass both, or none',
      });
    }
    return this.device.tidy(() => {
      // The softmax over positions sees padding too, so its states are computed whatever is asked.
      const output = this.base.forward({ ...encoderInputs(inputs), skipPadding: false });
      const logits = to(this.qa_outputs.forward(output.lastHiddenState), 'float32');
      const [startLogits, endLogits] = [select(logits, 2, 0), select(logits, 2, 1)];
      const result = { startLogits, endLogits, ...handedOn(output) };
      if (startPositions === undefined || endPositions === undefined) return result;
      const [start, end] = spanLoss(startLogits, endLogits, startPositions, endPositions);
      return { loss: scale(add(start, end), 0.5), ...result };
    });
  }
}

export class BertForQuestionAnswering extends QuestionAnswering {
  readonly bert: BertModel;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.bert = new BertModel(config, { device, addPoolingLayer: false });
  }

  override get base(): EncoderModel {
    return this.bert;
  }
}

export class RobertaForQuestionAnswering extends QuestionAnswering {
  readonly roberta: RobertaModel;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.roberta = new RobertaModel(config, { device, addPoolingLayer: false });
  }

  override get base(): EncoderModel {
    return this.roberta;
  }
}

export interface MaskedLmInputs extends LabelledInputs {
  /**
   * int32 [n]: flat positions (row · L + column) to predict; then logits are [n, V] and labels [n]. All,
   * where absent.
   */
  positions?: Tensor | undefined;
}

const maskedLmInputNames: OptionNames<MaskedLmInputs> = { ...labelledInputNames, positions: true };

/**
 * Logits [B, L, V] (or [n, V] for chosen positions); labels int32 of the same leading shape, −100 where not
 * masked.
 */
abstract class MaskedLm extends TaskModel {
  protected override readonly inputNames = maskedLmInputNames;

  protected abstract head(states: Tensor): Tensor;

  override forward(inputs: MaskedLmInputs): TaskOutput {
    return super.forward(inputs);
  }

  protected override logits({ lastHiddenState }: BaseModelOutput, inputs: MaskedLmInputs): Tensor {
    const { positions } = inputs;
    return this.head(positions === undefined ? lastHiddenState : gatherPositions(lastHiddenState, positions));
  }

  protected override loss(logits: Tensor, labels: Tensor): Tensor {
    return crossEntropy(logits, labels);
  }
}

export class BertForMaskedLM extends MaskedLm {
  readonly bert: BertModel;
  readonly cls: BertLmHead;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.bert = new BertModel(config, { device, addPoolingLayer: false });
    this.cls = new BertLmHead(device, config, this.bert.embeddings.word_embeddings.weight);
  }

  override get base(): EncoderModel {
    return this.bert;
  }

  protected override head(states: Tensor): Tensor {
    return this.cls.forward(states);
  }
}

export class RobertaForMaskedLM extends MaskedLm {
  readonly roberta: RobertaModel;
  readonly lm_head: RobertaLmHead;

  constructor(config: PretrainedConfig, device: Device) {
    super(config, device);
    this.roberta = new RobertaModel(config, { device, addPoolingLayer: false });
    this.lm_head = new RobertaLmHead(device, config, this.roberta.embeddings.word_embeddings.weight);
  }

  override get base(): EncoderModel {
    return this.roberta;
  }

  protected override head(states: Tensor): Tensor {
    return this.lm_head.forward(states);
  }
}
