/** `BaseModel`, a model without a head, and `EncoderModel`, the one of embeddings, encoder and pooler. */
import type { Embedding } from '../../nn/layers.ts';
import type { Module } from '../../nn/module.ts';
import type { Device, NormalOptions } from '../../tensor/device.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { NameRule } from '../files/weight-names.ts';
import type { ConfigTable, PretrainedConfig } from './config.ts';
import type { Embeddings, InputEmbeddings } from './embeddings.ts';
import { Encoder, encoderNames, type LayerStack, Pooler } from './encoder.ts';
import { checkInputs, type ModelInputs, modelInputNames } from './inputs.ts';
import { PreTrainedModel } from './pretrained.ts';

export interface BaseModelOutput {
  /** [batch, length, hidden] */
  lastHiddenState: Tensor;
  /** [batch, hidden]; absent without a pooler. */
  poolerOutput?: Tensor;
  /** Embeddings first, then each layer; only on request. */
  hiddenStates?: Tensor[];
  /** Of each layer [batch, heads, length, length], after dropout; only on request. */
  attentions?: Tensor[];
}

/** A base model's names and config, for heads and files. */
export interface Traits<Prefix extends string = string> {
  /**
   * First part of the base model's keys in the checkpoint of a model with a head; a property of that model.
   */
  readonly prefix: Prefix;
  readonly config: ConfigTable;
  /** Names in files that differ from the modules' own. */
  readonly names?: readonly NameRule[];
}

/** A model without a head: all that heads and training ask of it. */
export interface BaseModel<Prefix extends string = string> extends PreTrainedModel {
  readonly traits: Traits<Prefix>;
  /** Most tokens of a text. */
  readonly maxLength: number;
  /** The embeddings of words, which a language-modelling head may share. */
  readonly wordEmbeddings: Embedding;
  forward(inputs: ModelInputs): BaseModelOutput;
  /** Parts from the top down: the parts above the layers (maybe none), the layers, the embeddings. */
  groups(): Module[][];
  /** How a matrix of that name in files, of this model or of a head's, is drawn. Default: `initializer_range`. */
  drawing?(name: string): NormalOptions;
  /** Fills weights that do not start at random, after all are drawn. Only those in `which`, if given. */
  initOwnWeights?(which?: ReadonlySet<Tensor>): void;
}

export interface BaseOptions {
  device: Device;
  addPoolingLayer?: boolean;
}

/** Parts of a family's encoder. */
interface EncoderTraits<Prefix extends string, Stack extends LayerStack, Words extends InputEmbeddings>
  extends Traits<Prefix> {
  readonly Embeddings: new (device: Device, config: PretrainedConfig) => Words;
  /** The layers. Default: `Encoder`. */
  readonly Encoder?: new (
    device: Device,
    config: PretrainedConfig,
  ) => Stack;
  /** Whether the family's base model has a pooler. Default true. */
  readonly pooler?: boolean;
}

/** An encoder with its embeddings. */
export abstract class EncoderModel<
    Prefix extends string = string,
    Stack extends LayerStack = Encoder,
    Words extends InputEmbeddings = Embeddings,
  >
  extends PreTrainedModel
  implements BaseModel<Prefix>
{
  readonly traits: Traits<Prefix>;
  readonly embeddings: Words;
  readonly encoder: Stack;
  readonly pooler: Pooler | null;

  constructor(
    config: PretrainedConfig,
    { device, addPoolingLayer = true }: BaseOptions,
    traits: EncoderTraits<Prefix, Stack, Words>,
  ) {
    super(config, device);
    this.traits = { ...traits, names: [...encoderNames, ...(traits.names ?? [])] };
    this.embeddings = new traits.Embeddings(device, config);
    const Layers = (traits.Encoder ?? Encoder) as NonNullable<typeof traits.Encoder>;
    this.encoder = new Layers(device, config);
    this.pooler = addPoolingLayer && traits.pooler !== false ? new Pooler(device, config) : null;
  }

  override get base(): this {
    return this;
  }

  get maxLength(): number {
    return this.embeddings.maxLength;
  }

  get wordEmbeddings(): Embedding {
    return this.embeddings.word_embeddings;
  }

  groups(): Module[][] {
    return [this.pooler === null ? [] : [this.pooler], ...this.encoder.groups(), [this.embeddings]];
  }

  /**
   * Throws `ShapeError` if shapes do not agree or a text is too long, `ConfigError` for an unknown input.
   */
  forward(inputs: ModelInputs): BaseModelOutput {
    checkInputs(this.architecture, inputs, modelInputNames);
    return this.device.tidy(() => {
      const asked = this.outputsOf(inputs);
      const embedded = this.embeddings.forward(inputs);
      const { states, attentions } = this.encoder.forward(embedded, { ...inputs, ...asked });
      const lastHiddenState = states.at(-1)!;
      return {
        lastHiddenState,
        ...(this.pooler !== null && { poolerOutput: this.pooler.forward(lastHiddenState) }),
        ...(asked.outputHiddenStates && { hiddenStates: states }),
        ...(asked.outputAttentions && { attentions }),
      };
    });
  }
}

/** The class of an encoder with a family's traits, for the family's model to extend. */
export function encoderModel<
  Prefix extends string,
  Stack extends LayerStack = Encoder,
  Words extends InputEmbeddings = Embeddings,
>(
  traits: EncoderTraits<Prefix, Stack, Words>,
): new (
  config: PretrainedConfig,
  options: BaseOptions,
) => EncoderModel<Prefix, Stack, Words> {
  return class extends EncoderModel<Prefix, Stack, Words> {
    constructor(config: PretrainedConfig, options: BaseOptions) {
      super(config, options, traits);
    }
  };
}
