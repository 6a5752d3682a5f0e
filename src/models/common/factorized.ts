/** Embeddings narrower than the encoder, and the layer between them (Lan et al., 2020). */
import { Linear } from '../../nn/layers.ts';
import type { Device } from '../../tensor/device.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { ConfigValues, PretrainedConfig } from './config.ts';
import { Embeddings } from './embeddings.ts';
import { type ModelInputs, tokensOf } from './inputs.ts';
import { key, size } from './keys.ts';

/** The key of families with such embeddings. */
export const factorizedKeys = { embeddingSize: key('embedding_size', size, 128) } as const;

export type FactorizedConfig = PretrainedConfig & ConfigValues<typeof factorizedKeys>;

/** Embeddings [B, L, embeddingSize] and their projection to [B, L, H], under names that families change. */
export class FactorizedEmbeddings extends Embeddings {
  /** null: the embeddings are as wide as the encoder. */
  readonly projection: Linear | null;

  /** `always`: whether embeddings as wide as the encoder are projected too. */
  constructor(device: Device, config: PretrainedConfig, always: boolean) {
    const { embeddingSize, hiddenSize } = config as FactorizedConfig;
    super(device, { ...config, hiddenSize: embeddingSize });
    const projects = always || embeddingSize !== hiddenSize;
    this.projection = projects ? new Linear(device, embeddingSize, hiddenSize) : null;
  }

  override forward(inputs: ModelInputs): Tensor {
    const { projection } = this;
    if (projection === null) return super.forward(inputs);
    return tokensOf(inputs).device.tidy(() => projection.forward(super.forward(inputs)));
  }
}
