/** Tracks the best model of a training. */
import { platform } from '#platform';
import { ConfigError } from '../errors.ts';
import type { TrainingArguments } from './arguments.ts';
import { loadWeights } from './checkpoint.ts';
import type { Evaluation, Metrics } from './metrics.ts';
import type { Trainer } from './trainer.ts';

const metricName = ({ metricForBestModel }: TrainingArguments): string => metricForBestModel ?? 'loss';

/** The deciding metric's key in evaluations and the log. */
export function bestMetricKey(args: TrainingArguments): string {
  const name = metricName(args);
  return name.startsWith('eval_') ? name : `eval_${name}`;
}

/**
 * The value of the deciding metric; null if it is undefined for the data or not finite. Throws `ConfigError`
 * if the evaluation does not report it.
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

/** Whether larger is better. If the arguments do not say, the metric's name decides. */
function isGreaterBetter(args: TrainingArguments): boolean {
  return args.greaterIsBetter ?? !/loss|error|mse|mae|perplexity/i.test(metricName(args));
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

/** Notes each evaluation, and restores the best weights at the end. */
export class BestModel {
  /** The last evaluation; null if it was made before a resume. */
  private last: { step: number; evaluation: Evaluation | null } = { step: -1, evaluation: null };
  private best: Evaluation | null = null;
  private warned = false;

  constructor(private readonly trainer: Trainer) {}

  /** Finds out from the log of a resumed training whether its current step was evaluated. */
  resume(): void {
    const { globalStep: step, logHistory } = this.trainer.state;
    if (logHistory.some((entry) => entry.step === step && 'eval_loss' in entry))
      this.last = { step, evaluation: null };
  }

  get isEvaluated(): boolean {
    return this.last.step === this.trainer.state.globalStep;
  }

  /** Notes an evaluation of the current step. Returns whether it is the best so far, if that is tracked. */
  note(evaluation: Evaluation): boolean {
    const { args, state } = this.trainer;
    this.last = { step: state.globalStep, evaluation };
    const value = bestMetricOf(args, evaluation.metrics);
    if (value === null && !this.warned) {
      this.warned = true;
      this.trainer.warn(
        `the metric '${metricName(args)}' is not defined for the evaluation data (ROC-AUC of one class, say): such an evaluation is never the best, and counts as one without improvement`,
      );
    }
    const tracked = args.metricForBestModel !== null || args.loadBestModelAtEnd;
    if (!tracked || value === null || !isBetter(args, value, state.bestMetric)) return false;
    state.bestMetric = value;
    this.best = evaluation;
    // As in transformers, the step is kept only if checkpoints are.
    if (args.saveStrategy !== 'no' || args.loadBestModelAtEnd) state.bestGlobalStep = state.globalStep;
    return true;
  }

  /**
   * Loads the best weights with `loadBestModelAtEnd`. Returns their step, or null if the last weights stay,
   * and the evaluation of the weights the model then has.
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
