/** `dawngrad predict`: runs a trained model on arguments, on lines of standard input, or on a data file. */
import type { Command } from 'commander';
import { linesOf } from '../data/chunks.ts';
import { DataError, UsageError } from '../errors.ts';
import type { ProcessGroup } from '../platform/contract.ts';
import { Digest } from '../tasks/stream.ts';
import type { Features, Input, Row, Task } from '../tasks/task.ts';
import { Ranks } from '../train/ranks.ts';
import { Trainer } from '../train/trainer.ts';
import {
  configOption,
  type DataSource,
  type DatasetOptions,
  datasetOption,
  onlySource,
  readSource,
} from './data-source.ts';
import { isFirst, processGroup } from './group.ts';
import {
  addDataOptions,
  addModelOptions,
  type CommonOptions,
  checkPositive,
  type DataOptions,
  integer,
  tableOptions,
} from './options.ts';
import { addTaskOptions, checkTaskOptions, type TaskOptions } from './task-options.ts';
import { loadTrained, taskOf } from './trained.ts';
import { checkJsonLines, writeRows } from './write.ts';

interface PredictOptions extends CommonOptions, DataOptions, DatasetOptions, TaskOptions {
  model: string;
  batchSize: number;
  data?: string;
  pair?: string;
  pairs?: boolean;
  output?: string;
  json?: boolean;
}

export function addPredict(program: Command): void {
  const command = program
    .command('predict')
    .description(
      'run a trained model on the arguments, on a data file, or on each line of standard input; lines of JSON come out',
    )
    .argument('[texts...]', 'texts (or questions, with --pair)')
    .requiredOption('--model <folder or id>', 'fine-tuned model')
    .option('--data <file>', 'data file as for finetune, without labels or with labels that are not read')
    .option(...datasetOption)
    .option(...configOption)
    .option('--split <name>', 'split of the data set')
    .option('--pair <text>', 'second text, for models of pairs; the text of a question')
    .option('--pairs', 'a line of standard input holds two texts with a tab between')
    .option('--output <file>', 'write the lines of JSON there; vectors as NumPy if the name ends with .npy')
    .option('--batch-size <n>', 'texts in a batch', integer, 32)
    .option('--json', 'print JSON for arguments too');
  addModelOptions(addDataOptions(addTaskOptions(command, 'predict'))).action(predict);
}

async function predict(texts: string[], options: PredictOptions): Promise<void> {
  // The reader of the output is gone.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  checkInputs(texts, options);
  await checkJsonLines(options.output);
  const source = options.data === undefined && !ofDataset(options) ? null : await onlySource(options);
  const found = await taskOf(options.model, options.task);
  checkTaskOptions(options, found.task);
  const input = await examples(texts, options, found.task, source);
  const { device, model, task, bound } = await loadTrained(found, options);
  const { fp16 = false, output, batchSize } = options;
  const trainer = new Trainer({
    model,
    dataCollator: bound.collate,
    ...(bound.computeLoss && { computeLoss: bound.computeLoss }),
    args: { outputDir: options.model, perDeviceEvalBatchSize: batchSize, fp16 },
  });
  const json = texts.length === 0 || options.json === true;
  const group = processGroup();
  if (group !== null) {
    const rows = (some: unknown[]) => {
      const features = bound.encode(some);
      return trainer.predict(features).then(({ prediction }) => bound.predictions(prediction, features));
    };
    const all = await sharedRows(group, { input, batchSize, rows });
    if (output !== undefined) await writeRows(output, all);
    else if (isFirst())
      for (const row of all) process.stdout.write(`${json ? JSON.stringify(row.json) : row.text}\n`);
    device.destroy();
    return;
  }
  const written: Row[] = [];
  let waiting: unknown[] = [];
  let printed: Promise<void> | null = null;
  const rowsOf = async (features: Features<unknown>): Promise<Row[]> =>
    bound.predictions((await trainer.predict(features)).prediction, features);
  const print = async (rows: Promise<Row[]>): Promise<void> => {
    if (output !== undefined) written.push(...(await rows));
    else
      for (const row of await rows) process.stdout.write(`${json ? JSON.stringify(row.json) : row.text}\n`);
  };
  /** Starts a batch, then waits for the one before: the GPU is not to wait for texts. */
  const flush = async (): Promise<void> => {
    const warning = printed ? null : (task.warning?.(model.config, waiting) ?? null);
    if (warning !== null) console.error(warning);
    const next = rowsOf(bound.encode(waiting));
    next.catch(() => {});
    waiting = [];
    await printed;
    printed = print(next);
    printed.catch(() => {});
  };
  try {
    for await (const example of input) {
      waiting.push(example);
      if (waiting.length === batchSize) await flush();
    }
    if (waiting.length > 0) await flush();
  } finally {
    // Also if a later line is refused.
    await printed;
  }
  if (output !== undefined) await writeRows(output, written);
  device.destroy();
}

