/** `dawngrad predict`: classifies texts given as arguments, as lines on standard input, or in a data file. */
import type { Command } from 'commander';
import { linesOf } from '../data/chunks.ts';
import { dataCollatorWithPadding } from '../data/collate.ts';
import { readTable } from '../data/table.ts';
import { DataError, UsageError } from '../errors.ts';
import type { ProblemType } from '../models/common/config.ts';
import { checkFinite, softmaxRows } from '../train/metrics.ts';
import { predictBatches } from '../train/predict.ts';
import { type Classifier, loadClassifier } from './classifier.ts';
import { describeColumns, pairWarning } from './describe.ts';
import {
  addDataOptions,
  addModelOptions,
  type CommonOptions,
  checkPositive,
  type DataOptions,
  integer,
  tableOptions,
} from './options.ts';

interface PredictOptions extends CommonOptions, DataOptions {
  model: string;
  batchSize: number;
  data?: string;
  pair?: string;
  pairs?: boolean;
  json?: boolean;
}

interface Input {
  text: string;
  pair?: string;
}

interface Prediction extends Input {
  /** The class, the classes, or the value. */
  label: string | string[] | number;
  score?: number;
  scores?: Record<string, number>;
}

export function addPredict(program: Command): void {
  const command = program
    .command('predict')
    .description(
      'classify texts: the arguments, the rows of a data file, or each line of standard input; lines of JSON come out',
    )
    .argument('[texts...]', 'texts to classify')
    .requiredOption('--model <folder or id>', 'fine-tuned model')
    .option('--data <file>', 'data file whose texts, or pairs of texts, are classified: .tsv, .csv or .jsonl')
    .option('--pair <text>', 'second text, for models of pairs')
    .option('--pairs', 'a line of standard input holds two texts with a tab between')
    .option('--batch-size <n>', 'texts in a batch', integer, 32)
    .option('--json', 'print JSON for arguments too');
  addModelOptions(addDataOptions(command)).action(predict);
}

async function predict(texts: string[], options: PredictOptions): Promise<void> {
  // The reader of the output is gone.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  checkInputs(texts, options);
  const source = await inputs(texts, options);
  const json = texts.length === 0 || options.json === true;
  const classifier = await loadClassifier(options.model, options);
  let waiting: Input[] = [];
  let warned = false;
  const flush = async (): Promise<void> => {
    const warning = warned ? null : pairWarning(classifier.model.config, waiting[0]!.pair !== undefined);
    if (warning !== null) console.error(warning);
    warned = true;
    for (const prediction of await classify(classifier, waiting, options))
      process.stdout.write(`${json ? JSON.stringify(prediction) : describe(prediction)}\n`);
    waiting = [];
  };
  for await (const input of source) {
    waiting.push(input);
    if (waiting.length === options.batchSize) await flush();
  }
  if (waiting.length > 0) await flush();
  classifier.device.destroy();
}

/** Throws `UsageError` unless there is exactly one source of texts and the options fit it. */
function checkInputs(texts: readonly string[], options: PredictOptions): void {
  const { data, pair, pairs } = options;
  checkPositive('--batch-size', options.batchSize);
  if (data !== undefined && texts.length > 0)
    throw new UsageError('there are texts and --data', { remedy: 'give one of them' });
  if (data !== undefined && (pair !== undefined || pairs === true))
    throw new UsageError('--pair and --pairs do not go with --data', {
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
    if (data === undefined && value !== undefined)
      throw new UsageError(`${name}: there is no file`, { remedy: 'pass --data, or leave it out' });
  if (texts.length === 0 && data === undefined && process.stdin.isTTY === true) {
    throw new UsageError('there is no text to classify', {
      remedy: 'give texts as arguments, lines on standard input, or a file with --data',
    });
  }
}

async function inputs(
  texts: readonly string[],
  options: PredictOptions,
): Promise<Iterable<Input> | AsyncIterable<Input>> {
  const { data, pair } = options;
  if (data !== undefined) {
    const table = await readTable(data, { ...tableOptions(options, false), readLabels: false });
    console.error(describeColumns(table));
    return table.rows.map((row) => ({ text: row.text, ...(row.pair !== undefined && { pair: row.pair }) }));
  }
  if (texts.length > 0) return texts.map((text) => ({ text, ...(pair !== undefined && { pair }) }));
  return inputLines(options);
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

async function classify(
  { model, tokenizer, labels, maxLength }: Classifier,
  inputs: readonly Input[],
  { fp16 = false }: Pick<PredictOptions, 'fp16'>,
): Promise<Prediction[]> {
  const examples = inputs.map(({ text, pair }) =>
    tokenizer.encode(text, pair, { truncation: true, maxLength }),
  );
  const collate = dataCollatorWithPadding({
    padTokenId: tokenizer.padTokenId,
    paddingSide: tokenizer.paddingSide,
  });
  const batch = collate(examples, [...examples.keys()]);
  const out: Prediction[] = [];
  for await (const { logits } of predictBatches(model, [batch], { fp16 })) {
    const width = logits.length / inputs.length;
    checkFinite(logits, width);
    for (const [row, input] of inputs.entries()) {
      out.push({
        ...input,
        ...interpret(labels.problemType, logits.subarray(row * width, (row + 1) * width), labels.names),
      });
    }
  }
  return out;
}

function interpret(
  type: ProblemType,
  logits: Float32Array,
  names: readonly string[],
): Omit<Prediction, keyof Input> {
  if (type === 'regression') return { label: logits[0]! };
  const multi = type === 'multi_label_classification';
  const values = multi
    ? Array.from(logits, (x) => 1 / (1 + Math.exp(-x)))
    : [...softmaxRows(logits, names.length)];
  const scores = Object.fromEntries(names.map((name, id) => [name, values[id]!]));
  if (multi) return { label: names.filter((_, id) => values[id]! > 0.5), scores };
  const best = values.indexOf(Math.max(...values));
  return { label: names[best]!, score: values[best]!, scores };
}

function describe({ text: first, pair, label, score }: Prediction): string {
  const text = pair === undefined ? first : `${first}\t${pair}`;
  const shown = Array.isArray(label)
    ? label.join(', ') || '(none)'
    : typeof label === 'number'
      ? label.toFixed(4)
      : label;
  return score === undefined ? `${shown}\t${text}` : `${shown}\t${score.toFixed(4)}\t${text}`;
}
