/** Evaluation: predictions and labels of a whole dataset, and their metrics. */
import type { Batch, BatchArray } from '../data/collate.ts';
import type { Dataset } from '../data/dataset.ts';
import { callUser } from '../data/example-checks.ts';
import { ConfigError, DataError } from '../errors.ts';
import { problemTypeOf } from '../models/common/config.ts';
import { MaskedLm } from '../models/common/tasks.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { TrainingArguments } from './arguments.ts';
import { arraysOf, joinBatches, type NamedArray } from './arrays.ts';
import { lossWeight } from './inputs.ts';
import type { LossRule } from './losses.ts';
import { type Evaluation, evaluateLogits, type Metrics } from './metrics.ts';
import { type ComputeLoss, predictBatches, type TrainableModel } from './predict.ts';
import { Ranks } from './ranks.ts';
import { sharedData } from './shared.ts';

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
  /** The dataset that was predicted, whose examples may hold what no label says. */
  readonly dataset: Dataset<unknown>;
}

export type ComputeMetrics = (prediction: EvalPrediction) => Metrics;

/** What a user's code does in an evaluation. */
export interface EvaluationHooks {
  /** Replaces the metrics of the model's problem type. */
  computeMetrics?: ComputeMetrics | undefined;
  /**
   * Replaces the outputs of each batch, by name, before those of all batches are joined: to keep the best class
   * of each token only, say.
   */
  preprocessLogitsForMetrics?:
    | ((outputs: Readonly<Record<string, NamedArray>>, batch: Batch) => Record<string, NamedArray>)
    | undefined;
  computeLoss?: ComputeLoss | undefined;
}

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

function predictionOf(
  predictions: Arrays<NamedArray>,
  labelIds: EvalPrediction['labelIds'],
  dataset: Dataset<unknown>,
): EvalPrediction {
  return {
    predictions,
    labelIds,
    dataset,
    get logits() {
      return namedOr(predictions, 'predictions', 'logits').values as Float32Array;
    },
    get labels() {
      return Float32Array.from(namedOr(labelIds, 'labelIds', 'labels').values);
    },
  };
}

/** What an evaluation keeps of a batch. */
interface EvaluatedBatch {
  outputs: Arrays<NamedArray>;
  labels: Arrays<NamedArray<BatchArray>>;
  loss: number | null;
  weight: number;
}

/** The mean of the batches' losses by weight; null without any, 0 if nothing counts. */
function meanLoss(batches: readonly EvaluatedBatch[]): number | null {
  let [sum, total, losses] = [0, 0, 0];
  for (const { loss, weight } of batches) {
    if (loss === null) continue;
    sum += loss * weight;
    total += weight;
    losses += 1;
  }
  return losses === 0 ? null : total === 0 ? 0 : sum / total;
}

/**
 * Computes loss and metrics of a dataset's batches; names have no `eval_`. The loss is the mean over the
 * batches' losses, weighted by `lossWeight`; null if the model gives none. Metrics need labels (`labelNames`;
 * null: by transformers' rule): they are the user's, those of the problem type if the logits are scores of the
 * config's classes, or the perplexity of a masked language model. `readsAll` keeps every output. Each of
 * several `ranks` computes every n-th batch, and gets the results of all.
 */
export async function evaluateModel(
  model: TrainableModel,
  loader: {
    dataset: Dataset<unknown>;
    batches(epoch: number, first: number, every: number): Iterable<Batch>;
  },
  { fp16, labelNames }: TrainingArguments,
  hooks: EvaluationHooks & Partial<Pick<LossRule, 'weightOf'>>,
  { readsAll = false, ranks = new Ranks(null) }: { readsAll?: boolean; ranks?: Ranks } = {},
): Promise<{ evaluation: Evaluation; prediction: EvalPrediction }> {
  const { computeMetrics, preprocessLogitsForMetrics: preprocess, computeLoss } = hooks;
  const { weightOf = (batch: Batch) => lossWeight(model, batch) } = hooks;
  const own: EvaluatedBatch[] = [];
  await ranks.checkSame(() => sharedData(loader.dataset));
  const wanted = (name: string): boolean => labelNames?.includes(name) ?? isLabel(name);
  // Other outputs (scores of a whole vocabulary, say) are large, and only `computeMetrics` would use them.
  const some = (name: string, { shape }: Tensor): boolean =>
    computeMetrics !== undefined || (name === 'logits' && shape.at(-1) === model.config.numLabels);
  for await (const one of predictBatches(model, loader.batches(0, ranks.rank, ranks.size), {
    fp16,
    ...(!readsAll && { reads: some }),
    computeLoss,
  })) {
    const { batch, loss } = one;
    own.push({
      outputs:
        preprocess === undefined
          ? one.outputs
          : callUser('preprocessLogitsForMetrics', () => preprocess(one.outputs, batch)),
      labels: Object.fromEntries(arraysOf(batch).filter(([name]) => wanted(name))),
      loss,
      weight: loss === null ? 0 : weightOf(batch),
    });
  }
  const batches = await ranks.dealt(own);
  const loss = meanLoss(batches);
  const prediction = predictionOf(
    joinByName(batches.map(({ outputs }) => outputs)),
    joinByName(batches.map(({ labels }) => labels)),
    loader.dataset,
  );
  const isEmpty = (arrays: Arrays<NamedArray>): boolean => Object.keys(arrays).length === 0;
  const known = !isEmpty(prediction.predictions) && !isEmpty(prediction.labelIds);
  if (computeMetrics !== undefined && known)
    return {
      evaluation: { metrics: { loss, ...customMetrics(computeMetrics, prediction) } },
      prediction,
    };
  if (model instanceof MaskedLm && loss !== null)
    return { evaluation: { metrics: { loss, perplexity: Math.exp(loss) } }, prediction };
  const { metrics, ...more } = known ? report(model, prediction) : { metrics: {} };
  return { evaluation: { metrics: { loss, ...metrics }, ...more }, prediction };
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
