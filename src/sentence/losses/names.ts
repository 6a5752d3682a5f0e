/** Losses by name, and the usual one for each kind of data. */
import { keepNames } from '../../keep-names.ts';
import type { SentenceTransformer } from '../sentence-transformer.ts';
import { type LabelKind, type SentenceLoss, takes } from './loss.ts';
import { MatryoshkaLoss } from './matryoshka.ts';
import { CachedMultipleNegativesRankingLoss, MultipleNegativesRankingLoss } from './ranking.ts';
import { CoSENTLoss, CosineSimilarityLoss } from './scored-pairs.ts';
import { BatchAllTripletLoss, TripletLoss } from './triplets.ts';

const classes = {
  MultipleNegativesRankingLoss,
  CachedMultipleNegativesRankingLoss,
  CoSENTLoss,
  CosineSimilarityLoss,
  TripletLoss,
  BatchAllTripletLoss,
};

keepNames({ ...classes, MatryoshkaLoss });

export type LossName = keyof typeof classes;
export const lossNames = Object.keys(classes) as readonly LossName[];

/**
 * The loss that sentence-transformers' documentation recommends for data of so many columns and such labels;
 * null for single texts without labels, which teach nothing.
 */
export function usualLoss(columns: number, labels: LabelKind): LossName | null {
  if (labels === 'classes') return 'BatchAllTripletLoss';
  if (labels === 'scores') return 'CoSENTLoss';
  return columns > 1 ? 'MultipleNegativesRankingLoss' : null;
}

export interface LossOptions {
  /** Shortened vectors learn too: `MatryoshkaLoss`. */
  matryoshkaDims?: readonly number[] | undefined;
  /** Of `CachedMultipleNegativesRankingLoss`. */
  miniBatchSize?: number | undefined;
}

export function makeLoss(
  model: SentenceTransformer,
  name: LossName,
  { matryoshkaDims, miniBatchSize }: LossOptions = {},
): SentenceLoss {
  const loss =
    name === 'CachedMultipleNegativesRankingLoss'
      ? new classes[name](model, miniBatchSize === undefined ? {} : { miniBatchSize })
      : new classes[name](model);
  return matryoshkaDims === undefined ? loss : new MatryoshkaLoss(model, loss, { matryoshkaDims });
}

/** Losses that take data of so many columns and such labels. */
export function fittingLosses(columns: number, labels: LabelKind): LossName[] {
  return lossNames.filter((name) => takes(classes[name].takes, columns, labels));
}
