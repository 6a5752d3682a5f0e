/** `DataLoader`: batches of a dataset in order, shuffled, or grouped by length. */
import { ConfigError, DataError } from '../errors.ts';
import type { Batch } from './collate.ts';
import type { Dataset, Example } from './dataset.ts';
import { Random } from './random.ts';

export interface DataLoaderOptions {
  batchSize: number;
  /** `stream` is the number of batches drawn before this one, over all epochs. */
  collate: (examples: readonly Example[], indices: readonly number[], stream: number) => Batch;
  /** A new order each epoch. Default false. */
  shuffle?: boolean;
  seed?: number;
  /** Put texts of like length together (the order still depends on the seed). Default false. */
  groupByLength?: boolean;
  /** Leave out a last batch that is not full. Default false. */
  dropLast?: boolean;
}

/** Batches over which lengths are sorted when grouping, as transformers has it. */
const MEGA_BATCHES = 50;

export class DataLoader {
  private readonly dataset: Dataset;
  private readonly options: DataLoaderOptions;

  /** Throws `ConfigError` for a batch size below 1, `DataError` for an empty dataset. */
  constructor(dataset: Dataset, options: DataLoaderOptions) {
    if (!Number.isInteger(options.batchSize) || options.batchSize < 1) {
      throw new ConfigError(`batchSize is ${options.batchSize}`, { remedy: 'use an integer of 1 or more' });
    }
    if (dataset.length === 0) throw new DataError('the dataset is empty');
    this.dataset = dataset;
    this.options = options;
    if (this.length === 0) {
      throw new DataError(`${dataset.length} examples do not fill a batch of ${options.batchSize}`, { remedy: 'use a smaller batch, or keep the last' });
    }
  }

  /** Batches of an epoch. */
  get length(): number {
    const batches = this.dataset.length / this.options.batchSize;
    return this.options.dropLast === true ? Math.floor(batches) : Math.ceil(batches);
  }

  get examples(): number {
    return this.dataset.length;
  }

  /** The order of an epoch: the same for the same seed and epoch, on every platform. */
  order(epoch: number): number[] {
    const { shuffle = false, groupByLength = false, seed = 0, batchSize } = this.options;
    const n = this.dataset.length;
    if (!shuffle && !groupByLength) return Array.from({ length: n }, (_, i) => i);
    const order = new Random(seed, epoch).permutation(n);
    if (!groupByLength) return order;
    const length = (index: number): number => this.dataset.get(index).inputIds.length;
    const mega = batchSize * MEGA_BATCHES;
    const groups = Array.from({ length: Math.ceil(n / mega) }, (_, i) => order.slice(i * mega, (i + 1) * mega));
    return groups.flatMap((group) => group.sort((a, b) => length(b) - length(a)));
  }

  /** Batches of an epoch from number `first` on. */
  *batches(epoch = 0, first = 0): Generator<Batch> {
    const order = this.order(epoch);
    const { batchSize, collate } = this.options;
    for (let number = first; number < this.length; number += 1) {
      const indices = order.slice(number * batchSize, (number + 1) * batchSize);
      const examples = indices.map((index) => this.dataset.get(index));
      yield collate(examples, indices, epoch * this.length + number);
    }
  }
}
