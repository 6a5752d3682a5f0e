/** Evaluation: predictions and labels of a whole dataset, and their metrics. */
import type { Batch, BatchArray } from '../data/collate.ts';
import { callUser } from '../data/example-checks.ts';
import { ConfigError, DataError } from '../errors.ts';
import { problemTypeOf } from '../models/common/config.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { TrainingArguments } from './arguments.ts';
import { arraysOf, joinBatches, type NamedArray } from './arrays.ts';
import { lossWeight } from './inputs.ts';
import { type Evaluation, evaluateLogits, type Metrics } from './metrics.ts';
import { predictBatches, type TrainableModel } from './predict.ts';

type Arrays<T> = Readonly<Record<string, T>>;

/**
 * Predictions and labels of a whole dataset, in its order. Arrays have a row for each example; if batches
 * differ in length, shorter rows are filled up with −100, as in transformers.
 */
export interface EvalPrediction {
  /** The model's outputs by name, without the loss: `predictions.startLogits.values`. */
  readonly predictions: Arrays<NamedArray>;
  /** The batches' labels by name: `labelIds.startPositions.values`. */
  readonly labelIds: Arrays<NamedArray<BatchArray>>;
  /** The values of `predictions.logits`, row-major. Throws `ConfigError` if the model gives none. */
  readonly logits: Float32Array;
  /** The values of `labelIds.labels`, row-major. Throws `ConfigError` if the batches have none. */
  readonly labels: Float32Array;
}

export type ComputeMetrics = (prediction: EvalPrediction) => Metrics;

/** transformers' rule (`find_labels`): names that contain `label`, and the answers to questions. */
const isLabel = (name: string): boolean => /label/i.test(name) || /^(start|end)Positions$/.test(name);

/** Joins the batches' arrays by name. Throws `DataError` naming an array that only some batches have. */
function joinByName<T extends NamedArray>(batches: readonly Arrays<T>[]): Arrays<T> {
  const names = new Set(batches.flatMap((arrays) => Object.keys(arrays)));
  const all = [...names].map((name) => {
    const parts = batches.flatMap((arrays) => arrays[name] ?? []);
    if (parts.length !== batches.length)
      throw new DataError(`evaluate: ${parts.length} of ${batches.length} batches have ${name}`, {
        remedy: 'give it for all examples, or for none',
      });
    return [name, joinBatches(name, parts) as T] as const;
  });
  return Object.fromEntries(all);
}

function namedOr(arrays: Arrays<NamedArray>, what: string, name: string): NamedArray {
  const found = arrays[name];
  if (found !== undefined) return found;
  const there = Object.keys(arrays).map((other) => `${what}.${other}.values`);
  throw new ConfigError(`computeMetrics: there is no ${what}.${name}`, {
    remedy: there.length > 0 ? `use ${there.join(', ')}` : 'there are none',
  });
}

function predictionOf(predictions: Arrays<NamedArray>, labelIds: EvalPrediction['labelIds']): EvalPrediction {
  return {
    predictions,
    labelIds,
    get logits() {
      return namedOr(predictions, 'predictions', 'logits').values as Float32Array;
    },
    get labels() {
      return Float32Array.from(namedOr(labelIds, 'labelIds', 'labels').values);
    },
  };
}

/**
 * Computes loss and metrics of some batches; names have no `eval_`. The loss is the mean over the batches'
 * losses, weighted by `lossWeight`; null if the model gives none. Metrics need labels (`labelNames`; null: by
 * transformers' rule): they are the user's, or those of the problem type if the logits are scores of the
 * config's classes.
 */
export async function evaluateModel(
  model: TrainableModel,
  batches: Iterable<Batch>,
  { fp16, labelNames }: TrainingArguments,
  computeMetrics?: ComputeMetrics,
): Promise<Evaluation> {
  const outputs: Arrays<NamedArray>[] = [];
  const labels: Arrays<NamedArray<BatchArray>>[] = [];
  const wanted = (name: string): boolean => labelNames?.includes(name) ?? isLabel(name);
  // Other outputs (scores of a whole vocabulary, say) are large, and only `computeMetrics` would use them.
  const reads = (name: string, { shape }: Tensor): boolean =>
    computeMetrics !== undefined || (name === 'logits' && shape.at(-1) === model.config.numLabels);
  let [lossSum, total, losses] = [0, 0, 0];
  for await (const prediction of predictBatches(model, batches, { fp16, reads })) {
    const { batch, loss } = prediction;
    outputs.push(prediction.outputs);
    labels.push(Object.fromEntries(arraysOf(batch).filter(([name]) => wanted(name))));
    if (loss === null) continue;
    const weight = lossWeight(model, batch);
    lossSum += loss * weight;
    total += weight;
    losses += 1;
  }
  const loss = losses === 0 ? null : total === 0 ? 0 : lossSum / total;
  const isEmpty = (arrays: Arrays<NamedArray>): boolean => Object.keys(arrays).length === 0;
  if (labels.every(isEmpty) || outputs.every(isEmpty)) return { metrics: { loss } };
  const prediction = predictionOf(joinByName(outputs), joinByName(labels));
  const { metrics, ...more } =
    computeMetrics === undefined
      ? report(model, prediction)
      : { metrics: customMetrics(computeMetrics, prediction) };
  return { metrics: { loss, ...metrics }, ...more };
}

/**
 * The metrics of the model's problem type; none if labels or logits are missing, or do not match in number.
 */
function report({ config }: TrainableModel, { predictions, labelIds }: EvalPrediction): Evaluation {
  const { logits } = predictions;
  const { labels } = labelIds;
  if (logits === undefined || labels === undefined) return { metrics: {} };
  const problemType = problemTypeOf(config, labels.values instanceof Float32Array);
  const each = problemType === 'single_label_classification' ? config.numLabels : 1;
  if (labels.values.length * each !== logits.values.length) return { metrics: {} };
  return evaluateLogits(problemType, logits.values as Float32Array, labels.values, config.numLabels);
}

/**
 * Calls the user's function. Throws `UserCodeError` if that throws, `ConfigError` if it returns anything but
 * numbers.
 */
function customMetrics(computeMetrics: ComputeMetrics, prediction: EvalPrediction): Metrics {
  const metrics = callUser('computeMetrics', () => computeMetrics(prediction));
  const remedy = 'return an object of numbers, or null where one is not defined';
  if (typeof metrics !== 'object' || metrics === null || metrics instanceof Promise)
    throw new ConfigError(`computeMetrics gave ${String(metrics)}`, { remedy });
  for (const [name, value] of Object.entries(metrics))
    if (value !== null && typeof value !== 'number')
      throw new ConfigError(`computeMetrics gave ${String(value)} for '${name}'`, { remedy });
  return metrics;
}
