/** `dawngrad predict`: classes of texts, given as arguments or as lines on standard input. */
import type { Command } from 'commander';
import { dataCollatorWithPadding } from '../data/collate.ts';
import { UsageError } from '../errors.ts';
import type { ProblemType } from '../models/config.ts';
import { checkFinite, softmaxRows } from '../train/metrics.ts';
import { predictBatches } from '../train/predict.ts';
import { type Classifier, loadClassifier } from './classifier.ts';
import { addModelOptions, type CommonOptions, integer } from './options.ts';

interface PredictOptions extends CommonOptions {
  model: string;
  batchSize: number;
  pair?: string;
  json?: boolean;
}

interface Prediction {
  text: string;
  /** The class, the classes, or the value. */
  label: string | string[] | number;
  score?: number;
  scores?: Record<string, number>;
}

export function addPredict(program: Command): void {
  const command = program
    .command('predict')
    .description('classify texts: the arguments, or each line of standard input; lines of JSON come out')
    .argument('[texts...]', 'texts to classify')
    .requiredOption('--model <folder or id>', 'fine-tuned model')
    .option('--pair <text>', 'second text, for models of pairs')
    .option('--batch-size <n>', 'texts in a batch', integer, 32)
    .option('--json', 'print JSON for arguments too');
  addModelOptions(command).action(predict);
}

async function predict(texts: string[], options: PredictOptions): Promise<void> {
  // Nobody reads what comes out any more.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  const fromInput = texts.length === 0;
  if (fromInput && process.stdin.isTTY === true) {
    throw new UsageError('there is no text to classify', {
      remedy: 'give texts as arguments, or lines on standard input',
    });
  }
  if (options.batchSize < 1)
    throw new UsageError(`--batch-size is ${options.batchSize}`, { remedy: 'use an integer of 1 or more' });
  const classifier = await loadClassifier(options.model, options);
  const source = fromInput ? inputLines() : texts;
  let waiting: string[] = [];
  const flush = async (): Promise<void> => {
    for (const prediction of await classify(classifier, waiting, options)) {
      process.stdout.write(
        `${fromInput || options.json === true ? JSON.stringify(prediction) : describe(prediction)}\n`,
      );
    }
    waiting = [];
  };
  for await (const text of source) {
    waiting.push(text);
    if (waiting.length === options.batchSize) await flush();
  }
  if (waiting.length > 0) await flush();
  classifier.device.destroy();
}

async function* inputLines(): AsyncGenerator<string> {
  let rest = '';
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) {
    const lines = (rest + String(chunk)).split(/\r?\n/);
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== '') yield line;
  }
  if (rest.trim() !== '') yield rest;
}

async function classify(
  { model, tokenizer, labels, maxLength }: Classifier,
  texts: readonly string[],
  { pair, fp16 = false }: Pick<PredictOptions, 'pair' | 'fp16'>,
): Promise<Prediction[]> {
  const examples = texts.map((text) => tokenizer.encode(text, pair, { truncation: true, maxLength }));
  const collate = dataCollatorWithPadding({ padTokenId: tokenizer.padTokenId });
  const batch = collate(examples, [...examples.keys()]);
  const out: Prediction[] = [];
  for await (const { logits } of predictBatches(model, [batch], { fp16 })) {
    const width = logits.length / texts.length;
    checkFinite(logits, width);
    for (const [row, text] of texts.entries()) {
      out.push({
        text,
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
): Omit<Prediction, 'text'> {
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

function describe({ text, label, score }: Prediction): string {
  const shown = Array.isArray(label)
    ? label.join(', ') || '(none)'
    : typeof label === 'number'
      ? label.toFixed(4)
      : label;
  return score === undefined ? `${shown}\t${text}` : `${shown}\t${score.toFixed(4)}\t${text}`;
}
