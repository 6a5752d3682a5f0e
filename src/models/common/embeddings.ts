/** Embeddings of words, positions and token types: their sum, LayerNorm, dropout. */
import { ConfigError, ShapeError } from '../../errors.ts';
import { Dropout, Embedding, LayerNorm } from '../../nn/layers.ts';
import { declarePure, Module } from '../../nn/module.ts';
import type { Device } from '../../tensor/device.ts';
import { add } from '../../tensor/ops/elementwise.ts';
import { formatShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { PretrainedConfig } from './config.ts';
import { checkRange, type ModelInputs, tokensOf } from './inputs.ts';

/** What a base model asks of its embeddings. */
export interface InputEmbeddings extends Module {
  readonly word_embeddings: Embedding;
  /** The longest text that has positions. */
  readonly maxLength: number;
  /** → [B, L, H]. */
  forward(inputs: ModelInputs): Tensor;
}

/** The inputs' own embeddings, or those of their ids: [B, L, width]. Throws `ShapeError` for another width. */
export function wordsOf(words: Embedding, { inputIds, inputsEmbeds }: ModelInputs): Tensor {
  if (inputsEmbeds === undefined) return words.forward(inputIds!);
  const width = words.weight.shape[1]!;
  if (inputsEmbeds.shape[2] === width) return inputsEmbeds;
  throw new ShapeError(`inputsEmbeds ${formatShape(inputsEmbeds.shape)}: each must have ${width} numbers`, {
    remedy: 'they are as wide as the word embeddings',
  });
}

/** Positions count from 0; a family that counts in another way overrides `maxLength` and `positions`. */
export class Embeddings extends Module {
  readonly word_embeddings: Embedding;
  /** null if tokens have no places, only distances. */
  readonly position_embeddings: Embedding | null;
  /** null if the config has no token types. */
  readonly token_type_embeddings: Embedding | null;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;
  protected readonly config: PretrainedConfig;

  /** `positionPadding`: a row of the position embeddings that stays zero; `places`: whether there are any. */
  constructor(
    device: Device,
    config: PretrainedConfig,
    { positionPadding, places = true }: { positionPadding?: number; places?: boolean } = {},
  ) {
    super();
    const { hiddenSize: H, padTokenId, typeVocabSize } = config;
    this.config = config;
    this.word_embeddings = new Embedding(device, config.vocabSize, H, { paddingIdx: padTokenId });
    const positions = config.maxPositionEmbeddings;
    this.position_embeddings = places
      ? new Embedding(device, positions, H, { paddingIdx: positionPadding })
      : null;
    this.token_type_embeddings = typeVocabSize === 0 ? null : new Embedding(device, typeVocabSize, H);
    this.LayerNorm = new LayerNorm(device, H, { eps: config.layerNormEps });
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  /** The longest text that has positions. */
  get maxLength(): number {
    return this.config.maxPositionEmbeddings;
  }

  /** Position embeddings if the inputs give none, [L, H] or [B, L, H]. */
  protected positions(inputs: ModelInputs): Tensor {
    return this.position_embeddings!.forwardFirst(tokensOf(inputs).shape[1]!);
  }

  /** The sum, normalized. */
  protected normalized(sum: Tensor, _inputs: ModelInputs): Tensor {
    return this.LayerNorm.forward(sum);
  }

  /**
   * → [B, L, H]. Throws `ShapeError` for a text longer than the model's positions, or ids outside the
   * embeddings, or `inputsEmbeds` of another width.
   */
  forward(inputs: ModelInputs): Tensor {
    const { tokenTypeIds, positionIds } = inputs;
    const { position_embeddings: places } = this;
    const { device, shape } = tokensOf(inputs);
    const length = shape[1]!;
    const relative = places === null || this.config.positionEmbeddingType !== 'absolute';
    if (relative && positionIds !== undefined)
      throw new ConfigError('positionIds: this model knows distances only', { remedy: 'leave them out' });
    if (positionIds !== undefined) checkRange('positionIds', positionIds, this.config.maxPositionEmbeddings);
    else if (places !== null && length > this.maxLength) {
      throw new ShapeError(
        `a sequence of ${length} tokens is longer than the model's ${this.maxLength} positions`,
        { remedy: 'truncate the text (truncation: true, or a smaller maxLength)' },
      );
    }
    return device.tidy(() => {
      const words = wordsOf(this.word_embeddings, inputs);
      const given = () => (positionIds === undefined ? this.positions(inputs) : places!.forward(positionIds));
      const parts = [relative ? null : given(), this.types(tokenTypeIds)];
      const sum = parts.reduce<Tensor>((total, part) => (part === null ? total : add(total, part)), words);
      return this.dropout.forward(this.normalized(sum, inputs));
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
