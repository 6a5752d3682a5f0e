/**
 * The engine's side of trial_sst2.py: one epoch on the first rows of SST-2, then accuracy on the validation
 * rows.
 *
 *     npx tsx test/reference/trial-sst2.ts <model> <train.tsv> <validation.tsv> [--fp16] [--dropout 0] [--head head.safetensors] [--order order.json]
 *
 * Prints JSON. `--order` writes the order of the rows, `--head` reads the classifier's first weights, so that
 * both sides run alike.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { dataCollatorWithPadding } from '../../src/data/collate.ts';
import { encodeTable } from '../../src/data/dataset.ts';
import { encodeLabels, inferLabels } from '../../src/data/labels.ts';
import { DataLoader } from '../../src/data/loader.ts';
import { readTable } from '../../src/data/table.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { openSafetensors } from '../../src/models/files/safetensors-reader.ts';
import { platform } from '../../src/platform/node.ts';
import { requestDevice } from '../../src/tensor/device.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import type { TrainableModel } from '../../src/train/predict.ts';
import { Trainer } from '../../src/train/trainer.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dropout: { type: 'string', default: '1' },
    head: { type: 'string' },
    fp16: { type: 'boolean', default: false },
    order: { type: 'string' },
    output: { type: 'string' },
  },
});
const [folder, trainFile, validationFile] = positionals as [string, string, string];
const train = await readTable(trainFile);
const rows = { ...train, rows: train.rows.slice(0, 2000) };
const validation = await readTable(validationFile);
const labels = inferLabels(rows);
const tokenizer = await AutoTokenizer.fromPretrained(folder);
const dataset = (table: typeof rows) =>
  encodeTable(table, encodeLabels(table, labels), tokenizer, { maxLength: 128, truncation: true });
const device = await requestDevice();
device.manualSeed(42);
const dropouts =
  values.dropout === '0' ? { hiddenDropoutProb: 0, attentionProbsDropoutProb: 0, classifierDropout: 0 } : {};
const model = await AutoModelForSequenceClassification.fromPretrained(folder, {
  device,
  numLabels: 2,
  onReport: () => {},
  ...dropouts,
});
if (values.head !== undefined) {
  const file = await openSafetensors(await platform.openFile(values.head));
  for (const name of file.tensors.keys())
    model
      .stateDict()
      .get(name)!
      .write(await file.readFloat32(name));
  await file.close();
}
if (values.order !== undefined) {
  const loader = new DataLoader(dataset(rows), {
    batchSize: 16,
    collate: dataCollatorWithPadding({ padTokenId: 0 }),
    shuffle: true,
    seed: 42,
  });
  writeFileSync(values.order, JSON.stringify(loader.order(0)));
}
const losses: number[] = [];
const trainer = new Trainer({
  model: model as TrainableModel,
  processingClass: tokenizer,
  trainDataset: dataset(rows),
  evalDataset: dataset(validation),
  callbacks: [
    { onLog: (_, entry) => entry.loss !== undefined && entry.loss !== null && losses.push(entry.loss) },
  ],
  args: {
    fp16: values.fp16,
    outputDir: values.output ?? '/tmp/dawngrad-trial-sst2',
    numTrainEpochs: 1,
    perDeviceTrainBatchSize: 16,
    perDeviceEvalBatchSize: 32,
    learningRate: 5e-5,
    loggingSteps: 1,
    saveStrategy: 'no',
    seed: 42,
  },
});
const begin = performance.now();
await trainer.train();
const trained = performance.now();
const { metrics } = await trainer.evaluate();
const every25 = Object.fromEntries(losses.flatMap((loss, i) => ((i + 1) % 25 === 0 ? [[i + 1, loss]] : [])));
console.log(
  JSON.stringify(
    {
      adapter: device.description,
      accuracy: metrics.eval_accuracy,
      eval_loss: metrics.eval_loss,
      steps: losses.length,
      loss_every_25: every25,
      train_seconds: (trained - begin) / 1000,
      dropout: Number(values.dropout),
    },
    null,
    1,
  ),
);
device.destroy();
