/** `dawngrad finetune`: fine-tunes a checkpoint on labeled text. */

import { type Command, Option } from 'commander';
import { platform } from '#platform';
import { encodeTable } from '../data/dataset.ts';
import { encodeLabels, type LabelSet, labelsOfModel } from '../data/labels.ts';
import { readTable, type TextTable } from '../data/table.ts';
import { decideTask, type TaskDecision } from '../data/task.ts';
import { ConfigError, DataError, UsageError } from '../errors.ts';
import { AutoModelForSequenceClassification } from '../models/auto.ts';
import type { PretrainedConfig, ProblemType } from '../models/common/config.ts';
import { hasTrainedClassifier } from '../models/files/class-head.ts';
import { resolveModel } from '../models/files/hub.ts';
import { loadConfig } from '../models/files/load.ts';
import { defined } from '../options.ts';
import { AutoTokenizer } from '../text/auto.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import { resolveArguments } from '../train/argument-checks.ts';
import { EarlyStoppingCallback } from '../train/callbacks.ts';
import { metricNames } from '../train/metrics.ts';
import type { TrainableModel } from '../train/predict.ts';
import type { Classifier } from './classifier.ts';
import { describeColumns, describeLabels, describeTask, pairWarning } from './describe.ts';
import {
  addDataOptions,
  addModelOptions,
  addResumeOption,
  type CommonOptions,
  checkOutput,
  checkPositive,
  type DataOptions,
  integer,
  openDevice,
  problemTypes,
  required,
  resumedFrom,
  shellCommand,
  tableOptions,
} from './options.ts';
import { downloadProgress } from './progress.ts';
import { formatEvaluation, formatOutcome } from './report.ts';
import { train } from './train.ts';
import { addTrainingOptions, argumentsFrom } from './training-options.ts';

interface FinetuneOptions extends CommonOptions, DataOptions {
  model?: string;
  train?: string;
  eval?: string;
  test?: string;
  output?: string;
  example?: boolean;
  fromScratch?: boolean;
  overwrite?: boolean;
  resume?: string | true;
  maxLength?: number;
  truncation: boolean;
  evalSteps?: number;
  saveSteps?: number;
  earlyStopping?: number;
  metric?: string;
  problemType?: ProblemType;
  head?: 'keep' | 'new';
  seed: number;
}

/** Values that the example sets unless the user does. */
const example = {
  folder: 'examples/sentiment',
  values: { epochs: 3, batchSize: 16, lr: 5e-4, freezeEpochs: 1, warmupSteps: 0.1, output: 'out' },
};

export function addFinetune(program: Command): void {
  const command = program
    .command('finetune')
    .description('fine-tune a checkpoint to classify texts')
    .option('--example', 'use the sentiment example that ships with the package')
    .option('--model <folder or id>', 'checkpoint to start from: a folder, or a hub id')
    .option('--train <file>', 'training data: .tsv, .csv or .jsonl')
    .option('--eval <file>', 'data to evaluate on after every epoch')
    .option('--test <file>', 'data to report on at the end')
    .option('--output <folder>', 'where the fine-tuned model goes')
    .option('--overwrite', 'replace a model in the output folder')
    .option('--from-scratch', "draw all weights anew, keeping the checkpoint's config and tokenizer");
  addTrainingOptions(command, 'finetune', {
    gradientAccumulationSteps: [
      new Option('--max-length <n>', "tokens a text may have (default: the model's limit)").argParser(
        integer,
      ),
      new Option('--no-truncation', 'refuse texts that are too long instead of cutting them'),
    ],
    saveTotalLimit: [
      new Option('--early-stopping <n>', 'stop after n evaluations without improvement').argParser(integer),
    ],
    loggingFirstStep: [
      new Option('--problem-type <type>', 'told from the labels if not given').choices([...problemTypes]),
      new Option(
        '--head <what>',
        "a trained classifier: keep it with the model's classes, or draw a new one (told from the labels' names if not given)",
      ).choices(['keep', 'new']),
    ],
  });
  addModelOptions(addDataOptions(addResumeOption(command)));
  command.action((options: FinetuneOptions) => finetune(withExample(options, command)));
}

/** Fills in the example's files and settings for `--example`, keeping what the user set. */
function withExample(options: FinetuneOptions, command: Command): FinetuneOptions {
  if (options.example !== true) return options;
  const file = (name: string): string => platform.joinPath(platform.packagePath(example.folder), name);
  const open = Object.entries(example.values).filter(([name]) =>
    ['default', undefined].includes(command.getOptionValueSource(name)),
  );
  const files = {
    model: file('model'),
    train: file('train.tsv'),
    eval: file('dev.tsv'),
    test: file('test.tsv'),
  };
  return { ...files, ...options, ...Object.fromEntries(open) };
}

