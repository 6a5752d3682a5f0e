/** `dawngrad evaluate`: computes metrics of a fine-tuned model on labeled text. */
import type { Command } from 'commander';
import { encodeTable } from '../data/dataset.ts';
import { encodeLabels } from '../data/labels.ts';
import { readTable } from '../data/table.ts';
import { describeColumns, pairWarning } from '../tasks/describe.ts';
import { Trainer } from '../train/trainer.ts';
import { loadClassifier } from './classifier.ts';
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

interface EvaluateOptions extends CommonOptions, DataOptions {
  model: string;
  data: string;
  batchSize: number;
  json?: boolean;
}

export function addEvaluate(program: Command): void {
  const command = program
    .command('evaluate')
    .description('report how well a fine-tuned model classifies labelled texts')
    .requiredOption('--model <folder or id>', 'fine-tuned model')
    .requiredOption('--data <file>', 'labelled data: .tsv, .csv or .jsonl')
    .option('--batch-size <n>', 'texts in a batch', integer, 32)
    .option('--json', 'print the metrics as JSON');
  addModelOptions(addDataOptions(command)).action(evaluate);
}

async function evaluate(options: EvaluateOptions): Promise<void> {
  checkPositive('--batch-size', options.batchSize);
  const table = await readTable(options.data, tableOptions(options, true));
  console.error(describeColumns(table));
  const { device, model, tokenizer, labels, maxLength } = await loadClassifier(options.model, options);
  const warning = pairWarning(model.config, table.rows[0]!.pair !== undefined);
  if (warning !== null) console.error(warning);
  const evalDataset = encodeTable(table, encodeLabels(table, labels), tokenizer, {
    maxLength,
    truncation: true,
  });
  const { fp16 = false } = options;
  const args = { outputDir: options.model, perDeviceEvalBatchSize: options.batchSize, fp16 };
  const result = await new Trainer({ model, processingClass: tokenizer, evalDataset, args }).evaluate();
  if (options.json === true)
    console.log(JSON.stringify({ ...result.metrics, confusion_matrix: result.confusion }));
  else
    console.log(`${evalDataset.length} texts of ${options.data}:\n${formatEvaluation(result, labels.names)}`);
  device.destroy();
}
