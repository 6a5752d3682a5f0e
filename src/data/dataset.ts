/** Datasets: encoded examples by index. */

import { DataError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import type { Label } from './labels.ts';
import type { TextTable } from './table.ts';

/** One encoded text. */
export interface Example {
  inputIds: readonly number[];
  tokenTypeIds?: readonly number[];
  /** A class, a 0 or 1 for each class, a value, or a class for each token. */
  label?: Label;
  /** First and last token of the answer to a question, as indices into `inputIds`. */
  startPositions?: number;
  endPositions?: number;
}

/** Settings by name. */
export type Settings = Readonly<Record<string, string | number | boolean | null | readonly number[]>>;

/** Anything with a length and examples by index. The collator must understand its examples. */
export interface Dataset<E = Example> {
  readonly length: number;
  /** What is made of the examples, and learned of them. Checkpoints keep it, and a resume reports other values. */
  readonly settings?: Settings | undefined;
  get(index: number): E;
}

export class ArrayDataset<E = Example> implements Dataset<E> {
  constructor(
    private readonly examples: readonly E[],
    readonly settings?: Settings,
  ) {}

  get length(): number {
    return this.examples.length;
  }

  get(index: number): E {
    const example = this.examples[index];
    if (example === undefined)
      throw new DataError(`there is no example ${index} in a dataset of ${this.length}`);
    return example;
  }
}

/** The part of a tokenizer that `encodeTable` uses. */
export interface Encoder {
  encode(
    text: string,
    pair: string | undefined,
    options: { truncation: boolean; maxLength: number },
  ): { inputIds: number[]; tokenTypeIds: number[] };
}

export interface EncodeTableOptions {
  /** The most tokens of a text. */
  maxLength: number;
  /** Cuts longer texts; if false, they throw. */
  truncation: boolean;
}

/**
 * Encodes a table's texts. Without truncation, throws `DataError` naming file and line of a text that is too
 * long.
 */
export function encodeTable(
  table: TextTable,
  labels: readonly Label[] | null,
  tokenizer: Encoder,
  options: EncodeTableOptions,
): ArrayDataset {
  checkOptions<EncodeTableOptions>('encodeTable', options, { maxLength: true, truncation: true });
  const { maxLength, truncation } = options;
  const examples = table.rows.map(({ text, pair, line }, index): Example => {
    const { inputIds, tokenTypeIds } = tokenizer.encode(text, pair, { truncation, maxLength });
    if (inputIds.length > maxLength) {
      throw new DataError(
        `${table.path}: line ${line} has ${inputIds.length} tokens, the model takes ${maxLength}`,
        { remedy: 'switch truncation on, or shorten the text' },
      );
    }
    const label = labels?.[index];
    return { inputIds, tokenTypeIds, ...(label !== undefined && { label }) };
  });
  return new ArrayDataset(examples);
}
