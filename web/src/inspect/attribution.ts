/**
 * What each token gives to an output: the gradient of its logit at the token's embedding, times the embedding
 * (Shrikumar et al., 2016, "gradient × input"). The embedding is what the first layer gets, with position and
 * LayerNorm: were it the word's alone, families that normalize that would have zeros, because LayerNorm does
 * not see how long a vector is.
 */
import { ConfigError, type EncoderModel, type Encoding, mul, noGrad, sum, type Tensor } from 'dawngrad';
import type { ClassificationModel } from '../contract.ts';
import { idsOf } from './predictions.ts';

/**
 * The shares of each token in logit `output`; the sign says for or against. Throws `ConfigError` for an output
 * that the model does not have.
 */
export async function attribute(
  model: ClassificationModel,
  encoding: Pick<Encoding, 'inputIds' | 'tokenTypeIds'>,
  output: number,
): Promise<Float32Array> {
  const scope = model.device.scope();
  try {
    return sharesOf(model, encoding, output).float32Data();
  } finally {
    // The result is being read already: the scope must not stay open while others compute.
    scope.close();
  }
}

/** As `attribute`, on the device; the result belongs to the open scope. */
export function sharesOf(
  model: ClassificationModel,
  encoding: Pick<Encoding, 'inputIds' | 'tokenTypeIds'>,
  output: number,
): Tensor {
  const { device, training } = model;
  const { embeddings } = model.base as unknown as EncoderModel;
  // Only the embeddings want a gradient; a training that goes on keeps its own.
  const learning = model.parameters().filter(({ requiresGrad }) => requiresGrad);
  try {
    for (const weight of learning) weight.requiresGrad = false;
    model.eval();
    const inputs = idsOf(device, encoding);
    const embedded = noGrad(() => embeddings.forward(inputs));
    embedded.requiresGrad = true;
    // An own method stands in for that of the class.
    embeddings.forward = () => embedded;
    const { logits } = model.forward(inputs);
    const chosen = Float32Array.from({ length: logits.size }, (_, at) => (at === output ? 1 : 0));
    if (!chosen.includes(1))
      throw new ConfigError(`there is no output ${output}`, { remedy: `use 0 to ${logits.size - 1}` });
    logits.backward(device.tensor(chosen, logits.shape));
    return noGrad(() => sum(mul(embedded.grad!, embedded), -1));
  } finally {
    Reflect.deleteProperty(embeddings, 'forward');
    for (const weight of learning) weight.requiresGrad = true;
    model.train(training);
  }
}
