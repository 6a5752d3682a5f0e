/**
 * Models for tasks: a base model with a head, which give logits and, with labels, a loss. Factories make each
 * family's classes: `class X extends tokenClassification(Base, head) {}`.
 */
import { ConfigError } from '../../errors.ts';
import type { Linear } from '../../nn/layers.ts';
import type { OptionNames } from '../../options.ts';
import type { Device } from '../../tensor/device.ts';
import { to } from '../../tensor/ops/elementwise.ts';
import { crossEntropy } from '../../tensor/ops/loss.ts';
import { select } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { BaseModel, BaseModelOutput, BaseOptions } from './base-model.ts';
import type { PretrainedConfig } from './config.ts';
import { gatherPositions, type Head, sequenceLoss, spanLoss } from './heads.ts';
import { checkInputs, type ModelInputs, modelInputNames } from './inputs.ts';
import { PreTrainedModel } from './pretrained.ts';

type BaseClass<Base extends BaseModel> = new (config: PretrainedConfig, options: BaseOptions) => Base;

/** The parts of a model with a head. */
interface Anatomy {
  Base: BaseClass<BaseModel>;
  head: Head<object>;
  /** Whether the head's weights come before the base model's: decides the order of random draws and files. */
  headFirst: boolean;
}

/** The outputs of the base model that a head hands on, on request. */
export type EncoderOutputs = Pick<BaseModelOutput, 'hiddenStates' | 'attentions'>;

export function handedOn({ hiddenStates, attentions }: BaseModelOutput): EncoderOutputs {
  return { ...(hiddenStates && { hiddenStates }), ...(attentions && { attentions }) };
}

/** The inputs that a base model takes. */
export function baseInputs(inputs: ModelInputs): ModelInputs {
  const names = Object.entries(inputs).filter(([name]) => Object.hasOwn(modelInputNames, name));
  return Object.fromEntries(names) as unknown as ModelInputs;
}

/** A base model, as a property named by the family's prefix, and a head, whose parts are properties too. */
export abstract class HeadedModel extends PreTrainedModel {
  private readonly prefix: string;
  private readonly head: Head<object>;

  constructor(config: PretrainedConfig, device: Device, { Base, head, headFirst }: Anatomy) {
    super(config, device);
    const base = new Base(config, { device, addPoolingLayer: head.pooler ?? false });
    this.prefix = base.traits.prefix;
    this.head = head;
    const parts = [{ [this.prefix]: base }, head.parts(config, device, base)];
    Object.assign(this, ...(headFirst ? parts.reverse() : parts));
  }

  override get base(): BaseModel {
    return Reflect.get(this, this.prefix) as unknown as BaseModel;
  }

  override get classLayer(): Linear | null {
    const layer = this.head.classLayer
      ?.split('.')
      .reduce<object>((part, name) => Reflect.get(part, name), this);
    return (layer as Linear | undefined) ?? null;
  }

  protected headLogits(output: BaseModelOutput, inputs: Pick<ModelInputs, 'attentionMask'>): Tensor {
    return to(this.head.logits(this, output, inputs), 'float32');
  }
}

export interface LabelledInputs extends ModelInputs {
  labels?: Tensor | undefined;
}

const labelledInputNames: OptionNames<LabelledInputs> = { ...modelInputNames, labels: true };

export interface TaskOutput extends EncoderOutputs {
  /** A scalar; absent without labels. */
  loss?: Tensor;
  logits: Tensor;
}

/** A model whose result is one tensor of logits; labels int32, −100: not counted. */
export class TaskModel extends HeadedModel {
  /** Whether the states of padding leave the result alone. */
  protected readonly ignoresPadding: boolean = false;
  protected readonly inputNames: Readonly<Record<string, true>> = labelledInputNames;

  /** Throws `ShapeError` if inputs do not fit the model, `ConfigError` for an unknown input. */
  forward(inputs: LabelledInputs): TaskOutput {
    checkInputs(this.architecture, inputs, this.inputNames);
    return this.device.tidy(() => {
      const hidden = this.outputsOf(inputs).outputHiddenStates;
      const skipPadding = inputs.skipPadding ?? (this.ignoresPadding && !hidden);
      const output = this.base.forward({ ...baseInputs(inputs), skipPadding });
      const logits = this.logits(output, inputs);
      const more = handedOn(output);
      return inputs.labels === undefined
        ? { logits, ...more }
        : { loss: this.loss(logits, inputs.labels, inputs), logits, ...more };
    });
  }

