/** `dawngrad pretrain`: masked language modeling on plain text, from new weights or from a checkpoint. */

import { type Command, Option } from 'commander';
import { platform } from '#platform';
import { textLines } from '../data/chunks.ts';
import { dataCollatorForLanguageModeling } from '../data/collate.ts';
import { ArrayDataset } from '../data/dataset.ts';
import { ConfigError, DataError, FileError, UsageError } from '../errors.ts';
import { AutoModelForMaskedLM } from '../models/auto.ts';
import { makeConfig } from '../models/config.ts';
import { AutoTokenizer } from '../text/auto.ts';
import { resolveArguments } from '../train/argument-checks.ts';
import type { TrainableModel } from '../train/predict.ts';
import {
  addEncodingOption,
  addModelOptions,
  addResumeOption,
  type CommonOptions,
  checkOutput,
  integer,
  number,
  openDevice,
  resumedFrom,
} from './options.ts';
import { formatOutcome } from './report.ts';
import { train } from './train.ts';
import { addTrainingOptions, argumentsFrom } from './training-options.ts';

interface PretrainOptions extends CommonOptions {
  corpus: string;
  encoding?: string;
  tokenizer?: string;
  model?: string;
  output: string;
  overwrite?: boolean;
  resume?: string | true;
  hiddenSize: number;
  layers: number;
  heads: number;
  intermediateSize?: number;
  maxLength: number;
  mlmProbability: number;
  evalShare: number;
  dropout: number;
  initializerRange: number;
  seed: number;
}

export function addPretrain(program: Command): void {
  const command = program
    .command('pretrain')
    .description('pre-train a BERT by masked language modelling on plain text, one passage a line')
    .requiredOption('--corpus <file>', 'text file')
    .option('--tokenizer <folder>', 'folder with the tokenizer (for a new model)')
    .option('--model <folder or id>', 'checkpoint to go on from; its tokenizer is used')
    .requiredOption('--output <folder>', 'where the model goes')
    .option('--overwrite', 'replace a model in the output folder')
    .option('--hidden-size <n>', 'width of a new model', integer, 128)
    .option('--layers <n>', 'layers of a new model', integer, 2)
    .option('--heads <n>', 'attention heads of a new model', integer, 2)
    .option(
      '--intermediate-size <n>',
      'width of the feed-forward part (default: four times the hidden size)',
      integer,
    )
    .option('--max-length <n>', 'positions of a new model; longer lines are cut', integer, 128)
    .option('--dropout <p>', 'dropout of a new model', number, 0.1)
    .option(
      '--initializer-range <std>',
      'deviation of a new model’s weights; narrow models want more than wide ones',
      number,
      0.02,
    );
  addTrainingOptions(command, 'pretrain', {
    warmupSteps: [
      new Option('--mlm-probability <p>', 'share of tokens to predict').argParser(number).default(0.15),
      new Option('--eval-share <p>', 'share of the lines kept for evaluation')
        .argParser(number)
        .default(0.01),
    ],
  });
  addModelOptions(addResumeOption(addEncodingOption(command))).action(async (options: PretrainOptions) => {
    checkSettings(options, (name) => command.getOptionValueSource(name) === 'cli');
    await pretrain(options);
  });
}

async function pretrain(options: PretrainOptions): Promise<void> {
  const args = trainingArguments(options);
  // Rejects invalid arguments before reading anything.
  resolveArguments(args);
  const checkpoint = await resumedFrom(options.resume, options.output);
  const source = checkpoint ?? options.model ?? options.tokenizer;
  if (source === undefined)
    throw new ConfigError('pretrain needs --tokenizer for a new model, or --model to go on from one');
  if (!(await platform.exists(options.corpus)))
    throw new FileError(`corpus '${options.corpus}' does not exist`, { remedy: 'check the path' });
  if (checkpoint === undefined) await checkOutput(options.output, options.overwrite === true);
  const lines = await passages(options);
  if (lines.length === 0) throw new DataError(`${options.corpus}: there is no text`);
  const tokenizer = await AutoTokenizer.fromPretrained(source);
  const { maskTokenId } = tokenizer;
  if (maskTokenId === null) throw new ConfigError(`the tokenizer of '${source}' has no mask token`);
  const device = await openDevice(options);
  device.manualSeed(options.seed);
  const started = checkpoint ?? options.model;
  const model =
    started === undefined
      ? await AutoModelForMaskedLM.fromConfig(newConfig(options, tokenizer), { device })
      : await AutoModelForMaskedLM.fromPretrained(started, { device });
  const maxLength = Math.min(options.maxLength, model.base.maxLength);
  const examples = lines.map((line) => ({
    inputIds: tokenizer.encode(line, undefined, { truncation: true, maxLength }).inputIds,
  }));
  const held = Math.min(Math.ceil(lines.length * options.evalShare), lines.length - 1);
  const masking = {
    padTokenId: tokenizer.padTokenId,
    paddingSide: tokenizer.paddingSide,
    maskTokenId,
    vocabSize: model.config.vocabSize,
    specialIds: tokenizer.allSpecialIds,
    mlmProbability: options.mlmProbability,
    seed: options.seed,
  };
  const { outcome } = await train(
    {
      model: model as TrainableModel,
      processingClass: tokenizer,
      trainDataset: new ArrayDataset(examples.slice(held), {
        maxLength,
        mlmProbability: options.mlmProbability,
      }),
      evalDataset: new ArrayDataset(examples.slice(0, Math.max(held, 1))),
      dataCollator: dataCollatorForLanguageModeling(masking),
      args,
    },
    checkpoint,
  );
  if (outcome.interruptedAt === null) {
    console.error(formatOutcome(outcome, 'loss'));
    console.log(`saved to ${options.output}`);
  }
  device.destroy();
}

