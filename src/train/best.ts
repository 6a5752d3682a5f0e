/** Which model is the best so far. */
import { ConfigError } from '../errors.ts';
import { isGreaterBetter, type TrainingArguments } from './arguments.ts';
import type { Metrics } from './metrics.ts';

const metricName = ({ metricForBestModel }: TrainingArguments): string => metricForBestModel ?? 'loss';

/** The key under which evaluations and the log have the metric that decides. */
export function bestMetricKey(args: TrainingArguments): string {
  const name = metricName(args);
  return name.startsWith('eval_') ? name : `eval_${name}`;
}

/**
 * The value of the metric that decides which model is best; null where it is not defined for the data, or no finite number. Throws
 * `ConfigError` where evaluations do not give it.
 */
export function bestMetricOf(args: TrainingArguments, metrics: Metrics): number | null {
  const value = metrics[bestMetricKey(args)];
  if (value === undefined) {
    throw new ConfigError(`metricForBestModel '${metricName(args)}' is not among the metrics`, {
      remedy: `use one of ${Object.keys(metrics).join(', ')}`,
    });
  }
  return value !== null && Number.isFinite(value) ? value : null;
}

export function isBetter(
  args: TrainingArguments,
  value: number,
  best: number | null,
  threshold = 0,
): boolean {
  if (best === null) return true;
  return isGreaterBetter(args) ? value > best + threshold : value < best - threshold;
}

/** Whether the training's state says which model is best: where somebody asked for it, as in transformers. */
export function tracksBest(args: TrainingArguments): boolean {
  return args.metricForBestModel !== null || args.loadBestModelAtEnd;
}

/** What is said once of a metric that an evaluation does not define. */
export function undefinedMetric(args: TrainingArguments): string {
  const name = metricName(args);
  return `the metric '${name}' is not defined for the evaluation data (ROC-AUC of one class, say): such an evaluation is never the best, and counts as one without improvement`;
}
