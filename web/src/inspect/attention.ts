/** The weights of attention of one layer. */
import { ConfigError, type Encoding, noGrad } from 'dawngrad';
import type { ClassificationModel } from '../contract.ts';
import { idsOf } from './predictions.ts';

export interface LayerAttention {
  /** Of the model. */
  layers: number;
  heads: number;
  /** [heads, tokens, tokens]: how much each token (rows) takes of each other (columns); a row's sum is 1. */
  weights: Float32Array;
}

/** The weights of layer `layer`, from 0. Throws `ConfigError` for one that the model does not have. */
export async function attentionOf(
  model: ClassificationModel,
  encoding: Pick<Encoding, 'inputIds' | 'tokenTypeIds'>,
  layer: number,
): Promise<LayerAttention> {
  const { device, training } = model;
  const scope = device.scope();
  try {
    model.eval();
    const { attentions } = noGrad(() =>
      model.forward({ ...idsOf(device, encoding), outputAttentions: true }),
    );
    const layers = attentions!.length;
    const chosen = attentions![layer];
    if (chosen === undefined)
      throw new ConfigError(`there is no layer ${layer}`, { remedy: `use 0 to ${layers - 1}` });
    const read = chosen.float32Data();
    return read.then((weights) => ({ layers, heads: chosen.shape[1]!, weights }));
  } finally {
    scope.close();
    model.train(training);
  }
}
