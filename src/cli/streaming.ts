/** `--streaming`: training data that are read anew each epoch. */
import { type Command, Option } from 'commander';
import type { StreamDataset } from '../data/stream.ts';
import type { TableOptions } from '../data/table.ts';
import { UsageError } from '../errors.ts';
import { streamFiles } from '../tasks/stream.ts';
import type { Bound, Survey, Task, TaskFile } from '../tasks/task.ts';
import { type DataSource, optionsOf, readSource } from './data-source.ts';
import { checkPositive, integer } from './options.ts';

export interface StreamingOptions {
  streaming?: boolean;
  shuffleBuffer?: number;
}

/** As of `shuffle` in datasets' examples. */
const BUFFER = 10_000;

export function addStreamingOptions(command: Command): Command {
  return command
    .option('--streaming', 'read the training data anew each epoch, for files larger than memory')
    .addOption(
      new Option('--shuffle-buffer <n>', `rows from which the next one is drawn (${BUFFER})`).argParser(
        integer,
      ),
    );
}

/** Throws `UsageError` for options that do not go together. */
export function checkStreaming(options: StreamingOptions & { trainSplit?: number }): void {
  const { streaming, shuffleBuffer, trainSplit } = options;
  checkPositive('--shuffle-buffer', shuffleBuffer);
  if (shuffleBuffer !== undefined && streaming !== true)
    throw new UsageError('--shuffle-buffer: the data are not streamed', { remedy: 'pass --streaming too' });
  if (streaming === true && trainSplit !== undefined)
    throw new UsageError('--train-split holds out examples of data in memory', {
      remedy: 'pass --eval with a file, or leave --streaming out',
    });
}

/** Training data that were counted, and how they are streamed to a model's task. */
export interface Streamed {
  file: TaskFile<unknown>;
  stream(bound: Bound<unknown>, most: number | undefined): Promise<StreamDataset<unknown, unknown>>;
}

/** Reads the training data once, for what is decided from them. Throws as `readSource` does. */
export async function surveySource(
  task: Task,
  source: DataSource,
  table: TableOptions,
  { shuffleBuffer = BUFFER }: StreamingOptions,
  told: string | undefined,
): Promise<Streamed> {
  const options = optionsOf(source, table);
  const surveys: Survey<unknown>[] = [];
  const read = async (path: string) => {
    const survey = await task.survey(path, options);
    surveys.push(survey);
    return survey;
  };
  const file = await readSource(task, source, table, { told, read });
  const { length } = file.examples;
  return {
    file,
    stream: (bound, most = length) =>
      streamFiles(task, bound, {
        surveys,
        count: Math.min(length, most),
        bufferSize: shuffleBuffer,
      }),
  };
}
