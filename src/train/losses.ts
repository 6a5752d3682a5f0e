/** The loss of a training with label smoothing or weights of classes. */
import { cached } from '../cached.ts';
import type { Batch } from '../data/collate.ts';
import { isStream, type TrainDataset } from '../data/stream.ts';
import { ConfigError } from '../errors.ts';
import { namesOf } from '../models/common/class-names.ts';
import type { PretrainedConfig } from '../models/common/config.ts';
import type { Device } from '../tensor/device.ts';
import { crossEntropy, IGNORED } from '../tensor/ops/loss.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { TrainingArguments } from './arguments.ts';
import type { ComputeLoss } from './predict.ts';

/** A loss in place of the model's own. */
export interface LossRule {
  computeLoss: ComputeLoss;
  /** Frees what the loss keeps on the device; the next batch uploads it again. */
  dispose(): void;
  /** What the loss of a batch is a mean over: the weights of its labels. */
  weightOf(batch: Batch): number;
}

const remedy = 'leave labelSmoothingFactor and classWeights out, or pass computeLoss';

/**
 * Null if the arguments ask for none. Throws `ConfigError` for weights that do not go with the model's
 * classes, or that cannot be made of the training data.
 */
export function lossRule(
  { labelSmoothingFactor, classWeights }: TrainingArguments,
  config: PretrainedConfig,
  trainDataset: TrainDataset | undefined,
): LossRule | null {
  if (labelSmoothingFactor === 0 && classWeights === null) return null;
  const weights =
    classWeights === 'balanced'
      ? balanced(trainDataset, namesOf(config))
      : classWeights && inOrder(classWeights, namesOf(config));
  // A rehearsal has a device of its own.
  const uploaded = new Map<Device, Tensor>();
  return {
    dispose() {
      for (const weight of uploaded.values()) weight.dispose();
      uploaded.clear();
    },
    computeLoss(model, { labels, ...inputs }) {
      if (labels === undefined && inputs.startPositions === undefined) return model.forward(inputs as never);
      if (labels?.dtype !== 'int32')
        throw new ConfigError(
          `the labels are ${labels === undefined ? 'positions' : 'values'}, not classes`,
          {
            remedy,
          },
        );
      const outputs = model.forward(inputs as never) as { logits?: Tensor };
      if (outputs.logits === undefined) throw new ConfigError('the model gives no logits', { remedy });
      const { device } = outputs.logits;
      const weight =
        weights === null ? undefined : cached(uploaded, device, () => device.keep(device.tensor(weights)));
      const loss = crossEntropy(outputs.logits, labels, { labelSmoothing: labelSmoothingFactor, weight });
      return { ...outputs, loss };
    },
    weightOf: ({ labels, shape }) =>
      labels instanceof Int32Array
        ? labels.reduce((sum, label) => sum + (label === IGNORED ? 0 : (weights?.[label] ?? 1)), 0)
        : (shape[0] ?? 1),
  };
}

/** Weights in the order of the classes. */
function inOrder(
  given: readonly number[] | Readonly<Record<string, number>>,
  names: readonly string[],
): Float32Array {
  const byName = Array.isArray(given)
    ? Object.fromEntries(given.map((weight, id) => [names[id] ?? id, weight]))
    : given;
  const count = Object.keys(byName).length;
  const missing = names.find((name) => !Object.hasOwn(byName, name));
  if (missing === undefined && count === names.length)
    return Float32Array.from(names, (name) => (byName as Record<string, number>)[name]!);
  const what = Array.isArray(given)
    ? `has ${given.length} weights`
    : `names ${Object.keys(given).join(', ')}`;
  throw new ConfigError(`classWeights ${what}, and the classes are ${names.join(', ')}`, {
    remedy: 'give a weight for each class',
  });
}

/** scikit-learn's `compute_class_weight('balanced')`. */
function balanced(dataset: TrainDataset | undefined, names: readonly string[]): Float32Array {
  if (dataset === undefined)
    throw new ConfigError("classWeights is 'balanced', and there are no training data", {
      remedy: 'pass trainDataset, or a list of weights',
    });
  if (isStream(dataset))
    throw new ConfigError("classWeights is 'balanced', and the training data are a stream", {
      remedy: 'give a number for each class',
    });
  const counts = names.map(() => 0);
  for (let index = 0; index < dataset.length; index += 1) {
    const { label } = (dataset.get(index) ?? {}) as { label?: number | readonly number[] };
    for (const one of [label ?? []].flat()) if (counts[one] !== undefined) counts[one] += 1;
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  const missing = names.find((_, id) => counts[id] === 0);
  if (missing !== undefined)
    throw new ConfigError(`classWeights is 'balanced', and no training example has the class '${missing}'`, {
      remedy: 'give the weights in a list',
    });
  return Float32Array.from(counts, (count) => total / (names.length * count));
}