  protected logits(output: BaseModelOutput, inputs: LabelledInputs): Tensor {
    return this.headLogits(output, inputs);
  }

  protected loss(logits: Tensor, labels: Tensor, _inputs: LabelledInputs): Tensor {
    return crossEntropy(logits, labels);
  }
}

/** Logits [B, labels]. */
export class SequenceClassification extends TaskModel {
  protected override readonly ignoresPadding = true;

  protected override loss(logits: Tensor, labels: Tensor): Tensor {
    return sequenceLoss(this.config, logits, labels);
  }
}

export interface MaskedLmInputs extends LabelledInputs {
  /**
   * int32 [n]: flat positions (row · L + column) to predict; then logits are [n, V] and labels [n]. If
   * absent, all.
   */
  positions?: Tensor | undefined;
}

const maskedLmInputNames: OptionNames<MaskedLmInputs> = { ...labelledInputNames, positions: true };

/**
 * Logits [B, L, V] (or [n, V] for chosen positions); labels int32 of the same leading shape.
 */
export class MaskedLm extends TaskModel {
  protected override readonly inputNames = maskedLmInputNames;

  override forward(inputs: MaskedLmInputs): TaskOutput {
    return super.forward(inputs);
  }

  protected override logits(output: BaseModelOutput, inputs: MaskedLmInputs): Tensor {
    const { positions } = inputs;
    if (positions === undefined) return this.headLogits(output, inputs);
    return this.headLogits({ lastHiddenState: gatherPositions(output.lastHiddenState, positions) }, inputs);
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

export class QuestionAnswering extends HeadedModel {
  /**
   * Throws `ShapeError` if inputs do not fit the model, `ConfigError` for an unknown input, or one position
   * without the other.
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
      // The softmax over positions includes padding, so its states are always computed.
      const output = this.base.forward({ ...baseInputs(inputs), skipPadding: false });
      const logits = this.headLogits(output, inputs);
      const [startLogits, endLogits] = [select(logits, 2, 0), select(logits, 2, 1)];
      const result = { startLogits, endLogits, ...handedOn(output) };
      if (startPositions === undefined || endPositions === undefined) return result;
      return { loss: spanLoss(startLogits, endLogits, startPositions, endPositions), ...result };
    });
  }
}

/** A class of models: `Task`, with the base model and the head's parts as properties. */
export interface TaskClass<Task, Base extends BaseModel, Parts> {
  new (
    config: PretrainedConfig,
    device: Device,
  ): Task & Readonly<Record<Base['traits']['prefix'] | 'base', Base>> & Readonly<Parts>;
  /** Path of the layer with a row for each class; null for tasks without classes. */
  readonly classLayer: string | null;
}

/** Makes a family's class for a task: `class X extends factory(Base, head) {}`. */
export type TaskFactory<Task> = <Base extends BaseModel, Parts extends object>(
  Base: BaseClass<Base>,
  head: Head<Parts>,
) => TaskClass<Task, Base, Parts>;

/** The factory of a task's classes. `headFirst`: see `Anatomy`. */
export function taskFactory<Task extends HeadedModel>(
  Task: new (config: PretrainedConfig, device: Device, anatomy: Anatomy) => Task,
  headFirst: boolean,
): TaskFactory<Task> {
  return <Base extends BaseModel, Parts extends object>(
    Base: BaseClass<Base>,
    head: Head<Parts>,
  ): TaskClass<Task, Base, Parts> => {
    const Parent: new (config: PretrainedConfig, device: Device, anatomy: Anatomy) => HeadedModel = Task;
    class Headed extends Parent {
      static readonly classLayer = head.classLayer ?? null;

      constructor(config: PretrainedConfig, device: Device) {
        super(config, device, { Base, head, headFirst });
      }
    }
    // The constructor sets the properties by name, which the compiler cannot follow.
    return Headed as unknown as TaskClass<Task, Base, Parts>;
  };
}

export const sequenceClassification = taskFactory(SequenceClassification, false);
/** Logits [B, L, labels]; labels int32 [B, L]. */
export const tokenClassification = taskFactory(TaskModel, true);
export const questionAnswering = taskFactory(QuestionAnswering, true);
export const maskedLm = taskFactory(MaskedLm, false);
