/** Heads on top of a base model, and the loss of each task. B batch, L length, H hidden, V vocabulary. */
import { DtypeError, ShapeError } from '../../errors.ts';
import type { Activation } from '../../kernels/activations.ts';
import { biasParameter, Dropout, LayerNorm, Linear, skipInit } from '../../nn/layers.ts';
import { declarePure, Module } from '../../nn/module.ts';
import type { Device } from '../../tensor/device.ts';
import { add, scale } from '../../tensor/ops/elementwise.ts';
import { embedding } from '../../tensor/ops/embedding.ts';
import { bceWithLogits, crossEntropy, mseLoss } from '../../tensor/ops/loss.ts';
import { reshape } from '../../tensor/ops/view.ts';
import { formatShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { activationOf, type HiddenActivation } from './activations.ts';
import type { BaseModel, BaseModelOutput } from './base-model.ts';
import { type PretrainedConfig, problemTypeOf } from './config.ts';
import type { ModelInputs } from './inputs.ts';

/** A head: modules that become properties of the model, under names that the family may change for files. */
export interface Head<Parts extends object> {
  parts(config: PretrainedConfig, device: Device, base: BaseModel): Parts;
  /** Computes logits from the base model's output by the parts, which are read from the model. */
  logits(parts: Parts, output: BaseModelOutput, inputs: Pick<ModelInputs, 'attentionMask'>): Tensor;
  /** Whether `logits` reads `poolerOutput`. Default false. */
  readonly pooler?: boolean;
  /** Path of the layer with a row for each class, if the task has classes. */
  readonly classLayer?: string;
}

/** Infers the type of a head's parts. */
export function head<Parts extends object>(parts: Head<Parts>): Head<Parts> {
  return parts;
}

export function classifierDropout(config: PretrainedConfig): Dropout {
  return new Dropout(config.classifierDropout ?? config.hiddenDropoutProb);
}

/** Dropout and projection of every token: logits [B, L, labels]. */
export const eachToken = head({
  parts: (config, device) => ({
    dropout: classifierDropout(config),
    classifier: new Linear(device, config.hiddenSize, config.numLabels),
  }),
  logits: ({ dropout, classifier }, { lastHiddenState }) =>
    classifier.forward(dropout.forward(lastHiddenState)),
  classLayer: 'classifier',
});

/** Dropout and projection of the pooled first token: logits [B, labels]. */
export const pooled = head({
  parts: eachToken.parts,
  logits: ({ dropout, classifier }, { poolerOutput }) => classifier.forward(dropout.forward(poolerOutput!)),
  pooler: true,
  classLayer: 'classifier',
});

/** Projection of every token to two numbers, how well an answer starts and ends there: logits [B, L, 2]. */
export const answerSpan = head({
  parts: (config, device) => ({ qa_outputs: new Linear(device, config.hiddenSize, config.numLabels) }),
  logits: ({ qa_outputs }, { lastHiddenState }) => qa_outputs.forward(lastHiddenState),
});

/**
 * The projection to the vocabulary. If the config ties it, its weight is the matrix of the word embeddings,
 * and its bias the head's, if that has one; null: it has none.
 */
export function decoderOf(
  device: Device,
  { vocabSize, tieWordEmbeddings }: PretrainedConfig,
  words: Tensor,
  headBias?: Tensor | null,
): Linear {
  const width = words.shape[1]!;
  if (!tieWordEmbeddings) return new Linear(device, width, vocabSize, { bias: headBias !== null });
  const bias = headBias === undefined ? biasParameter(device, vocabSize) : headBias;
  // Shared memory is filled by its owners.
  return skipInit(() => new Linear(device, width, vocabSize, { memory: { weight: words, bias } }));
}

/** Dense, activation, LayerNorm as wide as the embeddings, projection to the vocabulary: [..., H] → [..., V]. */
export class LmHead extends Module {
  readonly dense: Linear;
  readonly layer_norm: LayerNorm;
  /** The decoder's own if tied. Nothing reads it otherwise, but checkpoints have it all the same. */
  readonly bias: Tensor;
  readonly decoder: Linear;
  private readonly activation: Activation;

  constructor(device: Device, config: PretrainedConfig, words: Tensor, activation: HiddenActivation) {
    super();
    const width = words.shape[1]!;
    this.dense = new Linear(device, config.hiddenSize, width);
    this.layer_norm = new LayerNorm(device, width, { eps: config.layerNormEps });
    this.bias = biasParameter(device, config.vocabSize);
    this.decoder = decoderOf(device, config, words, this.bias);
    this.activation = activationOf(activation);
  }

  forward(x: Tensor): Tensor {
    return this.decoder.forward(this.layer_norm.forward(this.dense.forwardActivated(x, this.activation)));
  }
}

declarePure(LmHead);

/** A head of masked language modelling; its activation is the config's unless the family has a fixed one. */
export const vocabulary = (activation?: HiddenActivation) =>
  head({
    parts: (config, device, { wordEmbeddings: { weight } }) => ({
      lm_head: new LmHead(device, config, weight, activation ?? config.hiddenAct),
    }),
    logits: ({ lm_head }, { lastHiddenState }) => lm_head.forward(lastHiddenState),
  });

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

/**
 * Mean of the cross-entropies of start logits and of end logits [B, L]; a position outside the text does not
 * count.
 */
export function spanLoss(start: Tensor, end: Tensor, startPositions: Tensor, endPositions: Tensor): Tensor {
  const length = start.shape[1]!;
  if (startPositions.rank !== 1 || endPositions.rank !== 1) {
    throw new ShapeError(
      `startPositions ${formatShape(startPositions.shape)} and endPositions must be [batch]`,
    );
  }
  // transformers clamps positions past the end to `length`, and ignores that class.
  const options = { ignoreIndex: length, clampTargets: true };
  const starts = crossEntropy(start, startPositions, options);
  return scale(add(starts, crossEntropy(end, endPositions, options)), 0.5);
}

/** Rows of states [B, L, H] by flat position int32 [n] → [n, H]. */
export function gatherPositions(states: Tensor, positions: Tensor): Tensor {
  return embedding(reshape(states, [-1, states.shape[2]!]), positions);
}
