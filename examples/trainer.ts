/**
 * Fine-tuning with the Trainer.
 *
 *     npx tsx examples/trainer.ts [model folder or hub id] [train.tsv] [dev.tsv] [output]
 */
import { fileURLToPath } from 'node:url';
import {
  AutoModelForSequenceClassification,
  AutoTokenizer,
  EarlyStoppingCallback,
  encodeLabels,
  encodeTable,
  inferLabels,
  readTable,
  requestDevice,
  Trainer,
  type TrainerOptions,
} from 'dawngrad';

const file = (name: string): string => fileURLToPath(new URL(`sentiment/${name}`, import.meta.url));

export interface ExampleFiles {
  model?: string;
  train?: string;
  dev?: string;
  output?: string;
}

/** Fine-tunes and returns the accuracy on the development data. */
export async function finetune(
  files: ExampleFiles = {},
  more: Partial<TrainerOptions['args']> = {},
): Promise<number> {
  const {
    model: folder = file('model'),
    train = file('train.tsv'),
    dev = file('dev.tsv'),
    output = 'out-trainer',
  } = files;
  const device = await requestDevice();
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  const [trainTable, devTable] = [await readTable(train), await readTable(dev)];
  const labels = inferLabels(trainTable);
  const options = { maxLength: 64, truncation: true };

  const model = await AutoModelForSequenceClassification.fromPretrained(folder, {
    device,
    id2label: { ...labels.names },
    problemType: labels.problemType,
  });
  const trainer = new Trainer({
    model,
    processingClass: tokenizer,
    trainDataset: encodeTable(trainTable, encodeLabels(trainTable, labels), tokenizer, options),
    evalDataset: encodeTable(devTable, encodeLabels(devTable, labels), tokenizer, options),
    args: {
      outputDir: output,
      numTrainEpochs: 4,
      perDeviceTrainBatchSize: 16,
      learningRate: 5e-4,
      warmupSteps: 0.1,
      evalStrategy: 'epoch',
      loadBestModelAtEnd: true,
      metricForBestModel: 'accuracy',
      ...more,
    },
    callbacks: [new EarlyStoppingCallback({ earlyStoppingPatience: 2 })],
  });
  await trainer.train();
  const { metrics } = await trainer.evaluate();
  device.destroy();
  return metrics.eval_accuracy!;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [model, train, dev, output] = process.argv.slice(2);
  const accuracy = await finetune({
    ...(model && { model }),
    ...(train && { train }),
    ...(dev && { dev }),
    ...(output && { output }),
  });
  console.log(`accuracy ${accuracy.toFixed(4)}`);
}