/** Throws `UsageError` for invalid settings, and for settings of a new model combined with `--model`. */
function checkSettings(options: PretrainOptions, given: (name: string) => boolean): void {
  const refuse = (name: string, value: unknown, remedy: string): never => {
    throw new UsageError(`${name} is ${String(value)}`, { remedy });
  };
  const { mlmProbability, evalShare, dropout, initializerRange, maxLength, hiddenSize, heads } = options;
  if (!(mlmProbability > 0 && mlmProbability <= 1))
    refuse('--mlm-probability', mlmProbability, 'use a number above 0, up to 1');
  if (!(evalShare >= 0 && evalShare < 1)) refuse('--eval-share', evalShare, 'use a number from 0, below 1');
  if (!(dropout >= 0 && dropout <= 1)) refuse('--dropout', dropout, 'use a number from 0 to 1');
  if (initializerRange < 0) refuse('--initializer-range', initializerRange, 'use a number of 0 or more');
  if (maxLength < 3)
    refuse('--max-length', maxLength, 'use an integer of 3 or more: a text has two special tokens');
  for (const [name, value] of Object.entries({
    '--hidden-size': hiddenSize,
    '--layers': options.layers,
    '--heads': heads,
    '--intermediate-size': options.intermediateSize ?? 1,
  }))
    if (value < 1) refuse(name, value, 'use an integer of 1 or more');
  if (hiddenSize % heads !== 0)
    refuse('--hidden-size', hiddenSize, `use a multiple of --heads, which is ${heads}`);
  if (options.model === undefined) return;
  const ofNew = {
    tokenizer: '--tokenizer',
    hiddenSize: '--hidden-size',
    layers: '--layers',
    heads: '--heads',
    intermediateSize: '--intermediate-size',
    dropout: '--dropout',
    initializerRange: '--initializer-range',
  };
  for (const [name, option] of Object.entries(ofNew))
    if (given(name))
      throw new UsageError(`${option} is for a new model, and there is --model`, {
        remedy: `leave ${option} out, or --model`,
      });
}

async function passages({ corpus, encoding }: PretrainOptions): Promise<string[]> {
  const lines: string[] = [];
  for await (const { text } of textLines(corpus, { encoding })) lines.push(text);
  return lines;
}

function trainingArguments(options: PretrainOptions) {
  return {
    ...argumentsFrom(options, 'pretrain'),
    outputDir: options.output,
    perDeviceEvalBatchSize: 32,
    evalStrategy: 'epoch' as const,
    saveStrategy: 'epoch' as const,
    saveTotalLimit: 1,
    groupByLength: true,
    loggingSteps: 20,
    loggingFirstStep: true,
  };
}

function newConfig(options: PretrainOptions, tokenizer: { vocabSize: number; padTokenId: number }) {
  return makeConfig('bert', {
    vocabSize: tokenizer.vocabSize,
    padTokenId: tokenizer.padTokenId,
    hiddenSize: options.hiddenSize,
    numHiddenLayers: options.layers,
    numAttentionHeads: options.heads,
    intermediateSize: options.intermediateSize ?? 4 * options.hiddenSize,
    maxPositionEmbeddings: options.maxLength,
    initializerRange: options.initializerRange,
    hiddenDropoutProb: options.dropout,
    attentionProbsDropoutProb: options.dropout,
  });
}
