/** Data that are read anew each epoch, in place of a dataset in memory. */
import { DataError } from '../errors.ts';
import { type Advice, check, checkOptions, type OptionNames } from '../options.ts';
import type { Batch, PaddedBatch } from './collate.ts';
import type { Dataset, Example, Settings } from './dataset.ts';
import { callUser } from './example-checks.ts';
import { Random } from './random.ts';
import { collatePart, type Shard } from './shard.ts';

/** Rows of type `R`, which become examples of type `E` when a batch needs them. */
export interface StreamDataset<R = unknown, E = Example> {
  /** Rows in an epoch. */
  readonly length: number;
  /** Rows from which the next one is drawn. */
  readonly bufferSize: number;
  /** Tells other data: of a checkpoint that a training goes on from. */
  readonly digest: string;
  /** As of `Dataset`. */
  readonly settings?: Settings | undefined;
  /** The rows in their order, from the first one, each time. */
  rows(): AsyncIterable<R>;
  /** An example for each row. A method, because its parameters are bivariant. */
  encode(rows: readonly R[]): readonly E[];
}

/** What a training takes. */
export type TrainDataset = Dataset<unknown> | StreamDataset<unknown, unknown>;

export function isStream(dataset: unknown): dataset is StreamDataset<unknown, unknown> {
  return typeof (dataset as Partial<StreamDataset> | undefined)?.rows === 'function';
}

export interface StreamLoaderOptions<E = Example, B extends Batch = PaddedBatch> {
  batchSize: number;
  /** As of `DataLoader`; indices are places in the epoch's order. */
  collate: (examples: readonly E[], indices: readonly number[], stream: number) => B;
  seed?: number;
  /** Leaves out a last batch that is not full. Default false. */
  dropLast?: boolean;
  /** As of `DataLoader`. */
  shard?: Shard | undefined;
}

const optionNames: OptionNames<StreamLoaderOptions> = {
  batchSize: true,
  collate: true,
  seed: true,
  dropLast: true,
  shard: true,
};
const order = 'leave it out: rows are drawn from a buffer; bufferSize is of the data';
const advice: Advice = { shuffle: order, groupByLength: order, sampler: order };

/** Batches of a stream, drawn from a buffer as by `IterableDataset.shuffle` of Python's `datasets`. */
export class StreamLoader<R = unknown, E = Example, B extends Batch = PaddedBatch> {
  /** Throws `ConfigError` for a batch or a buffer below 1, `DataError` for data that fill no batch. */
  constructor(
    readonly dataset: StreamDataset<R, E>,
    private readonly options: StreamLoaderOptions<E, B>,
  ) {
    checkOptions('StreamLoader', options, optionNames, advice);
    for (const [name, value] of Object.entries({
      batchSize: options.batchSize,
      bufferSize: dataset.bufferSize,
    }))
      check(name, value, Number.isInteger(value) && value >= 1, 'use an integer of 1 or more');
    if (dataset.length === 0) throw new DataError('the dataset is empty');
    if (this.length === 0)
      throw new DataError(`${dataset.length} examples do not fill a batch of ${options.batchSize}`, {
        remedy: 'use a smaller batch, or keep the last',
      });
  }

  /** The number of batches in an epoch. */
  get length(): number {
    const batches = this.dataset.length / this.options.batchSize;
    return this.options.dropLast === true ? Math.floor(batches) : Math.ceil(batches);
  }

  /**
   * Batches of an epoch from number `first` on; rows of those before are read, and not encoded. The order
   * depends on seed, epoch and `bufferSize` alone. Throws `DataError` if the rows are not as many as they
   * were, and `UserCodeError` if the collator throws.
   */
  async *batches(epoch = 0, first = 0): AsyncGenerator<B> {
    const { batchSize, collate, seed = 0, shard } = this.options;
    let rows: R[] = [];
    let number = 0;
    const batch = (): B | null => {
      const [taken, at] = [rows, number];
      rows = [];
      number += 1;
      if (at < first || at >= this.length) return null;
      const places = taken.map((_, place) => place);
      return collatePart(places, shard, epoch * this.length + at, (part, stream) => {
        const own = part.map((place) => taken[place]!);
        const examples = callUser("the dataset's encode", () => this.dataset.encode(own));
        const indices = part.map((place) => at * batchSize + place);
        return callUser(`the collator, for batch ${at} of epoch ${epoch},`, () =>
          collate(examples, indices, stream),
        );
      });
    };
    for await (const row of shuffled(this.counted(), this.dataset.bufferSize, new Random(seed, epoch))) {
      rows.push(row);
      const made = rows.length === batchSize ? batch() : null;
      if (made !== null) yield made;
    }
    const last = rows.length > 0 ? batch() : null;
    if (last !== null) yield last;
  }

  /** The rows, if they are as many as they were counted. */
  private async *counted(): AsyncGenerator<R> {
    const { length } = this.dataset;
    let count = 0;
    const changed = (): DataError =>
      new DataError(`the training data changed while they were read: there were ${length} rows`, {
        remedy: 'leave the files as they are, and start again',
      });
    for await (const row of this.dataset.rows()) {
      count += 1;
      if (count > length) throw changed();
      yield row;
    }
    if (count < length) throw changed();
  }
}

/**
 * Draws each row from a full buffer, which the next one fills up; what is left at the end in random order.
 */
async function* shuffled<R>(rows: AsyncIterable<R>, size: number, random: Random): AsyncGenerator<R> {
  const buffer: R[] = [];
  for await (const row of rows) {
    if (buffer.length < size) {
      buffer.push(row);
      continue;
    }
    const at = random.integer(size);
    const drawn = buffer[at]!;
    buffer[at] = row;
    yield drawn;
  }
  for (const at of random.permutation(buffer.length)) yield buffer[at]!;
}
