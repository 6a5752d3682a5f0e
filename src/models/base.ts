/** `BertModel` and `RobertaModel`: embeddings, encoder, pooler. */
import { ShapeError } from '../errors.ts';
import { Dropout, Embedding, LayerNorm } from '../nn/layers.ts';
import { Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import { add } from '../tensor/ops/elementwise.ts';
import { positionIds } from '../tensor/ops/embedding.ts';
import { narrow } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { PretrainedConfig } from './config.ts';
import { Encoder, Pooler } from './encoder.ts';
import { checkInputs, checkRange, type ModelInputs, modelInputNames } from './inputs.ts';
import { PreTrainedModel } from './pretrained.ts';

export interface BaseModelOutput {
  /** [batch, length, hidden] */
  lastHiddenState: Tensor;
  /** [batch, hidden]; absent without a pooler. */
  poolerOutput?: Tensor;
  /** Embeddings first, then each layer; only where asked for. */
  hiddenStates?: Tensor[];
  /** Of each layer [batch, heads, length, length], after dropout; only where asked for. */
  attentions?: Tensor[];
}

/** Word, position and token-type embeddings, LayerNorm, dropout. */
abstract class Embeddings extends Module {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding;
  readonly token_type_embeddings: Embedding;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;
  protected readonly config: PretrainedConfig;

  constructor(device: Device, config: PretrainedConfig, positionPadding: { paddingIdx?: number }) {
    super();
    const { hiddenSize: H, padTokenId } = config;
    this.config = config;
    const wordPadding = padTokenId === null ? {} : { paddingIdx: padTokenId };
    this.word_embeddings = new Embedding(device, config.vocabSize, H, wordPadding);
    this.position_embeddings = new Embedding(device, config.maxPositionEmbeddings, H, positionPadding);
    this.token_type_embeddings = new Embedding(device, config.typeVocabSize, H);
    this.LayerNorm = new LayerNorm(device, H, { eps: config.layerNormEps });
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  /** The longest text that has positions. */
  abstract get maxLength(): number;

  /** Position embeddings where none are given, [L, H] or [B, L, H]. */
  protected abstract positions(inputIds: Tensor): Tensor;

  /**
   * → [B, L, H]. Throws `ShapeError` for a text longer than the model's positions, or ids outside the
   * embeddings.
   */
  forward({ inputIds, tokenTypeIds, positionIds }: ModelInputs): Tensor {
    const length = inputIds.shape[1]!;
    if (positionIds !== undefined) checkRange('positionIds', positionIds, this.config.maxPositionEmbeddings);
    else if (length > this.maxLength) {
      throw new ShapeError(
        `a sequence of ${length} tokens is longer than the model's ${this.maxLength} positions`,
        {
          remedy: 'truncate the text (truncation: true, or a smaller maxLength)',
        },
      );
    }
    return inputIds.device.tidy(() => {
      const words = this.word_embeddings.forward(inputIds);
      const positions =
        positionIds === undefined ? this.positions(inputIds) : this.position_embeddings.forward(positionIds);
      const sum = add(add(words, positions), this.types(tokenTypeIds));
      return this.dropout.forward(this.LayerNorm.forward(sum));
    });
  }

  /** Token-type embeddings; those of type 0, for every token, where there is no other. */
  private types(tokenTypeIds: Tensor | undefined): Tensor {
    const { typeVocabSize } = this.config;
    if (tokenTypeIds !== undefined) checkRange('tokenTypeIds', tokenTypeIds, typeVocabSize);
    return tokenTypeIds === undefined || typeVocabSize === 1
      ? narrow(this.token_type_embeddings.weight, 0, 0, 1)
      : this.token_type_embeddings.forward(tokenTypeIds);
  }
}

class BertEmbeddings extends Embeddings {
  constructor(device: Device, config: PretrainedConfig) {
    super(device, config, {});
  }

  override get maxLength(): number {
    return this.config.maxPositionEmbeddings;
  }

  protected override positions(inputIds: Tensor): Tensor {
    return narrow(this.position_embeddings.weight, 0, 0, inputIds.shape[1]!);
  }
}

/** Positions begin after the padding id, and padding keeps that id. */
class RobertaEmbeddings extends Embeddings {
  private readonly padding: number;

  constructor(device: Device, config: PretrainedConfig) {
    const padding = config.padTokenId ?? 1;
    super(device, config, { paddingIdx: padding });
    this.padding = padding;
  }

  override get maxLength(): number {
    return this.config.maxPositionEmbeddings - this.padding - 1;
  }

  protected override positions(inputIds: Tensor): Tensor {
    return this.position_embeddings.forward(positionIds(inputIds, this.padding));
  }
}

/** An encoder with its embeddings: the body under every head. */
export abstract class EncoderModel extends PreTrainedModel {
  readonly embeddings: Embeddings;
  readonly encoder: Encoder;
  readonly pooler: Pooler | null;

  constructor(
    config: PretrainedConfig,
    embeddings: Embeddings,
    { addPoolingLayer = true, device }: BaseOptions,
  ) {
    super(config, device);
    this.embeddings = embeddings;
    this.encoder = new Encoder(device, config);
    this.pooler = addPoolingLayer ? new Pooler(device, config) : null;
  }

  override get base(): EncoderModel {
    return this;
  }

  get maxLength(): number {
    return this.embeddings.maxLength;
  }

  /**
   * Throws `ShapeError` where shapes do not agree or a text is too long, `ConfigError` for an input there is
   * not.
   */
  forward(inputs: ModelInputs): BaseModelOutput {
    checkInputs(this.architecture, inputs, modelInputNames);
    return this.device.tidy(() => {
      const { outputHiddenStates, outputAttentions } = this.outputsOf(inputs);
      const embedded = this.embeddings.forward(inputs);
      const { states, attentions } = this.encoder.forward(embedded, {
        mask: inputs.attentionMask,
        skipPadding: inputs.skipPadding ?? false,
        all: outputHiddenStates,
        withAttentions: outputAttentions,
      });
      const lastHiddenState = states.at(-1)!;
      return {
        lastHiddenState,
        ...(this.pooler !== null && { poolerOutput: this.pooler.forward(lastHiddenState) }),
        ...(outputHiddenStates && { hiddenStates: states }),
        ...(outputAttentions && { attentions }),
      };
    });
  }
}

export interface BaseOptions {
  device: Device;
  addPoolingLayer?: boolean;
}

export class BertModel extends EncoderModel {
  constructor(config: PretrainedConfig, options: BaseOptions) {
    super(config, new BertEmbeddings(options.device, config), options);
  }
}

export class RobertaModel extends EncoderModel {
  constructor(config: PretrainedConfig, options: BaseOptions) {
    super(config, new RobertaEmbeddings(options.device, config), options);
  }
}
