/** Pairs of labelled texts to learn from, as setfit draws them: alike if they have one class. */
import { Random } from '../data/random.ts';
import { DataError } from '../errors.ts';
import { check, checkChoice, checkOptions, type OptionNames } from '../options.ts';

export const samplingStrategies = ['oversampling', 'undersampling', 'unique'] as const;
export type SamplingStrategy = (typeof samplingStrategies)[number];

export interface PairOptions {
  /**
   * `oversampling` (default) gives as many pairs of one class as of two, each at least once;
   * `undersampling` as many of both as there are of the fewer; `unique` each pair once.
   */
  samplingStrategy?: SamplingStrategy;
  /** Pairs of each kind for each text, in place of what the strategy gives. */
  numIterations?: number;
  /** Of the order. Default 42. */
  seed?: number;
}

export const pairOptionNames: OptionNames<PairOptions> = {
  samplingStrategy: true,
  numIterations: true,
  seed: true,
};

export interface ContrastivePair {
  /** Indices of both texts. */
  pair: readonly [number, number];
  /** 1 for one class, 0 for two. */
  label: 0 | 1;
}

/**
 * Pairs of `classes`, the class of each text; a text goes with itself too. Both kinds take turns. Throws
 * `DataError` for fewer than two classes, `ConfigError` for an unknown option.
 */
export function contrastivePairs(classes: readonly number[], options: PairOptions = {}): ContrastivePair[] {
  checkOptions('contrastivePairs', options, pairOptionNames);
  const { samplingStrategy = 'oversampling', numIterations, seed = 42 } = options;
  checkChoice('samplingStrategy', samplingStrategy, samplingStrategies);
  const whole = numIterations === undefined || (Number.isInteger(numIterations) && numIterations > 0);
  check('numIterations', numIterations, whole, 'use an integer of 1 or more');
  if (new Set(classes).size < 2)
    throw new DataError('all texts have one class', { remedy: 'pairs need texts of two classes or more' });
  const all = classes.flatMap((_, b) => classes.slice(0, b + 1).map((_, a): [number, number] => [a, b]));
  const shuffled = new Random(seed).permutation(all.length).map((at) => all[at]!);
  const alike = shuffled.filter(([a, b]) => classes[a] === classes[b]);
  const other = shuffled.filter(([a, b]) => classes[a] !== classes[b]);
  const [most, least] = [Math.max(alike.length, other.length), Math.min(alike.length, other.length)];
  const counts = {
    oversampling: [most, most],
    undersampling: [least, least],
    unique: [alike.length, other.length],
  }[samplingStrategy];
  const drawn = numIterations === undefined ? counts : counts.map(() => numIterations * classes.length);
  return Array.from({ length: Math.max(...drawn) }, (_, at) =>
    [alike, other].flatMap((pairs, kind) =>
      at < drawn[kind]! ? [{ pair: pairs[at % pairs.length]!, label: kind === 0 ? 1 : 0 } as const] : [],
    ),
  ).flat();
}
