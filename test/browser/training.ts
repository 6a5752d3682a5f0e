/** A training of the embedded example, the same in a page and in Node. */
import {
  AutoModelForSequenceClassification,
  AutoTokenizer,
  type Device,
  encodeLabels,
  encodeTable,
  inferLabels,
  readTable,
  Trainer,
} from '../../src/index.ts';

export interface Run {
  /** Of each step of the training, those before a resume included. */
  losses: number[];
  /** After each epoch. */
  accuracies: number[];
  /** The checkpoint of a training that was interrupted. */
  interruptedAt: string | null;
  warnings: string[];
}

export interface RunOptions {
  device: Device;
  /** The example's folder, or its address. */
  example: string;
  outputDir: string;
  resumeFromCheckpoint?: string;
  /** Interrupts the training after this step. */
  until?: number;
}

/** Two epochs of 29 steps. */
export async function trainExample({ device, example, outputDir, ...options }: RunOptions): Promise<Run> {
  const tokenizer = await AutoTokenizer.fromPretrained(`${example}/model`);
  const [train, dev] = [await readTable(`${example}/train.tsv`), await readTable(`${example}/dev.tsv`)];
  const labels = inferLabels(train);
  const encoding = { maxLength: 64, truncation: true };
  device.manualSeed(1);
  const model = await AutoModelForSequenceClassification.fromPretrained(`${example}/model`, {
    device,
    id2label: { ...labels.names },
    problemType: labels.problemType,
    onReport: () => {},
  });
  const signal = { aborted: false };
  const warnings: string[] = [];
  const trainer = new Trainer({
    model,
    processingClass: tokenizer,
    trainDataset: encodeTable(train, encodeLabels(train, labels), tokenizer, encoding),
    evalDataset: encodeTable(dev, encodeLabels(dev, labels), tokenizer, encoding),
    args: {
      outputDir,
      numTrainEpochs: 2,
      perDeviceTrainBatchSize: 16,
      learningRate: 5e-4,
      loggingSteps: 1,
      evalStrategy: 'epoch',
    },
    signal,
    onWarning: (text) => warnings.push(text),
    callbacks: [
      {
        onStepEnd: ({ state }) => {
          signal.aborted = state.globalStep === options.until;
        },
      },
    ],
  });
  const { resumeFromCheckpoint } = options;
  const { interruptedAt } = await trainer.train(
    resumeFromCheckpoint === undefined ? {} : { resumeFromCheckpoint },
  );
  const numbers = (key: string): number[] =>
    trainer.state.logHistory.flatMap((entry) => (typeof entry[key] === 'number' ? [entry[key]] : []));
  model.dispose();
  return { losses: numbers('loss'), accuracies: numbers('eval_accuracy'), interruptedAt, warnings };
}
