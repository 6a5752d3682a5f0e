/** Entity-level precision, recall and F1, counted as by Python's seqeval. */
import { DataError } from '../errors.ts';
import type { Metrics } from '../train/metrics.ts';
import { entitiesOf, type Scheme } from './tags.ts';

export interface EntityScores {
  precision: number;
  recall: number;
  f1: number;
  /** Entities among the true tags. */
  support: number;
}

export interface EntityReport {
  overall: EntityScores;
  /** Share of tags that are right. */
  accuracy: number;
  /** By type, sorted. */
  types: Record<string, EntityScores>;
}

interface Counts {
  hits: number;
  predicted: number;
  actual: number;
}

function scoresOf({ hits, predicted, actual }: Counts): EntityScores {
  const share = (of: number): number => (of === 0 ? 0 : hits / of);
  const [precision, recall] = [share(predicted), share(actual)];
  const sum = precision + recall;
  return { precision, recall, f1: sum === 0 ? 0 : (2 * precision * recall) / sum, support: actual };
}

/**
 * Compares predicted tags with true ones, a list for each sentence. An entity is right if its type, start and
 * end are. `scheme` counts as seqeval's `mode='strict', scheme=…`. Throws `DataError` if sentences differ in
 * length.
 */
export function entityReport(
  actual: readonly (readonly string[])[],
  predicted: readonly (readonly string[])[],
  scheme?: Scheme,
): EntityReport {
  const odd = actual.findIndex((tags, at) => tags.length !== predicted[at]?.length);
  if (odd >= 0 || actual.length !== predicted.length)
    throw new DataError(
      odd < 0
        ? `entities: ${predicted.length} sentences for ${actual.length}`
        : `entities: sentence ${odd} has ${predicted[odd]?.length ?? 0} predicted tags for ${actual[odd]!.length}`,
    );
  const types = new Map<string, Counts>();
  const overall: Counts = { hits: 0, predicted: 0, actual: 0 };
  const count = (type: string, what: keyof Counts): void => {
    const own = types.get(type) ?? { hits: 0, predicted: 0, actual: 0 };
    types.set(type, own);
    own[what] += 1;
    overall[what] += 1;
  };
  let [right, all] = [0, 0];
  for (const [at, tags] of actual.entries()) {
    const guessed = predicted[at]!;
    const key = ({ type, start, end }: { type: string; start: number; end: number }): string =>
      `${start} ${end} ${type}`;
    const found = new Set<string>();
    for (const entity of entitiesOf(guessed, scheme)) {
      count(entity.type, 'predicted');
      found.add(key(entity));
    }
    for (const entity of entitiesOf(tags, scheme)) {
      count(entity.type, 'actual');
      if (found.has(key(entity))) count(entity.type, 'hits');
    }
    right += tags.filter((tag, word) => tag === guessed[word]).length;
    all += tags.length;
  }
  const sorted = [...types].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    overall: scoresOf(overall),
    accuracy: all === 0 ? 0 : right / all,
    types: Object.fromEntries(sorted.map(([type, counts]) => [type, scoresOf(counts)])),
  };
}

/** The report as flat metrics, named as by transformers' run_ner: `f1`, and `LOC_f1` for a type. */
export function entityMetrics({ overall, accuracy, types }: EntityReport): Metrics {
  const { precision, recall, f1 } = overall;
  const named = Object.entries(types).flatMap(([type, scores]) =>
    Object.entries(scores).map(([name, value]) => [`${type}_${name === 'support' ? 'number' : name}`, value]),
  );
  return { precision, recall, f1, accuracy, ...Object.fromEntries(named) };
}
