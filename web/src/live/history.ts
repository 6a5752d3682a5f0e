/** The log of a training as curves, and as rows of a table. */
import type { LogEntry } from 'dawngrad';

/** Of the charts: steps, and a value or a gap for each. */
export interface Curves {
  steps: number[];
  loss: (number | null)[];
  /** A running mean of it. */
  smooth: (number | null)[];
  evalLoss: (number | null)[];
  /** Accuracy, F1 or a correlation: what is best when high. */
  score: (number | null)[];
}

export interface EvaluationEntry {
  epoch: number;
  step: number;
  loss: number | null;
  evalLoss: number | null;
  score: number | null;
}

/** The metrics that are shown, by preference. */
const SCORES = ['eval_accuracy', 'eval_f1_micro', 'eval_f1', 'eval_pearson', 'eval_spearman', 'eval_r2'];

/** The key of the score of a log; null if it has none. */
export function scoreOf(log: readonly LogEntry[]): string | null {
  return SCORES.find((key) => log.some((entry) => key in entry)) ?? null;
}

const isLoss = (entry: LogEntry): boolean => 'loss' in entry;
const isEvaluation = (entry: LogEntry): boolean => 'eval_loss' in entry;

/** A step with a loss and an evaluation is one point. */
export function curvesOf(log: readonly LogEntry[]): Curves {
  const key = scoreOf(log);
  const points = new Map<number, LogEntry>();
  for (const entry of log) {
    const { step } = entry;
    if (typeof step !== 'number' || !(isLoss(entry) || isEvaluation(entry))) continue;
    points.set(step, { ...points.get(step), ...entry });
  }
  const steps = [...points.keys()].sort((a, b) => a - b);
  const column = (name: string | null): (number | null)[] =>
    steps.map((step) => (name === null ? null : (points.get(step)![name] ?? null)));
  const loss = column('loss');
  return { steps, loss, smooth: smoothed(loss), evalLoss: column('eval_loss'), score: column(key) };
}

/** Share of the mean that stays from one value to the next. */
const INERTIA = 0.85;

/** An exponential mean, which does not favor the first value; gaps stay gaps. */
export function smoothed(values: readonly (number | null)[]): (number | null)[] {
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    sum = INERTIA * sum + (1 - INERTIA) * value;
    weight = INERTIA * weight + (1 - INERTIA);
    return sum / weight;
  });
}

/** Each evaluation, with the loss that the training had then. */
export function evaluationsOf(log: readonly LogEntry[]): EvaluationEntry[] {
  const key = scoreOf(log);
  let loss: number | null = null;
  const rows: EvaluationEntry[] = [];
  for (const entry of log) {
    if (isLoss(entry)) loss = entry.loss ?? null;
    if (isEvaluation(entry))
      rows.push({
        epoch: entry.epoch ?? 0,
        step: entry.step ?? 0,
        loss,
        evalLoss: entry.eval_loss ?? null,
        score: key === null ? null : (entry[key] ?? null),
      });
  }
  return rows;
}
