/** Evaluation: what a model gives for a dataset, beside the labels, and metrics of it. */
import type { Batch, BatchArray } from '../data/collate.ts';
import { callUser } from '../data/example-checks.ts';
import { ConfigError, DataError } from '../errors.ts';
import { problemTypeOf } from '../models/config.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { arraysOf, joined, type NamedArray } from './arrays.ts';
import { lossWeight } from './inputs.ts';
import { type Evaluation, evaluateLogits, type Metrics } from './metrics.ts';
import { predictBatches, type TrainableModel } from './predict.ts';

type Arrays<T> = Readonly<Record<string, T>>;

/**
 * What a model gives and what is right, over a whole dataset in its order. Arrays have a row for each example;
 * where batches differ in length, the shorter ones are filled up with −100, in predictions and labels alike.
 */
export interface EvalPrediction {
  /** The model's outputs by name, the loss left out: `predictions.startLogits.values`. */
  readonly predictions: Arrays<NamedArray>;
  /** The batches' labels by name: `labelIds.startPositions.values`. */
  readonly labelIds: Arrays<NamedArray<BatchArray>>;
  /** The values of `predictions.logits`, row-major. Throws `ConfigError` where the model gives none. */
  readonly logits: Float32Array;
  /** The values of `labelIds.labels`, row-major. Throws `ConfigError` where the batches have none. */
  readonly labels: Float32Array;
}

export type ComputeMetrics = (prediction: EvalPrediction) => Metrics;

export interface EvaluateOptions {
  fp16: boolean;
  /** Which arrays of a batch are labels; null: those that transformers takes for such. */
  labelNames: readonly string[] | null;
  /** Replaces the report that the model's problem type gives. */
  computeMetrics?: ComputeMetrics | undefined;
}

/** As transformers' `find_labels`: what has `label` in its name, and the answers to questions. */
const isLabel = (name: string): boolean => /label/i.test(name) || /^(start|end)Positions$/.test(name);

/** Parts of arrays, by name and batch. */
class Parts<T extends NamedArray> {
  private readonly parts = new Map<string, T[]>();
  private batches = 0;

  add(arrays: readonly (readonly [string, T])[]): void {
    this.batches += 1;
    for (const [name, array] of arrays) {
      const parts = this.parts.get(name) ?? [];
      parts.push(array);
      this.parts.set(name, parts);
    }
  }

  get empty(): boolean {
    return this.parts.size === 0;
  }

  /** Throws `DataError` naming an array that only some batches have. */
  join(): Arrays<T> {
    const all = [...this.parts].map(([name, parts]) => {
      if (parts.length !== this.batches)
        throw new DataError(`evaluate: ${parts.length} of ${this.batches} batches have ${name}`, {
          remedy: 'give it for all examples, or for none',
        });
      return [name, joined(name, parts) as T] as const;
    });
    return Object.fromEntries(all);
  }
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
 * Loss and metrics of some batches, under plain names. The loss is the mean of the batches', each weighing what
 * it is a mean over; null where the model gives none. There are metrics where there are labels: the user's, or
 * those of the problem type where logits are scores of the config's classes.
 */
export async function evaluateModel(
  model: TrainableModel,
  batches: Iterable<Batch>,
  { fp16, labelNames, computeMetrics }: EvaluateOptions,
): Promise<{ loss: number | null; evaluation: Evaluation }> {
  const outputs = new Parts<NamedArray>();
  const labels = new Parts<NamedArray<BatchArray>>();
  const wanted = (name: string): boolean => labelNames?.includes(name) ?? isLabel(name);
  // Scores of all words, say, are much to keep, and nothing reports on them.
  const reads = (name: string, { shape }: Tensor): boolean =>
    computeMetrics !== undefined || (name === 'logits' && shape.at(-1) === model.config.numLabels);
  let [lossSum, total, losses] = [0, 0, 0];
  for await (const prediction of predictBatches(model, batches, { fp16, reads })) {
    const { batch, loss } = prediction;
    outputs.add(Object.entries(prediction.outputs));
    labels.add(arraysOf(batch).filter(([name]) => wanted(name)));
    if (loss === null) continue;
    const weight = lossWeight(model, batch);
    lossSum += loss * weight;
    total += weight;
    losses += 1;
  }
  const loss = losses === 0 ? null : total === 0 ? 0 : lossSum / total;
  if (labels.empty || outputs.empty) return { loss, evaluation: { metrics: {} } };
  const prediction = predictionOf(outputs.join(), labels.join());
  const evaluation =
    computeMetrics === undefined
      ? report(model, prediction)
      : { metrics: customMetrics(computeMetrics, prediction) };
  return { loss, evaluation };
}

/** What the model's problem type reports; nothing where its logits are not scores of the config's classes. */
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
 * What the user's function gives. Throws `UserCodeError` where it throws, `ConfigError` where it gives
 * something else than numbers.
 */
function customMetrics(computeMetrics: ComputeMetrics, prediction: EvalPrediction): Metrics {
  const metrics = callUser('computeMetrics', () => computeMetrics(prediction));
  const isRecord = typeof metrics === 'object' && metrics !== null && !(metrics instanceof Promise);
  const broken = isRecord
    ? Object.entries(metrics).find(([, value]) => value !== null && typeof value !== 'number')
    : undefined;
  if (!isRecord || broken !== undefined)
    throw new ConfigError(
      broken === undefined
        ? `computeMetrics gave ${String(metrics)}`
        : `computeMetrics gave ${String(broken[1])} for '${broken[0]}'`,
      { remedy: 'return an object of numbers, or null where one is not defined' },
    );
  return metrics;
}
