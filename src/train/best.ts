/** Which model is the best so far. */
import { platform } from '#platform';
import { ConfigError } from '../errors.ts';
import type { TrainingArguments } from './arguments.ts';
import { loadWeights } from './checkpoint.ts';
import type { Evaluation, Metrics } from './metrics.ts';
import type { Trainer } from './trainer.ts';

const metricName = ({ metricForBestModel }: TrainingArguments): string => metricForBestModel ?? 'loss';

/** The key under which evaluations and the log have the metric that decides. */
export function bestMetricKey(args: TrainingArguments): string {
  const name = metricName(args);
  return name.startsWith('eval_') ? name : `eval_${name}`;
}

/**
 * The value of the metric that decides which model is best; null where it is not defined for the data, or no
 * finite number. Throws `ConfigError` where evaluations do not give it.
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

/** Whether a larger value of the metric is better, by its name where the arguments do not say. */
function isGreaterBetter(args: TrainingArguments): boolean {
  return args.greaterIsBetter ?? !/loss|error|mse|mae|perplexity/i.test(args.metricForBestModel ?? 'loss');
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

/** Evaluations of a training: which step was the best, and what is to be kept of them. */
export class BestModel {
  private readonly trainer: Trainer;
  /** The last evaluation; null where an earlier run made it. */
  private last: { step: number; evaluation: Evaluation | null } = { step: -1, evaluation: null };
  private best: Evaluation | null = null;
  private warned = false;

  constructor(trainer: Trainer) {
    this.trainer = trainer;
  }

  /** Takes note of what the log of a resumed training has. */
  resume(): void {
    const { globalStep: step, logHistory } = this.trainer.state;
    if (logHistory.some((entry) => entry.step === step && 'eval_loss' in entry))
      this.last = { step, evaluation: null };
  }

  /** Whether the current step was evaluated. */
  get isEvaluated(): boolean {
    return this.last.step === this.trainer.state.globalStep;
  }

  /** Notes an evaluation of the current step; whether it is the best so far, where anybody asked for that. */
  note(evaluation: Evaluation): boolean {
    const { args, state } = this.trainer;
    this.last = { step: state.globalStep, evaluation };
    const value = bestMetricOf(args, evaluation.metrics);
    if (value === null) this.warnOfMetric();
    const tracked = args.metricForBestModel !== null || args.loadBestModelAtEnd;
    if (!tracked || value === null || !isBetter(args, value, state.bestMetric)) return false;
    state.bestMetric = value;
    this.best = evaluation;
    // As in transformers, the step stands only where checkpoints do.
    if (args.saveStrategy !== 'no' || args.loadBestModelAtEnd) state.bestGlobalStep = state.globalStep;
    return true;
  }

  private warnOfMetric(): void {
    if (this.warned) return;
    this.warned = true;
    this.trainer.warn(
      `the metric '${metricName(this.trainer.args)}' is not defined for the evaluation data (ROC-AUC of one class, say): such an evaluation is never the best, and counts as one without improvement`,
    );
  }

  /**
   * Loads the best weights where that is asked for; the step they are of, null where the last ones stay, and
   * their evaluation.
   */
  async restore(): Promise<{ restoredStep: number | null; evaluation: Evaluation | null }> {
    const { trainer, last } = this;
    const { args, state, model } = trainer;
    const kept = { restoredStep: null, evaluation: this.isEvaluated ? last.evaluation : null };
    if (!args.loadBestModelAtEnd) return kept;
    const { bestModelCheckpoint: path, bestGlobalStep } = state;
    if (path === null || bestGlobalStep === null) {
      trainer.warn('no evaluation was the best: the last weights are saved');
      return kept;
    }
    if (bestGlobalStep === state.globalStep) return kept;
    if (!(await platform.isFolder(path))) {
      trainer.warn(`the best checkpoint '${path}' is gone: the last weights are saved instead`);
      return kept;
    }
    await loadWeights(path, model);
    return { restoredStep: bestGlobalStep, evaluation: this.best };
  }
}
