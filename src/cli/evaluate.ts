/** `dawngrad evaluate`: computes metrics of a trained model on labeled data. */
import type { Command } from 'commander';
import { namesOf } from '../models/common/class-names.ts';
import { Trainer } from '../train/trainer.ts';
import { configOption, type DatasetOptions, datasetOption, onlySource, readSource } from './data-source.ts';
import { groupOption } from './group.ts';
import {
  addDataOptions,
  addModelOptions,
  type CommonOptions,
  checkPositive,
  type DataOptions,
  integer,
  tableOptions,
} from './options.ts';
import { formatEvaluation } from './report.ts';
import { addTaskOptions, checkTaskOptions, type TaskOptions } from './task-options.ts';
import { loadTrained, taskOf } from './trained.ts';
import { checkJsonLines, checkKept, writeJsonLines } from './write.ts';

interface EvaluateOptions extends CommonOptions, DataOptions, DatasetOptions, TaskOptions {
  model: string;
  data?: string[];
  batchSize: number;
  maxEvalSamples?: number;
  predictions?: string;
  json?: boolean;
}

export function addEvaluate(program: Command): void {
  const command = program
    .command('evaluate')
    .description('report how well a trained model does on labelled data')
    .requiredOption('--model <folder or id>', 'fine-tuned model')
    .option('--data <files...>', 'labelled data, as for finetune')
    .option(...datasetOption)
    .option(...configOption)
    .option('--split <name>', 'split of the data set')
    .option('--batch-size <n>', 'texts in a batch', integer, 32)
    .option('--max-eval-samples <n>', 'use the first n texts only', integer)
    .option('--predictions <file>', 'write the predictions there too, as JSON lines')
    .option('--json', 'print the metrics as JSON');
  addModelOptions(addDataOptions(addTaskOptions(command, 'evaluate'))).action(evaluate);
}

async function evaluate(options: EvaluateOptions): Promise<void> {
  checkPositive('--batch-size', options.batchSize);
  checkPositive('--max-eval-samples', options.maxEvalSamples);
  await checkJsonLines(options.predictions);
  const source = await onlySource(options);
  const found = await taskOf(options.model, options.task);
  checkTaskOptions(options, found.task);
  checkKept(options.predictions, found.task);
  const file = await readSource(found.task, source, tableOptions(options, true));
  for (const line of file.about) console.error(line);
  const { device, model, tokenizer, task, bound } = await loadTrained(found, options);
  const warning = task.warning?.(model.config, file.examples) ?? null;
  if (warning !== null) console.error(warning);
  const features = bound.encode(file.examples.slice(0, options.maxEvalSamples));
  const { fp16 = false } = options;
  const trainer = new Trainer({
    model,
    ...groupOption(),
    processingClass: tokenizer,
    dataCollator: bound.collate,
    ...(bound.computeMetrics && { computeMetrics: bound.computeMetrics }),
    ...(bound.computeLoss && { computeLoss: bound.computeLoss }),
    args: { outputDir: options.model, perDeviceEvalBatchSize: options.batchSize, fp16 },
  });
  let result: Awaited<ReturnType<Trainer['evaluate']>>;
  if (options.predictions === undefined) result = await trainer.evaluate(features);
  else {
    const { prediction, ...evaluation } = await trainer.predict(features, { metricKeyPrefix: 'eval' });
    const rows = bound.predictions(prediction, features);
    await writeJsonLines(options.predictions, rows);
    result = evaluation;
  }
  if (options.json === true)
    console.log(JSON.stringify({ ...result.metrics, confusion_matrix: result.confusion }));
  else {
    const { length } = features.examples;
    console.log(
      `${length} ${task.things} of ${file.path}:\n${formatEvaluation(result, namesOf(model.config))}`,
    );
  }
  device.destroy();
}
