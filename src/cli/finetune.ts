/** `dawngrad finetune`: fine-tunes a checkpoint for a task. */

import { type Command, Option } from 'commander';
import { platform } from '#platform';
import { ConfigError, UsageError } from '../errors.ts';
import { namesOf } from '../models/common/class-names.ts';
import type { PretrainedConfig } from '../models/common/config.ts';
import { withOverrides } from '../models/config.ts';
import { hasTrainedClassifier } from '../models/files/class-head.ts';
import { resolveModel } from '../models/files/hub.ts';
import { loadConfig } from '../models/files/load.ts';
import { defined } from '../options.ts';
import { SENTENCE_FILES } from '../sentence/folder.ts';
import { SetFitModel } from '../sentence/setfit.ts';
import type { CardContent } from '../tasks/model-card.ts';
import type { Decision, Task, TaskFile } from '../tasks/task.ts';
import { AutoTokenizer } from '../text/auto.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import { resolveArguments } from '../train/argument-checks.ts';
import { EarlyStoppingCallback } from '../train/callbacks.ts';
import type { TrainableModel } from '../train/predict.ts';
import { hubId, shownName, writeCard } from './card.ts';
import { readClassWeights } from './class-weights.ts';
import { configOption, type DatasetOptions, datasetOption } from './data-source.ts';
import { bytes, printDryRun } from './dry-run.ts';
import {
  addFewShotOptions,
  checkFewShotLabels,
  type FewShotOptions,
  fewShotValues,
  loadFewShot,
  trainFewShot,
} from './few-shot.ts';
import { readFiles } from './finetune-data.ts';
import { checkOptions, evaluates } from './finetune-options.ts';
import { checkAlone, first, isFirst } from './group.ts';
import { addLora, resumeLora } from './lora.ts';
import {
  addDataOptions,
  addModelOptions,
  addResumeOption,
  type CommonOptions,
  checkOutput,
  type DataOptions,
  integer,
  number,
  openDevice,
  required,
  resumedFrom,
  shellCommand,
} from './options.ts';
import { downloadProgress } from './progress.ts';
import { addPushOptions, pushTraining, type TrainingPushOptions, trainingTarget } from './push.ts';
import { formatEvaluation, formatOutcome } from './report.ts';
import { addStreamingOptions, type StreamingOptions } from './streaming.ts';
import { addTaskOptions, encodingOptions, type TaskOptions } from './task-options.ts';
import { train } from './train.ts';
import type { Trained } from './trained.ts';
import { addTrainingOptions, argumentsFrom } from './training-options.ts';
import { checkJsonLines, writeJsonLines } from './write.ts';

export interface FinetuneOptions
  extends CommonOptions,
    DataOptions,
    StreamingOptions,
    FewShotOptions,
    DatasetOptions,
    TaskOptions,
    TrainingPushOptions {
  model?: string;
  train?: string | string[];
  eval?: string | string[];
  test?: string | string[];
  evalSplit?: string;
  testSplit?: string;
  trainSplit?: number;
  output?: string;
  example?: boolean;
  fromScratch?: boolean;
  lora?: string | true;
  dryRun?: boolean;
  memoryLimit?: number;
  overwrite?: boolean;
  resume?: string | true;
  maxTrainSamples?: number;
  maxEvalSamples?: number;
  predictions?: string;
  evalSteps?: number;
  saveSteps?: number;
  earlyStopping?: number;
  metric?: string;
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
    .description('fine-tune a checkpoint for a task')
    .option('--example', 'use the sentiment example that ships with the package')
    .option('--model <folder or id>', 'checkpoint to start from: a folder, or a hub id')
    .option('--train <files...>', 'training data, patterns too; docs/tasks.md has the files of each task')
    .option('--eval <files...>', 'data to evaluate on after every epoch')
    .option('--test <files...>', 'data to report on at the end')
    .option(...datasetOption)
    .option(...configOption)
    .option('--split <name>', 'split of the data set to train on (default: train)')
    .option('--eval-split <name>', 'split to evaluate on after every epoch, such as validation')
    .option('--test-split <name>', 'split to report on at the end')
    .option('--train-split <share>', 'evaluate on a share of the training data, which is held out', number)
    .option('--output <folder>', 'where the fine-tuned model goes')
    .option('--max-train-samples <n>', 'train on the first n texts only', integer)
    .option('--max-eval-samples <n>', 'evaluate and test on the first n texts only', integer)
    .option('--predictions <file>', 'write the predictions for the test or evaluation data there')
    .option('--overwrite', 'replace a model in the output folder')
    .option('--dry-run', 'say what memory, time and disk the training would take, and end')
    .option('--memory-limit <size>', 'memory that the GPU may give, as in 8GiB (default: what it has)', bytes)
    .option(
      '--lora [settings]',
      'train an adapter instead of the model: r=8,alpha=8,dropout=0,target=query+value,save=classifier,bias=none',
    )
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
  });
  addStreamingOptions(command);
  addFewShotOptions(command);
  addModelOptions(addDataOptions(addTaskOptions(addPushOptions(addResumeOption(command)), 'finetune')));
  command.action((options: FinetuneOptions) => finetune(withPreset(options, command)));
}