async function finetune(options: FinetuneOptions): Promise<void> {
  const output = required(options.output, '--output');
  const args = trainingArguments(options, output);
  // Rejects invalid arguments before reading anything.
  resolveArguments(args);
  const earlyStopping =
    options.earlyStopping === undefined
      ? []
      : [new EarlyStoppingCallback({ earlyStoppingPatience: options.earlyStopping })];
  const evaluated = {
    '--early-stopping': options.earlyStopping,
    '--metric': options.metric,
    '--eval-steps': options.evalSteps,
  };
  for (const [name, value] of Object.entries(evaluated))
    if (value !== undefined && options.eval === undefined)
      throw new UsageError(`${name} needs evaluations`, { remedy: 'pass --eval' });
  checkPositive('--max-length', options.maxLength);
  const read = (path: string): Promise<TextTable> => readTable(path, tableOptions(options, true));
  const table = await read(required(options.train, '--train'));
  const evalTable = options.eval === undefined ? null : await read(options.eval);
  const testTable = options.test === undefined ? null : await read(options.test);
  const tables = [table, evalTable, testTable].filter((one) => one !== null);
  checkPairs(tables);
  for (const one of tables) console.error(describeColumns(one));
  const checkpoint = await resumedFrom(options.resume, output);
  if (checkpoint === undefined) await checkOutput(output, options.overwrite === true);
  const prepared = await prepare(options, table, checkpoint);
  const dataset = (rows: TextTable) =>
    encodeTable(rows, encodeLabels(rows, prepared.labels), prepared.tokenizer, {
      maxLength: prepared.maxLength,
      truncation: options.truncation,
    });
  const [trainDataset, evalDataset, testDataset] = [
    dataset(table),
    evalTable && dataset(evalTable),
    testTable && dataset(testTable),
  ];
  console.error(
    `training on ${trainDataset.length} texts${evalDataset ? `, evaluating on ${evalDataset.length}` : ''}: ${describeLabels(prepared.labels)}`,
  );
  const { trainer, outcome } = await train(
    {
      model: prepared.model,
      processingClass: prepared.tokenizer,
      trainDataset,
      ...(evalDataset && { evalDataset }),
      args,
      callbacks: earlyStopping,
    },
    checkpoint,
  );
  if (outcome.interruptedAt !== null) return;
  console.error(formatOutcome(outcome, options.metric ?? 'loss'));
  const [name, reported] = testDataset ? ['test', testDataset] : ['evaluation', evalDataset];
  if (reported) {
    const known = reported === evalDataset ? outcome.evaluation : null;
    const evaluation = known ?? (await trainer.evaluate(reported));
    console.log(
      `\n${name}, ${reported.length} texts:\n${formatEvaluation(evaluation, prepared.labels.names)}`,
    );
  }
  console.log(`\nsaved to ${output}. ${nextStep(output, prepared.labels, hasPairs(table), options)}\n`);
  prepared.device.destroy();
}

/** The command that uses the model, with a text from the example if the example was trained. */
function nextStep(
  output: string,
  { problemType }: LabelSet,
  pairs: boolean,
  options: FinetuneOptions,
): string {
  const what = {
    regression: 'Predict a value with',
    single_label_classification: `Classify a ${pairs ? 'pair' : 'text'} with`,
    multi_label_classification: `Find the classes of a ${pairs ? 'pair' : 'text'} with`,
  }[problemType];
  const text = options.example === true ? 'I loved every minute of it' : pairs ? 'the first text' : 'a text';
  const pair = pairs ? ' --pair "the second text"' : '';
  // Double quotes work in every shell.
  return `${what}:\n\n  ${shellCommand(['predict', '--model', output])} "${text}"${pair}`;
}

function hasPairs({ rows }: TextTable): boolean {
  return rows[0]!.pair !== undefined;
}

/** Throws `DataError` unless all tables hold pairs, or all hold single texts. */
function checkPairs([first, ...others]: readonly TextTable[]): void {
  const odd = others.find((table) => hasPairs(table) !== hasPairs(first!));
  if (odd === undefined) return;
  const [two, one] = hasPairs(odd) ? [odd, first!] : [first!, odd];
  throw new DataError(`${two.path} has pairs of texts, ${one.path} single texts`, {
    remedy: 'name the columns of both with --text-column and --pair-column',
  });
}