/** The rows of all batches, of which each process computes every n-th. */
async function sharedRows(
  group: ProcessGroup,
  {
    input,
    batchSize,
    rows,
  }: {
    input: Iterable<unknown> | AsyncIterable<unknown>;
    batchSize: number;
    rows(examples: unknown[]): Promise<Row[]>;
  },
): Promise<Row[]> {
  const ranks = new Ranks(group);
  const own: Row[][] = [];
  let waiting: unknown[] = [];
  let number = 0;
  const digest = new Digest();
  const flush = async (): Promise<void> => {
    if (number % ranks.size === ranks.rank) own.push(await rows(waiting));
    number += 1;
    waiting = [];
  };
  for await (const example of input) {
    digest.take(JSON.stringify(example));
    waiting.push(example);
    if (waiting.length === batchSize) await flush();
  }
  if (waiting.length > 0) await flush();
  await ranks.checkSame(() => ({ 'the number of batches': number, 'the digest of the data': `${digest}` }));
  return (await ranks.dealt(own)).flat();
}

const ofDataset = ({ dataset, datasetConfig, split }: PredictOptions): boolean =>
  [dataset, datasetConfig, split].some((option) => option !== undefined);

/** Throws `UsageError` unless there is exactly one source of texts and the options fit it. */
function checkInputs(texts: readonly string[], options: PredictOptions): void {
  const { data, pair, pairs } = options;
  checkPositive('--batch-size', options.batchSize);
  const source = options.dataset === undefined ? data && '--data' : '--dataset';
  if (source !== undefined && texts.length > 0)
    throw new UsageError(`there are texts and ${source}`, { remedy: 'give one of them' });
  if (source !== undefined && (pair !== undefined || pairs === true))
    throw new UsageError(`--pair and --pairs do not go with ${source}`, {
      remedy: 'name the column of the second text with --pair-column',
    });
  if (pairs === true && (pair !== undefined || texts.length > 0))
    throw new UsageError('--pairs is for lines of standard input', {
      remedy: 'give the second text of an argument with --pair',
    });
  const ofFiles = {
    '--text-column': options.textColumn,
    '--pair-column': options.pairColumn,
    '--label-column': options.labelColumn,
    '--header and --no-header': options.header,
    '--format': options.format,
    '--delimiter': options.delimiter,
    ...(texts.length > 0 && { '--encoding': options.encoding }),
  };
  for (const [name, value] of Object.entries(ofFiles))
    if (source === undefined && value !== undefined)
      throw new UsageError(`${name}: there is no file`, { remedy: 'pass --data, or leave it out' });
  if (texts.length === 0 && source === undefined && processGroup() !== null)
    throw new UsageError('standard input goes to one process, and several were started', {
      remedy: 'pass --data with a file, or start each process by itself (DAWNGRAD_MPI=off)',
    });
  if (texts.length === 0 && source === undefined && process.stdin.isTTY === true) {
    throw new UsageError('there is no text', {
      remedy: 'give texts as arguments, lines on standard input, or a file with --data',
    });
  }
}

/** The examples of a data file, or of texts as they come. */
async function examples(
  texts: readonly string[],
  options: PredictOptions,
  task: Task,
  source: DataSource | null,
): Promise<Iterable<unknown> | AsyncIterable<unknown>> {
  const { pair } = options;
  if (source !== null) {
    const file = await readSource(task, source, { ...tableOptions(options, false), readLabels: false });
    for (const line of file.about) console.error(line);
    return file.examples;
  }
  const second = pair !== undefined && { pair };
  return texts.length > 0
    ? texts.map((text) => task.example({ text, ...second }))
    : exampleLines(options, task);
}

async function* exampleLines(options: PredictOptions, task: Task): AsyncGenerator<unknown> {
  for await (const input of inputLines(options)) yield task.example(input);
}

/** Yields every line of standard input, even blank ones, so that line n of the output answers line n. */
async function* inputLines({ pair, pairs, encoding }: PredictOptions): AsyncGenerator<Input> {
  let number = 0;
  for await (const line of linesOf('standard input', process.stdin, encoding)) {
    number += 1;
    if (pairs !== true) {
      yield { text: line, ...(pair !== undefined && { pair }) };
      continue;
    }
    const [text, second, ...more] = line.split('\t');
    if (second === undefined || more.length > 0)
      throw new DataError(
        `standard input: line ${number} has ${more.length + (second === undefined ? 0 : 1)} tabs`,
        { remedy: 'put one tab between the two texts, or pass --data with a file of pairs' },
      );
    yield { text: text!, pair: second };
  }
}
