/** `BertModel` and `RobertaModel`: embeddings, encoder, pooler. */
import { ShapeError } from '../errors.ts';
import { Dropout, Embedding, LayerNorm } from '../nn/layers.ts';
import { Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import { add } from '../tensor/ops/elementwise.ts';
import { positionIds } from '../tensor/ops/embedding.ts';
import { narrow } from '../tensor/ops/view.ts';
import { formatShape, sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { PretrainedConfig } from './config.ts';
import { Encoder, Pooler } from './encoder.ts';
import { PreTrainedModel } from './pretrained.ts';

/** What every model takes; int32 tensors [batch, length]. */
export interface ModelInputs {
  inputIds: Tensor;
  /** 0 where a token is padding; all ones where absent. */
  attentionMask?: Tensor | undefined;
  /** 0 for the first text, 1 for the second; all zeros where absent. RoBERTa has one type and ignores them. */
  tokenTypeIds?: Tensor | undefined;
  /**
   * Does not compute padding (where `attentionMask` came from the CPU), so that a batch costs what its real tokens cost. The states of
   * padding are then zero; transformers gives there what means nothing. False unless given; classification of sequences, which
   * does not look at them, has true.
   */
  skipPadding?: boolean | undefined;
  /** Also return the result of every layer. */
  outputHiddenStates?: boolean | undefined;
}

export interface BaseModelOutput {
  /** [batch, length, hidden] */
  lastHiddenState: Tensor;
  /** [batch, hidden]; absent without a pooler. */
  poolerOutput?: Tensor;
  /** Embeddings first, then each layer; only where asked for. */
  hiddenStates?: Tensor[];
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

  /** Position embeddings, [L, H] or [B, L, H]. */
  protected abstract positions(inputIds: Tensor): Tensor;

  protected abstract types(inputIds: Tensor, tokenTypeIds: Tensor | undefined): Tensor;

  /** → [B, L, H]. Throws `ShapeError` for a text longer than the model's positions. */
  forward(inputIds: Tensor, tokenTypeIds: Tensor | undefined): Tensor {
    const length = inputIds.shape[1]!;
    if (length > this.maxLength) {
      throw new ShapeError(
        `a sequence of ${length} tokens is longer than the model's ${this.maxLength} positions`,
        {
          remedy: 'truncate the text (truncation: true, or a smaller maxLength)',
        },
      );
    }
    return inputIds.device.tidy(() => {
      const words = this.word_embeddings.forward(inputIds);
      const sum = add(add(words, this.positions(inputIds)), this.types(inputIds, tokenTypeIds));
      return this.dropout.forward(this.LayerNorm.forward(sum));
    });
  }

  /** The embedding of token type 0, for every token. */
  protected firstType(): Tensor {
    return narrow(this.token_type_embeddings.weight, 0, 0, 1);
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

  protected override types(_inputIds: Tensor, tokenTypeIds: Tensor | undefined): Tensor {
    return tokenTypeIds === undefined ? this.firstType() : this.token_type_embeddings.forward(tokenTypeIds);
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

  protected override types(_inputIds: Tensor, tokenTypeIds: Tensor | undefined): Tensor {
    if (tokenTypeIds === undefined || this.config.typeVocabSize === 1) return this.firstType();
    return this.token_type_embeddings.forward(tokenTypeIds);
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

  /** Throws `ShapeError` where shapes do not agree or a text is too long. */
  forward({
    inputIds,
    attentionMask,
    tokenTypeIds,
    skipPadding = false,
    outputHiddenStates = false,
  }: ModelInputs): BaseModelOutput {
    for (const [name, tensor] of Object.entries({ attentionMask, tokenTypeIds })) {
      if (tensor !== undefined && !sameShape(tensor.shape, inputIds.shape)) {
        throw new ShapeError(
          `${name} ${formatShape(tensor.shape)} does not fit inputIds ${formatShape(inputIds.shape)}`,
        );
      }
    }
    if (inputIds.rank !== 2)
      throw new ShapeError(`inputIds ${formatShape(inputIds.shape)} must be [batch, length]`);
    return this.device.tidy(() => {
      const embedded = this.embeddings.forward(inputIds, tokenTypeIds);
      const options = { mask: attentionMask, skipPadding, all: outputHiddenStates };
      const states = this.encoder.forward(embedded, options);
      const lastHiddenState = states.at(-1)!;
      return {
        lastHiddenState,
        ...(this.pooler !== null && { poolerOutput: this.pooler.forward(lastHiddenState) }),
        ...(outputHiddenStates && { hiddenStates: states }),
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
