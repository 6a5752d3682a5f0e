/** Batches of texts in columns: anchors, their matches, other texts. */
import { type Batch, dataCollatorWithPadding, type PaddingOptions } from '../data/collate.ts';
import { DataError } from '../errors.ts';
import type { EncodedText } from './batches.ts';

/** The encoded texts of an example, one of each column. */
export interface SentenceExample {
  texts: readonly EncodedText[];
  /** A score or the number of a class; null without. */
  label: number | null;
  /** Whether the label is a class. Default false. */
  classes?: boolean;
}

/**
 * Pads all texts of a batch to the longest: arrays are [batch, columns, length]. Labels [batch]: float32
 * scores or int32 classes. Matches have the number of their column as `matchLabels`, because an evaluation has
 * metrics only with labels. Throws `DataError` if examples differ in how many texts they have.
 */
export function sentenceCollator(
  options: PaddingOptions,
): (examples: readonly SentenceExample[], indices: readonly number[]) => Batch {
  const pad = dataCollatorWithPadding(options);
  return (examples, indices) => {
    const columns = examples[0]!.texts.length;
    const odd = examples.findIndex(({ texts }) => texts.length !== columns);
    if (odd >= 0)
      throw new DataError(
        `example ${indices[odd]} has ${examples[odd]!.texts.length} texts, others have ${columns}`,
        { remedy: 'give each example as many' },
      );
    const texts = examples.flatMap((example) =>
      example.texts.map(({ inputIds, tokenTypeIds }) => ({ inputIds, tokenTypeIds })),
    );
    const { shape, ...batch } = pad(
      texts,
      texts.map((_, at) => indices[Math.floor(at / columns)]!),
    );
    const labels = examples.flatMap(({ label }) => label ?? []);
    if (labels.length > 0 && labels.length < examples.length)
      throw new DataError('some examples of a batch have labels, others not');
    const matches = labels.length === 0 && columns > 1 ? new Int32Array(examples.length).fill(1) : null;
    const Labels = examples[0]!.classes === true ? Int32Array : Float32Array;
    return {
      ...batch,
      shape: [examples.length, columns, shape[1]],
      indices: [...indices],
      ...(matches && { matchLabels: matches, shapes: { matchLabels: [matches.length] } }),
      ...(labels.length > 0 && { labels: Labels.from(labels), shapes: { labels: [labels.length] } }),
    };
  };
}
