/** `DataLoader`: batches of a dataset in order, shuffled, or grouped by length. */

import { ConfigError, DataError } from '../errors.ts';
import { type Advice, check, checkOptions, type OptionNames } from '../options.ts';
import type { Batch, PaddedBatch } from './collate.ts';
import type { Dataset, Example } from './dataset.ts';
import { callUser, checkExample } from './example-checks.ts';
import { Random } from './random.ts';
import { collatePart, type Shard } from './shard.ts';

/** A custom order: indices into the dataset, which may leave some out or repeat some. */
export interface Sampler {
  /** The number of indices in every epoch. */
  readonly length: number;
  order(epoch: number): readonly number[];
}

export interface DataLoaderOptions<E = Example, B extends Batch = PaddedBatch> {
  batchSize: number;
  /** `stream` counts the batches before this one, over all epochs. */
  collate: (examples: readonly E[], indices: readonly number[], stream: number) => B;
  /** Draws a new order each epoch. Default false. */
  shuffle?: boolean;
  seed?: number;
  /** Puts texts of similar length together; the order still depends on the seed. Default false. */
  groupByLength?: boolean;
  /** Replaces `shuffle` and `groupByLength`. */
  sampler?: Sampler;
  /** Leaves out a last batch that is not full. Default false. */
  dropLast?: boolean;
  /** Makes this process's part of each batch only; `batchSize` is that of all parts together. */
  shard?: Shard | undefined;
}

/**
 * How many batches are sorted by length together, as in transformers: at most 50, and at most a quarter of
 * the epoch, so that the order of a small dataset still varies.
 */
function megaBatches(examples: number, batchSize: number): number {
  return Math.max(1, Math.min(50, Math.floor(examples / (4 * batchSize))));
}

const loaderOptionNames: OptionNames<DataLoaderOptions> = {
  batchSize: true,
  collate: true,
  shuffle: true,
  seed: true,
  groupByLength: true,
  sampler: true,
  dropLast: true,
  shard: true,
};

/** Remedies for options that PyTorch's DataLoader has. */
const advice: Advice = {
  collateFn: 'its name is collate',
  generator: 'pass seed',
  numWorkers: 'leave it out: batches are made on demand',
  pinMemory: 'leave it out',
};

export class DataLoader<E = Example, B extends Batch = PaddedBatch> {
  /**
   * Throws `ConfigError` for a batch size below 1 or a sampler together with another order, `DataError` for
   * an empty dataset.
   */
  constructor(
    readonly dataset: Dataset<E>,
    private readonly options: DataLoaderOptions<E, B>,
  ) {
    checkOptions('DataLoader', options, loaderOptionNames, advice);
    const { batchSize } = options;
    const counts = Number.isInteger(batchSize) && batchSize >= 1;
    check('batchSize', batchSize, counts, 'use an integer of 1 or more');
    if (options.sampler && (options.shuffle === true || options.groupByLength === true)) {
      throw new ConfigError('a sampler was given along with shuffle or groupByLength', {
        remedy: 'leave the order to one of them',
      });
    }
    if (dataset.length === 0 || options.sampler?.length === 0) throw new DataError('the dataset is empty');
    if (this.length === 0) {
      throw new DataError(`${this.perEpoch} examples do not fill a batch of ${batchSize}`, {
        remedy: 'use a smaller batch, or keep the last',
      });
    }
  }

  /** The number of batches in an epoch. */
  get length(): number {
    const batches = this.perEpoch / this.options.batchSize;
    return this.options.dropLast === true ? Math.floor(batches) : Math.ceil(batches);
  }

  private get perEpoch(): number {
    return this.options.sampler?.length ?? this.dataset.length;
  }

  get examples(): number {
    return this.dataset.length;
  }

  /** The order of an epoch: the same for the same seed and epoch, on every platform. */
  order(epoch: number): number[] {
    const { shuffle = false, groupByLength = false, seed = 0, batchSize, sampler } = this.options;
    if (sampler !== undefined) {
      const sampled = [...sampler.order(epoch)];
      if (sampled.length === sampler.length) return sampled;
      throw new DataError(`the sampler gave ${sampled.length} indices for epoch ${epoch}`, {
        remedy: `its length says ${sampler.length}`,
      });
    }
    const n = this.dataset.length;
    if (!shuffle && !groupByLength) return Array.from({ length: n }, (_, i) => i);
    const order = new Random(seed, epoch).permutation(n);
    if (!groupByLength) return order;
    const lengths = Array.from({ length: n }, (_, index) => {
      const example = this.example(index);
      const { inputIds } = example as Partial<Example>;
      // Several texts an example, as in multiple choice.
      if (Array.isArray(inputIds?.[0])) return inputIds.flat().length;
      checkExample(example, index);
      return inputIds!.length;
    });
    const mega = batchSize * megaBatches(n, batchSize);
    const groups = Array.from({ length: Math.ceil(n / mega) }, (_, i) =>
      order.slice(i * mega, (i + 1) * mega),
    );
    return groups.flatMap((group) => group.sort((a, b) => lengths[b]! - lengths[a]!));
  }

  private example(index: number): E {
    return callUser(`the dataset's get(${index})`, () => this.dataset.get(index));
  }

  /**
   * Batches of an epoch from number `first` on, or only each `every`-th of them. Throws `DataError` for an
   * example that cannot be used, `UserCodeError` if the user's dataset or collator throws.
   */
  *batches(epoch = 0, first = 0, every = 1): Generator<B> {
    const order = this.order(epoch);
    const { batchSize, collate, shard } = this.options;
    for (let number = first; number < this.length; number += every) {
      const indices = order.slice(number * batchSize, (number + 1) * batchSize);
      const stream = epoch * this.length + number;
      yield collatePart(indices, shard, stream, (part, own) => {
        const examples = part.map((index) => this.example(index));
        return callUser(`the collator, for batch ${number} of epoch ${epoch},`, () =>
          collate(examples, part, own),
        );
      });
    }
  }
}