/** Fills in the example's files, and settings of it or of `--few-shot`, keeping what the user set. */
function withPreset(options: FinetuneOptions, command: Command): FinetuneOptions {
  const values = options.fewShot === true ? fewShotValues : options.example === true ? example.values : {};
  const file = (name: string): string => platform.joinPath(platform.packagePath(example.folder), name);
  const open = Object.entries(values).filter(([name]) =>
    ['default', undefined].includes(command.getOptionValueSource(name)),
  );
  const files = options.example === true && {
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
  if (args.classWeights !== undefined) args.classWeights = await readClassWeights(args.classWeights);
  // Rejects invalid arguments before reading anything.
  resolveArguments(args);
  checkAlone({ '--few-shot': options.fewShot, '--dry-run': options.dryRun });
  const callbacks =
    options.earlyStopping === undefined
      ? []
      : [new EarlyStoppingCallback({ earlyStoppingPatience: options.earlyStopping })];
  checkOptions(options);
  await checkJsonLines(options.predictions);
  const target = await trainingTarget(options, output);
  const { task, files, dataset, streamed } = await readFiles(options);
  const checkpoint = await resumedFrom(options.resume, output);
  if (checkpoint === undefined) await checkOutput(output, options.overwrite === true);
  const { device, model, tokenizer, bound, decision } = await prepare(options, task, files.train, checkpoint);
  const encoded = (file: TaskFile<unknown> | null, most: number | undefined) =>
    file === null ? null : bound.encode(file.examples.slice(0, most));
  const stream = await streamed?.stream(bound, options.maxTrainSamples);
  const trainDataset = stream ?? encoded(files.train, options.maxTrainSamples)!;
  const evalDataset = encoded(files.eval, options.maxEvalSamples);
  const testDataset = encoded(files.test, options.maxEvalSamples);
  const count = Math.min(files.train.examples.length, options.maxTrainSamples ?? Number.POSITIVE_INFINITY);
  const evaluated = evalDataset === null ? '' : `, evaluating on ${evalDataset.examples.length}`;
  const learned = decision.labels === '' ? '' : `: ${decision.labels}`;
  console.error(`training on ${count} ${task.things}${evaluated}${learned}`);
  const setup = {
    model,
    processingClass: tokenizer,
    trainDataset,
    ...(evalDataset && { evalDataset }),
    dataCollator: bound.collate,
    ...(bound.computeMetrics && { computeMetrics: bound.computeMetrics }),
    ...(bound.computeLoss && { computeLoss: bound.computeLoss }),
    args,
    callbacks,
  };
  if (options.dryRun === true) {
    await printDryRun(setup, options.memoryLimit);
    device.destroy();
    return;
  }
  const { trainer, outcome } =
    model instanceof SetFitModel
      ? await trainFewShot(
          model,
          files.train,
          { sampling: options.sampling, most: options.maxTrainSamples },
          setup,
        )
      : await train(setup, checkpoint);
  if (outcome.interruptedAt !== null) return;
  console.error(formatOutcome(outcome, options.metric ?? 'loss'));
  const [name, reported] = testDataset ? ['test', testDataset] : ['evaluation', evalDataset];
  let scores: CardContent['scores'] = null;
  if (reported) {
    const known = reported === evalDataset ? outcome.evaluation : null;
    let evaluation = known ?? null;
    if (options.predictions !== undefined) {
      const result = await trainer.predict(reported, { metricKeyPrefix: 'eval' });
      await writeJsonLines(options.predictions, bound.predictions(result.prediction, reported));
      evaluation ??= result;
    }
    evaluation ??= await trainer.evaluate(reported);
    const { path } = (testDataset ? files.test : files.eval)!;
    scores = { metrics: evaluation.metrics, file: shownName(path, dataset), count: reported.examples.length };
    console.log(
      `\n${name}, ${reported.examples.length} ${task.things}:\n${formatEvaluation(evaluation, namesOf(model.config))}`,
    );
  }
  if (isFirst())
    await writeCard(output, target, {
      task: task.name,
      model,
      base: options.fromScratch === true ? null : await hubId(options.model),
      args: trainer.args,
      dataset,
      train: { count, things: task.things, file: shownName(files.train.path, dataset) },
      scores,
    });
  const { what, words } = task.nextStep(model.config, tokenizer);
  const shown = options.example === true ? '"I loved every minute of it"' : words;
  console.log(
    `\nsaved to ${output}. ${what} with:\n\n  ${shellCommand(['predict', '--model', output])} ${shown}\n`,
  );
  if (target !== null && isFirst()) await pushTraining(output, target, options);
  device.destroy();
}

/** What the data or the checkpoint decide, printed a line each. */
async function decide(
  { problemType, head, loss, fromScratch, fewShot }: FinetuneOptions,
  task: Task,
  data: TaskFile<unknown>,
  { folder, config, resumes }: { folder: string; config: PretrainedConfig; resumes: boolean },
): Promise<Decision> {
  let decision: Decision;
  if (resumes) {
    decision = task.ofModel(config, data.examples);
    const { problemType: trained } = decision.config;
    if (problemType !== undefined && problemType !== trained)
      throw new ConfigError(`--problem-type ${problemType}: the checkpoint was trained for ${trained}`, {
        remedy: 'leave it out, or start a new training',
      });
    // The command that resumes repeats the options of the first one.
    if (head !== undefined) console.error(`note: --head ${head}: a resumed training keeps its head`);
    if (loss !== undefined) decision = { ...decision, about: task.decide(data, { loss }).about };
  } else {
    const { model } = task;
    const trained =
      fromScratch !== true &&
      fewShot !== true &&
      model !== null &&
      (await hasTrainedClassifier(folder, config, model));
    decision = task.decide(data, defined({ problemType, head, loss, model: trained ? config : undefined }));
  }
  for (const line of decision.about) console.error(line);
  return decision;
}

/** Throws `ConfigError` for a metric that is not computed. */
function checkMetric({ metric }: FinetuneOptions, { metrics }: Decision): void {
  const names = ['loss', ...metrics];
  if (metric !== undefined && !names.includes(metric.replace(/^eval_/, '')))
    throw new ConfigError(`--metric '${metric}' is not among the metrics`, {
      remedy: `use one of ${names.join(', ')}`,
    });
}

async function prepare(
  options: FinetuneOptions,
  task: Task,
  data: TaskFile<unknown>,
  checkpoint: string | undefined,
): Promise<Trained & { decision: Decision }> {
  const resolve = async (): Promise<string> =>
    resolveModel(
      required(options.model, '--model'),
      { onProgress: downloadProgress() },
      'all',
      SENTENCE_FILES,
    );
  // Other processes then find the model in the cache.
  if (checkpoint === undefined) await first(resolve);
  const folder = checkpoint ?? (await resolve());
  const config = await loadConfig(folder);
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  const resumes = checkpoint !== undefined;
  const decision = await decide(options, task, data, { folder, config, resumes });
  checkMetric(options, decision);
  if (options.fewShot === true) checkFewShotLabels(task, decision);
  const device = await openDevice(options);
  // Loading the model draws its new weights.
  device.manualSeed(options.seed);
  const { keepsHead } = decision;
  const missing: string[] = [];
  const model =
    options.fromScratch === true && !resumes
      ? await task.auto.fromConfig(withOverrides(config, decision.config), { device })
      : await (options.fewShot === true ? { fromPretrained: loadFewShot } : task.auto).fromPretrained(
          folder,
          {
            device,
            ...decision.config,
            ignoreMismatchedSizes: 'head',
            ...(keepsHead !== null && { head: keepsHead ? 'keep' : 'new' }),
            onReport: (report) => {
              missing.push(...report.missing);
              if (report.text !== '') console.error(report.text);
            },
          },
        );
  if (options.lora === undefined) model.adapters?.train();
  else if (resumes) resumeLora(model, options.lora);
  else
    console.error(addLora(model, options.lora, { task: task.name, base: options.model!, folder, missing }));
  const bound = task.bind(
    tokenizer,
    model.config,
    encodingOptions(options, task, { tokenizer, model }),
    model,
  );
  checkRoom(options, tokenizer, task.pairs(data.examples));
  return { device, model: model as TrainableModel, tokenizer, task, bound, decision };
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
  const evaluated = evaluates(options);
  const strategy = (steps: number | undefined) =>
    steps === undefined ? ('epoch' as const) : ('steps' as const);
  return {
    ...argumentsFrom(options, 'finetune'),
    outputDir,
    evalStrategy: evaluated ? strategy(options.evalSteps) : ('no' as const),
    saveStrategy: strategy(options.saveSteps),
    loadBestModelAtEnd: evaluated,
  };
}
