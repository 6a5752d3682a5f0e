/**
 * Heads: what is put on top of an encoder, and the loss of each task. B batch, L length, H hidden, V
 * vocabulary.
 */
import { DtypeError, ShapeError } from '../errors.ts';
import type { Activation } from '../kernels/activations.ts';
import { biasParameter, Dropout, LayerNorm, Linear, skipInit } from '../nn/layers.ts';
import { Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import { embedding } from '../tensor/ops/embedding.ts';
import { bceWithLogits, crossEntropy, mseLoss } from '../tensor/ops/loss.ts';
import { reshape, select } from '../tensor/ops/view.ts';
import { formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { activationOf } from './activations.ts';
import { type PretrainedConfig, problemTypeOf } from './config.ts';

export function classifierDropout(config: PretrainedConfig): Dropout {
  return new Dropout(config.classifierDropout ?? config.hiddenDropoutProb);
}

/** RoBERTa's classifier: dropout, dense, tanh, dropout, projection of the first token. */
export class RobertaClassificationHead extends Module {
  readonly dense: Linear;
  readonly dropout: Dropout;
  readonly out_proj: Linear;

  constructor(device: Device, config: PretrainedConfig) {
    super();
    this.dense = new Linear(device, config.hiddenSize, config.hiddenSize);
    this.dropout = classifierDropout(config);
    this.out_proj = new Linear(device, config.hiddenSize, config.numLabels);
  }

  /** [B, L, H] → [B, labels]. */
  forward(states: Tensor): Tensor {
    const first = this.dropout.forward(select(states, 1, 0));
    return this.out_proj.forward(this.dropout.forward(this.dense.forward(first, 'tanh')));
  }
}

/**
 * The projection to the vocabulary. Tied, its weight is the word embeddings' own matrix, its bias the head's.
 */
function decoderOf(device: Device, config: PretrainedConfig, words: Tensor, bias: Tensor): Linear {
  const { hiddenSize, vocabSize } = config;
  if (!config.tieWordEmbeddings) return new Linear(device, hiddenSize, vocabSize);
  // Shared memory is filled by those it belongs to.
  return skipInit(() => new Linear(device, hiddenSize, vocabSize, { memory: { weight: words, bias } }));
}

class BertTransform extends Module {
  readonly dense: Linear;
  readonly LayerNorm: LayerNorm;
  private readonly activation: Activation;

  constructor(device: Device, { hiddenSize, layerNormEps, hiddenAct }: PretrainedConfig) {
    super();
    this.dense = new Linear(device, hiddenSize, hiddenSize);
    this.LayerNorm = new LayerNorm(device, hiddenSize, { eps: layerNormEps });
    this.activation = activationOf(hiddenAct);
  }

  forward(x: Tensor): Tensor {
    return this.LayerNorm.forward(this.dense.forward(x, this.activation));
  }
}

class BertPredictions extends Module {
  readonly transform: BertTransform;
  /**
   * The decoder's own where that is not tied: then nothing reads this one, which checkpoints have all the
   * same.
   */
  readonly bias: Tensor;
  readonly decoder: Linear;

  constructor(device: Device, config: PretrainedConfig, words: Tensor) {
    super();
    this.transform = new BertTransform(device, config);
    this.bias = biasParameter(device, config.vocabSize);
    this.decoder = decoderOf(device, config, words, this.bias);
  }

  /** [..., H] → [..., V]. */
  forward(x: Tensor): Tensor {
    return this.decoder.forward(this.transform.forward(x));
  }
}

/** Keys `cls.predictions.*`. */
export class BertLmHead extends Module {
  readonly predictions: BertPredictions;

  constructor(device: Device, config: PretrainedConfig, words: Tensor) {
    super();
    this.predictions = new BertPredictions(device, config, words);
  }

  forward(x: Tensor): Tensor {
    return this.predictions.forward(x);
  }
}

/** Keys `lm_head.*`. */
export class RobertaLmHead extends Module {
  readonly dense: Linear;
  readonly layer_norm: LayerNorm;
  readonly bias: Tensor;
  readonly decoder: Linear;

  constructor(device: Device, config: PretrainedConfig, words: Tensor) {
    super();
    this.dense = new Linear(device, config.hiddenSize, config.hiddenSize);
    this.layer_norm = new LayerNorm(device, config.hiddenSize, { eps: config.layerNormEps });
    this.bias = biasParameter(device, config.vocabSize);
    this.decoder = decoderOf(device, config, words, this.bias);
  }

  forward(x: Tensor): Tensor {
    return this.decoder.forward(this.layer_norm.forward(this.dense.forward(x, 'gelu')));
  }
}

/**
 * Loss of logits [B, labels]: int32 [B] for single-label, float32 [B, labels] for multi-label, float32 [B] or
 * [B, labels] for regression.
 */
export function sequenceLoss(config: PretrainedConfig, logits: Tensor, labels: Tensor): Tensor {
  const type = problemTypeOf(config, labels.dtype === 'float32');
  const expected = type === 'single_label_classification' ? 'int32' : 'float32';
  if (labels.dtype !== expected) {
    throw new DtypeError(`labels for ${type} are ${labels.dtype}`, { remedy: `they must be ${expected}` });
  }
  if (type === 'single_label_classification') return crossEntropy(logits, labels);
  if (type === 'multi_label_classification') return bceWithLogits(logits, labels);
  return mseLoss(reshape(logits, labels.size === logits.size ? labels.shape : logits.shape), labels);
}

/** Mean of the cross-entropies of start and end logits [B, L]; a position outside the text does not count. */
export function spanLoss(
  start: Tensor,
  end: Tensor,
  startPositions: Tensor,
  endPositions: Tensor,
): [Tensor, Tensor] {
  const length = start.shape[1]!;
  if (startPositions.rank !== 1 || endPositions.rank !== 1) {
    throw new ShapeError(
      `startPositions ${formatShape(startPositions.shape)} and endPositions must be [batch]`,
    );
  }
  // transformers moves positions past the end to `length`, and ignores that class.
  const options = { ignoreIndex: length, clampTargets: true };
  return [crossEntropy(start, startPositions, options), crossEntropy(end, endPositions, options)];
}

/** Rows of states [B, L, H] by flat position int32 [n] → [n, H]. */
export function gatherPositions(states: Tensor, positions: Tensor): Tensor {
  return embedding(reshape(states, [-1, states.shape[2]!]), positions);
}
