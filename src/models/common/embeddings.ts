/** Embeddings of words, positions and token types: their sum, LayerNorm, dropout. */
import { ConfigError, ShapeError } from '../../errors.ts';
import { Dropout, Embedding, LayerNorm } from '../../nn/layers.ts';
import { declarePure, Module } from '../../nn/module.ts';
import type { Device } from '../../tensor/device.ts';
import { add } from '../../tensor/ops/elementwise.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { PretrainedConfig } from './config.ts';
import { checkRange, type ModelInputs } from './inputs.ts';

/** What a base model asks of its embeddings. */
export interface InputEmbeddings extends Module {
  readonly word_embeddings: Embedding;
  /** The longest text that has positions. */
  readonly maxLength: number;
  /** → [B, L, H]. */
  forward(inputs: ModelInputs): Tensor;
}

/** Positions count from 0; a family that counts in another way overrides `maxLength` and `positions`. */
export class Embeddings extends Module {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding;
  /** null if the config has no token types. */
  readonly token_type_embeddings: Embedding | null;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;
  protected readonly config: PretrainedConfig;

  /** `positionPadding`: a row of the position embeddings that stays zero. */
  constructor(device: Device, config: PretrainedConfig, positionPadding?: number) {
    super();
    const { hiddenSize: H, padTokenId, typeVocabSize } = config;
    this.config = config;
    this.word_embeddings = new Embedding(device, config.vocabSize, H, { paddingIdx: padTokenId });
    const positions = config.maxPositionEmbeddings;
    this.position_embeddings = new Embedding(device, positions, H, { paddingIdx: positionPadding });
    this.token_type_embeddings = typeVocabSize === 0 ? null : new Embedding(device, typeVocabSize, H);
    this.LayerNorm = new LayerNorm(device, H, { eps: config.layerNormEps });
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  /** The longest text that has positions. */
  get maxLength(): number {
    return this.config.maxPositionEmbeddings;
  }

  /** Position embeddings if the inputs give none, [L, H] or [B, L, H]. */
  protected positions(inputIds: Tensor): Tensor {
    return this.position_embeddings.forwardFirst(inputIds.shape[1]!);
  }

  private positionsOf(inputIds: Tensor, given: Tensor | undefined): Tensor {
    return given === undefined ? this.positions(inputIds) : this.position_embeddings.forward(given);
  }

  /**
   * → [B, L, H]. Throws `ShapeError` for a text longer than the model's positions, or ids outside the
   * embeddings.
   */
  forward({ inputIds, tokenTypeIds, positionIds }: ModelInputs): Tensor {
    const length = inputIds.shape[1]!;
    const relative = this.config.positionEmbeddingType !== 'absolute';
    if (relative && positionIds !== undefined)
      throw new ConfigError('positionIds: this model knows distances only', { remedy: 'leave them out' });
    if (positionIds !== undefined) checkRange('positionIds', positionIds, this.config.maxPositionEmbeddings);
    else if (length > this.maxLength) {
      throw new ShapeError(
        `a sequence of ${length} tokens is longer than the model's ${this.maxLength} positions`,
        { remedy: 'truncate the text (truncation: true, or a smaller maxLength)' },
      );
    }
    return inputIds.device.tidy(() => {
      const words = this.word_embeddings.forward(inputIds);
      const parts = [relative ? null : this.positionsOf(inputIds, positionIds), this.types(tokenTypeIds)];
      const sum = parts.reduce<Tensor>((total, part) => (part === null ? total : add(total, part)), words);
      return this.dropout.forward(this.LayerNorm.forward(sum));
    });
  }

  /**
   * Token-type embeddings: those of type 0 for every token unless the inputs name others. A model without
   * token types ignores those of its tokenizer, as transformers does.
   */
  private types(tokenTypeIds: Tensor | undefined): Tensor | null {
    const { token_type_embeddings: types } = this;
    const { typeVocabSize } = this.config;
    if (types === null) return null;
    if (tokenTypeIds !== undefined) checkRange('tokenTypeIds', tokenTypeIds, typeVocabSize);
    return tokenTypeIds === undefined || typeVocabSize === 1
      ? types.forwardFirst(1)
      : types.forward(tokenTypeIds);
  }
}

declarePure(Embeddings);
