/** The best answers to a question, from the start and end logits of the windows over its text. */
import { softmaxRows } from '../train/metrics.ts';

/** A window over a text, and what the model gives for it. */
export interface AnsweredWindow {
  /** A logit for each token. */
  start: Float32Array;
  end: Float32Array;
  /** [start, end) of each token in the text; null for a token that is not part of it. */
  places: readonly (readonly [number, number] | null)[];
  /** The first token, whose logits rate that there is no answer. */
  none: number;
}

export interface RankedAnswer {
  /** [start, end) in the text, in UTF-16 units; empty for no answer. */
  start: number;
  end: number;
  /** Sum of the logits of start and end. */
  logit: number;
  /** Softmax of `logit` over the ranked answers. */
  probability: number;
  /**
   * Product of both ends' probabilities among the tokens of the window's text and its first token, as of the
   * pipeline of transformers.js.
   */
  score: number;
}

export interface RankingOptions {
  /** Default 20. */
  nBest?: number | undefined;
  /** In tokens. Default 30. */
  maxAnswerLength?: number | undefined;
  /** Whether there may be no answer. */
  mayBeNone: boolean;
  /** How much better no answer must be than the best one. Default 0. */
  nullThreshold?: number | undefined;
}

export interface Ranking {
  /** The best first; the first may be no answer. Never empty. */
  answers: RankedAnswer[];
  /** How much better no answer is than the best one; 0 unless there may be none. */
  scoreDifference: number;
}

/** Indices of the largest values, the largest first. */
function largest(values: Float32Array, count: number): number[] {
  return [...values.keys()].sort((a, b) => values[b]! - values[a]!).slice(0, count);
}

type Candidate = Omit<RankedAnswer, 'probability'>;

/** The window's answers among its best starts and ends, and no answer. */
function candidates(
  { start, end, places, none }: AnsweredWindow,
  nBest: number,
  most: number,
): { found: Candidate[]; empty: Candidate } {
  const known = [...places.keys()].filter((at) => places[at] !== null || at === none);
  const probabilities = (logits: Float32Array): Map<number, number> => {
    const shares = softmaxRows(
      known.map((at) => logits[at]!),
      known.length,
    );
    return new Map(known.map((at, i) => [at, shares[i]!]));
  };
  const [starts, ends] = [probabilities(start), probabilities(end)];
  const candidate = (from: number, to: number): Candidate => ({
    start: places[from]?.[0] ?? 0,
    end: places[to]?.[1] ?? 0,
    logit: start[from]! + end[to]!,
    score: starts.get(from)! * ends.get(to)!,
  });
  const bestEnds = largest(end, nBest);
  const found = largest(start, nBest).flatMap((from) =>
    bestEnds
      .filter((to) => places[from] && places[to] && to >= from && to - from < most)
      .map((to) => candidate(from, to)),
  );
  return { found, empty: candidate(none, none) };
}

/**
 * Ranks answers as transformers' run_qa does: pairs of each window's best starts and ends, by the sum of their
 * logits. No answer is rated by the window that rates it least.
 */
export function rankAnswers(windows: readonly AnsweredWindow[], options: RankingOptions): Ranking {
  const { nBest = 20, maxAnswerLength = 30, mayBeNone, nullThreshold = 0 } = options;
  const rated = windows.map((window) => candidates(window, nBest, maxAnswerLength));
  const empty = rated.map((one) => one.empty).reduce((least, one) => (one.logit < least.logit ? one : least));
  const ranked = rated
    .flatMap(({ found }) => found)
    .concat(mayBeNone ? [empty] : [])
    .sort((a, b) => b.logit - a.logit)
    .slice(0, nBest);
  // No answer keeps its place among them, even the last.
  if (mayBeNone && !ranked.includes(empty)) ranked.push(empty);
  if (ranked.length === 0) ranked.push(empty);
  const shares = softmaxRows(
    ranked.map(({ logit }) => logit),
    ranked.length,
  );
  const answers = ranked.map((one, at) => ({ ...one, probability: shares[at]! }));
  if (!mayBeNone) return { answers, scoreDifference: 0 };
  const none = ranked.indexOf(empty);
  const best = answers.find((_, at) => at !== none);
  const scoreDifference = best === undefined ? Number.POSITIVE_INFINITY : empty.logit - best.logit;
  const first = best === undefined || scoreDifference > nullThreshold ? answers[none]! : best;
  return { answers: [first, ...answers.filter((one) => one !== first)], scoreDifference };
}
