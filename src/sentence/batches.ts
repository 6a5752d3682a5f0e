/** Batches of encoded texts: those of similar length together, so that little padding is computed. */
import { dataCollatorWithPadding, type PaddedBatch } from '../data/collate.ts';
import { check } from '../options.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';

/** A text's tokens, as a collator takes them. */
export interface EncodedText {
  inputIds: readonly number[];
  tokenTypeIds: readonly number[];
}

/** Padded batches of at most `batchSize` texts, the longest first. */
export function* batchesByLength(
  texts: readonly EncodedText[],
  { padTokenId, paddingSide }: PreTrainedTokenizer,
  batchSize: number,
): Generator<PaddedBatch> {
  const pad = dataCollatorWithPadding({ padTokenId, paddingSide });
  const order = [...texts.keys()].sort((a, b) => texts[b]!.inputIds.length - texts[a]!.inputIds.length);
  for (let first = 0; first < order.length; first += batchSize) {
    const indices = order.slice(first, first + batchSize);
    const rows = indices.map((index) => {
      const { inputIds, tokenTypeIds } = texts[index]!;
      return { inputIds, tokenTypeIds };
    });
    yield pad(rows, indices);
  }
}

export function checkBatchSize(name: string, batchSize: number): void {
  check(name, batchSize, Number.isInteger(batchSize) && batchSize >= 1, 'use 1 or more');
}
