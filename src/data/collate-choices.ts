/** Batches of texts with choices. */
import { DataError } from '../errors.ts';
import { type Batch, dataCollatorWithPadding, type PaddingOptions } from './collate.ts';
import { checkLabel } from './example-checks.ts';

/** A text encoded with each of its choices. */
export interface ChoiceExample {
  inputIds: readonly (readonly number[])[];
  tokenTypeIds?: readonly (readonly number[])[];
  /** Number of the right choice. */
  label?: number;
}

/**
 * Pads all texts of a batch to the longest: arrays are [batch, choices, length], labels int32 [batch]. Throws
 * `DataError` if examples differ in how many choices they have, or only some have labels.
 */
export function dataCollatorForMultipleChoice(
  options: PaddingOptions,
): (examples: readonly ChoiceExample[], indices: readonly number[]) => Batch {
  const pad = dataCollatorWithPadding(options);
  return (examples, indices) => {
    const choices = examples[0]?.inputIds?.length ?? 0;
    const odd = examples.findIndex(({ inputIds }) => inputIds?.length !== choices);
    if (odd >= 0 || choices === 0)
      throw new DataError(`example ${indices[Math.max(odd, 0)]} has not ${choices || 'any'} choices`, {
        remedy: 'give every example of a batch as many: a list of inputIds for each',
      });
    const texts = examples.flatMap(({ inputIds, tokenTypeIds }) =>
      inputIds.map((ids, at) => ({
        inputIds: ids,
        ...(tokenTypeIds && { tokenTypeIds: tokenTypeIds[at]! }),
      })),
    );
    const { shape, ...batch } = pad(
      texts,
      texts.map((_, at) => indices[Math.floor(at / choices)]!),
    );
    const labels = examples.flatMap(({ label }) => label ?? []);
    if (labels.length > 0 && labels.length < examples.length)
      throw new DataError('some examples of a batch have labels, others not');
    for (const [row, label] of labels.entries()) checkLabel(label, false, indices[row] ?? row);
    return {
      ...batch,
      shape: [examples.length, choices, shape[1]],
      indices: [...indices],
      ...(labels.length > 0 && { labels: Int32Array.from(labels), shapes: { labels: [labels.length] } }),
    };
  };
}
