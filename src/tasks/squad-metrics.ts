/** Exact match and F1 of answers, as the official script of SQuAD 2 computes them. */
import { DataError } from '../errors.ts';
import type { Metrics } from '../train/metrics.ts';

/** ASCII punctuation, Python's `string.punctuation`. */
const punctuation = /[!-/:-@[-`{-~]/g;
/** Python's `\b` knows letters of every script. */
const article = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;
const space = /\p{White_Space}+/u;

const tokensOf = (text: string): string[] =>
  text
    .toLowerCase()
    .replace(punctuation, '')
    .replace(article, ' ')
    .split(space)
    .filter((token) => token !== '');

/** Lower case, without punctuation, articles and extra white space. */
export function normalizeAnswer(text: string): string {
  return tokensOf(text).join(' ');
}

/** F1 of the words that two answers share; if one has none, whether the other has none either. */
export function answerF1(actual: string, predicted: string): number {
  const [gold, guess] = [tokensOf(actual), tokensOf(predicted)];
  if (gold.length === 0 || guess.length === 0) return gold.length === guess.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const token of gold) left.set(token, (left.get(token) ?? 0) + 1);
  let same = 0;
  for (const token of guess) {
    const count = left.get(token) ?? 0;
    if (count > 0) same += 1;
    left.set(token, count - 1);
  }
  return same === 0 ? 0 : (2 * same) / (gold.length + guess.length);
}

export interface AnsweredQuestion {
  /** True answers; none if the text does not answer the question. */
  answers: readonly string[];
  /** The predicted answer; '' for none. */
  prediction: string;
  /** How likely there is no answer, on any scale; for the best thresholds. */
  noAnswer?: number;
}

interface Scored {
  exact: number;
  f1: number;
  answerable: boolean;
  prediction: string;
  noAnswer: number;
}

function score({ answers, prediction, noAnswer = 0 }: AnsweredQuestion): Scored {
  const real = answers.filter((answer) => normalizeAnswer(answer) !== '');
  const gold = real.length === 0 ? [''] : real;
  const best = (of: (answer: string) => number): number => Math.max(...gold.map(of));
  return {
    exact: best((answer) => (normalizeAnswer(answer) === normalizeAnswer(prediction) ? 1 : 0)),
    f1: best((answer) => answerF1(answer, prediction)),
    answerable: answers.length > 0,
    prediction,
    noAnswer,
  };
}

const percent = (scored: readonly Scored[], key: 'exact' | 'f1'): number =>
  (100 * scored.reduce((sum, one) => sum + one[key], 0)) / scored.length;

/**
 * The highest score if each question whose `noAnswer` is above a threshold had none, and that threshold.
 */
function bestThreshold(scored: readonly Scored[], key: 'exact' | 'f1'): [score: number, threshold: number] {
  let current = scored.filter(({ answerable }) => !answerable).length;
  let [best, threshold] = [current, 0];
  for (const one of [...scored].sort((a, b) => a.noAnswer - b.noAnswer)) {
    current += one.answerable ? one[key] : one.prediction === '' ? 0 : -1;
    if (current > best) [best, threshold] = [current, one.noAnswer];
  }
  return [(100 * best) / scored.length, threshold];
}

/**
 * `exact_match` and `f1` in percent. If some questions have no answer, also those of either kind, and the
 * best that a threshold on `noAnswer` could reach. Throws `DataError` without questions.
 */
export function squadMetrics(questions: readonly AnsweredQuestion[]): Metrics {
  if (questions.length === 0) throw new DataError('metrics: there are no questions');
  const scored = questions.map(score);
  const metrics: Metrics = { exact_match: percent(scored, 'exact'), f1: percent(scored, 'f1') };
  const without = scored.filter(({ answerable }) => !answerable);
  if (without.length === 0) return metrics;
  const answerable = scored.filter((one) => one.answerable);
  for (const [prefix, part] of Object.entries({ HasAns: answerable, NoAns: without })) {
    if (part.length === 0) continue;
    metrics[`${prefix}_exact`] = percent(part, 'exact');
    metrics[`${prefix}_f1`] = percent(part, 'f1');
    metrics[`${prefix}_total`] = part.length;
  }
  for (const key of ['exact', 'f1'] as const)
    [metrics[`best_${key}`], metrics[`best_${key}_thresh`]] = bestThreshold(scored, key);
  return metrics;
}
