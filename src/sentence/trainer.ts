/** `SentenceTransformerTrainer`: the `Trainer` for rows of texts and a loss of embeddings. */
import { ArrayDataset, type Dataset } from '../data/dataset.ts';
import { ConfigError, DataError } from '../errors.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import { Trainer, type TrainerOptions } from '../train/trainer.ts';
import { type SentenceExample, sentenceCollator } from './collate.ts';
import type { SentenceLoss } from './losses/loss.ts';
import { makeLoss, usualLoss } from './losses/names.ts';
import type { SentenceTransformer } from './sentence-transformer.ts';

/**
 * Texts by the names of their columns, whose order counts: anchor, positive, negative. A number called `label`,
 * `labels`, `score` or `scores` is the label: a class of a single text, a score of a pair.
 */
export type SentenceRow = Readonly<Record<string, string | number>>;

const LABEL = /^(label|score)s?$/;

export interface SentenceTrainerOptions
  extends Omit<TrainerOptions, 'model' | 'trainDataset' | 'evalDataset' | 'dataCollator' | 'computeLoss'> {
  model: SentenceTransformer;
  trainDataset?: readonly SentenceRow[];
  evalDataset?: readonly SentenceRow[];
  /** Default: the usual one for the columns (`usualLoss`). */
  loss?: SentenceLoss;
}

const names: OptionNames<SentenceTrainerOptions> = {
  model: true,
  args: true,
  trainDataset: true,
  evalDataset: true,
  loss: true,
  processingClass: true,
  callbacks: true,
  computeMetrics: true,
  preprocessLogitsForMetrics: true,
  reduceGradients: true,
  optimizer: true,
  onWarning: true,
  processGroup: true,
  signal: true,
};

/**
 * Trains a `SentenceTransformer` and saves its folder. Throws `ConfigError` for options that cannot be used,
 * `DataError` for rows without a text, or that no loss takes.
 */
export class SentenceTransformerTrainer extends Trainer {
  constructor(options: SentenceTrainerOptions) {
    checkOptions('SentenceTransformerTrainer', options, names, {
      evaluator: 'pass computeMetrics',
      tokenizer: 'it is the model’s',
    });
    const { model, trainDataset, evalDataset, loss, ...others } = options;
    const { tokenizer } = model;
    if (tokenizer === null)
      throw new ConfigError('SentenceTransformerTrainer: the model has no tokenizer', {
        remedy: 'load one with SentenceTransformer.fromPretrained',
      });
    const train = trainDataset && sentenceDataset(model, trainDataset);
    const evaluation = evalDataset && sentenceDataset(model, evalDataset);
    const rule = loss ?? usualFor(model, (train ?? evaluation)?.get(0));
    super({
      processingClass: tokenizer,
      ...others,
      model,
      ...(train && { trainDataset: train }),
      ...(evaluation && { evalDataset: evaluation }),
      dataCollator: sentenceCollator({
        padTokenId: tokenizer.padTokenId,
        paddingSide: tokenizer.paddingSide,
      }) as NonNullable<TrainerOptions['dataCollator']>,
      ...(rule && {
        computeLoss: (one, { matchLabels: _, ...inputs }) => rule.computeLoss(one, inputs),
      }),
    });
  }
}

function usualFor(model: SentenceTransformer, example: SentenceExample | undefined): SentenceLoss | null {
  if (example === undefined) return null;
  const kind = example.label === null ? 'none' : example.classes === true ? 'classes' : 'scores';
  const name = usualLoss(example.texts.length, kind);
  if (name !== null) return makeLoss(model, name);
  throw new DataError('SentenceTransformerTrainer: single texts say nothing about each other', {
    remedy: 'give rows a second text, or a class as label',
  });
}

/** Encodes rows by the model's tokenizer. Throws `DataError` for a row without a text. */
export function sentenceDataset(
  model: SentenceTransformer,
  rows: readonly SentenceRow[],
): Dataset<SentenceExample> {
  return new ArrayDataset(
    rows.map((row, index): SentenceExample => {
      const entries = Object.entries(row);
      const texts = entries.filter(([name]) => !LABEL.test(name));
      const odd = texts.find(([, value]) => typeof value !== 'string');
      if (odd !== undefined || texts.length === 0)
        throw new DataError(`row ${index} has ${odd === undefined ? 'no text' : `no text as '${odd[0]}'`}`, {
          remedy: "give texts as strings, and a number as 'label' or 'score'",
        });
      const label = entries.find(([name]) => LABEL.test(name))?.[1] ?? null;
      if (typeof label === 'string')
        throw new DataError(`row ${index}: the label '${label}' is no number`, {
          remedy: 'number the classes',
        });
      return {
        texts: texts.map(([, text]) => model.tokenize(text as string)),
        label,
        classes: texts.length === 1,
      };
    }),
  );
}