/** The task of a new training or of the checkpoint. Prints each decision on a line. */
async function taskOf(
  options: FinetuneOptions,
  table: TextTable,
  folder: string,
  config: PretrainedConfig,
  checkpoint: string | undefined,
): Promise<TaskDecision> {
  const pairs = hasPairs(table);
  const { problemType, head, fromScratch } = options;
  let decision: TaskDecision;
  if (checkpoint !== undefined) {
    const kept = { keep: true, why: 'the training goes on' };
    const labels = labelsOfModel(config);
    if (problemType !== undefined && problemType !== labels.problemType)
      throw new ConfigError(
        `--problem-type ${problemType}: the checkpoint was trained for ${labels.problemType}`,
        { remedy: 'leave it out, or start a new training' },
      );
    decision = { labels, why: 'as in the checkpoint', head: kept, notes: [] };
  } else {
    const trained = fromScratch !== true && (await hasTrainedClassifier(folder, config));
    decision = decideTask(table, defined({ problemType, head, model: trained ? config : undefined }));
  }
  const warning = pairWarning(config, pairs);
  for (const line of describeTask(decision, pairs)) console.error(line);
  if (warning !== null && decision.head !== null) console.error(warning);
  return decision;
}

/** Throws `ConfigError` for a metric that is not computed. */
function checkMetric(options: FinetuneOptions, { problemType }: LabelSet): void {
  const { metric } = options;
  const names = ['loss', ...metricNames[problemType]];
  if (metric !== undefined && !names.includes(metric.replace(/^eval_/, '')))
    throw new ConfigError(`--metric '${metric}' is not among the metrics`, {
      remedy: `use one of ${names.join(', ')}`,
    });
}

async function prepare(
  options: FinetuneOptions,
  table: TextTable,
  checkpoint: string | undefined,
): Promise<Classifier> {
  const folder =
    checkpoint ??
    (await resolveModel(required(options.model, '--model'), { onProgress: downloadProgress() }));
  const config = await loadConfig(folder);
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  const { labels, head } = await taskOf(options, table, folder, config, checkpoint);
  checkMetric(options, labels);
  const device = await openDevice(options);
  // Loading the model draws its new weights.
  device.manualSeed(options.seed);
  const id2label = Object.fromEntries(labels.names.map((name, id) => [id, name]));
  const overrides = { id2label, problemType: labels.problemType, textPair: hasPairs(table) };
  const model =
    options.fromScratch === true && checkpoint === undefined
      ? await AutoModelForSequenceClassification.fromConfig(
          {
            ...config,
            ...overrides,
            numLabels: labels.names.length,
            label2id: Object.fromEntries(labels.names.map((name, id) => [name, id])),
          },
          { device },
        )
      : await AutoModelForSequenceClassification.fromPretrained(folder, {
          device,
          ...overrides,
          ignoreMismatchedSizes: 'head',
          ...(head !== null && { head: head.keep ? 'keep' : 'new' }),
          onReport: ({ text }) => text !== '' && console.error(text),
        });
  const limit = Math.min(model.base.maxLength, tokenizer.modelMaxLength);
  const maxLength = options.maxLength ?? limit;
  if (maxLength > model.base.maxLength) {
    throw new ConfigError(
      `--max-length ${maxLength}: the model has positions for 1 to ${model.base.maxLength} tokens`,
    );
  }
  checkRoom(options, tokenizer, hasPairs(table));
  return { device, model: model as TrainableModel, tokenizer, labels, maxLength };
}

/** Throws `UsageError` if special tokens use up the maximum length: every text would be the same. */
function checkRoom({ maxLength }: FinetuneOptions, tokenizer: PreTrainedTokenizer, pairs: boolean): void {
  const special = tokenizer.encode('', pairs ? '' : undefined).inputIds.length;
  if (maxLength !== undefined && maxLength <= special)
    throw new UsageError(`--max-length ${maxLength} leaves no room for text: ${special} tokens are special`, {
      remedy: `use ${special + 1} or more`,
    });
}

function trainingArguments(options: FinetuneOptions, outputDir: string) {
  const evaluates = options.eval !== undefined;
  const strategy = (steps: number | undefined) =>
    steps === undefined ? ('epoch' as const) : ('steps' as const);
  return {
    ...argumentsFrom(options, 'finetune'),
    outputDir,
    evalStrategy: evaluates ? strategy(options.evalSteps) : ('no' as const),
    saveStrategy: strategy(options.saveSteps),
    loadBestModelAtEnd: evaluates,
  };
}
