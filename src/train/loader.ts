/** The loader of the training data that the arguments ask for. */
import type { Batch } from '../data/collate.ts';
import { DataLoader } from '../data/loader.ts';
import { isStream, StreamLoader, type TrainDataset } from '../data/stream.ts';
import { ConfigError } from '../errors.ts';
import type { TrainingArguments } from './arguments.ts';
import type { Ranks } from './ranks.ts';
import type { Trainer } from './trainer.ts';

/** Its batches are those of all ranks; each rank gets its part. Throws `ConfigError` for `groupByLength` of a stream. */
export function loaderOf(
  dataset: TrainDataset,
  args: TrainingArguments,
  collate: ReturnType<Trainer['collate']>,
  { shard, size }: Ranks,
): DataLoader<unknown, Batch> | StreamLoader<unknown, unknown, Batch> {
  const { perDeviceTrainBatchSize, seed, groupByLength, dataloaderDropLast: dropLast } = args;
  const shared = { batchSize: perDeviceTrainBatchSize * size, collate, seed, dropLast, shard };
  if (!isStream(dataset)) return new DataLoader(dataset, { ...shared, shuffle: true, groupByLength });
  if (groupByLength)
    throw new ConfigError(
      'groupByLength needs the lengths of all examples, and the training data are a stream',
      {
        remedy: 'leave it out',
      },
    );
  return new StreamLoader(dataset, shared);
}
