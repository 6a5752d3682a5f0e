/** Trainings that several processes, or one with as large batches, are to do alike. */
import type { Batch } from '../../src/data/collate.ts';
import { AutoModelForMaskedLM, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { LoraConfig } from '../../src/models/peft/config.ts';
import { getPeftModel } from '../../src/models/peft/peft-model.ts';
import type { ProcessGroup } from '../../src/platform/contract.ts';
import type { Device } from '../../src/tensor/device.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import type { TrainableModel } from '../../src/train/predict.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { models } from '../support/fixtures.ts';
import { toyDataset } from '../support/toy.ts';

/** Texts in a batch of all processes. */
const TEXTS = 16;

/** A mask's place depends on the row alone, so that it is the same in a part of a batch. */
function maskedRows(examples: readonly unknown[], indices: readonly number[]): Batch {
  const rows = examples as { inputIds: number[] }[];
  const length = Math.max(...rows.map(({ inputIds }) => inputIds.length));
  const size = rows.length * length;
  const batch = {
    shape: [rows.length, length],
    inputIds: new Int32Array(size).fill(1),
    attentionMask: new Int32Array(size),
    labels: new Int32Array(size).fill(-100),
  };
  for (const [row, { inputIds }] of rows.entries())
    for (const [at, id] of inputIds.entries()) {
      const place = row * length + at;
      // Some rows have many labels that count, and some have none.
      const masked = indices[row]! % 5 > 1 && (at * 7 + indices[row]!) % 3 === 0;
      batch.inputIds[place] = masked ? 4 : id;
      batch.attentionMask[place] = 1;
      if (masked) batch.labels[place] = id;
    }
  return batch;
}

interface Training {
  masked?: boolean;
  /** Trains an adapter. */
  lora?: boolean;
  args?: Partial<TrainingArguments>;
  examples: number;
}

const trainings: Record<string, Training> = {
  // The last batch has 5 texts.
  classes: { examples: 53 },
  // The last batch has one text, and more labels count in one part than in the other.
  'masked tokens, batches added up': {
    masked: true,
    examples: 49,
    args: { gradientAccumulationSteps: 2 },
  },
  'layers computed again, thawed one by one': {
    examples: 48,
    args: { gradientCheckpointing: true, freezeEncoderEpochs: 1, unfreezeLayersPerEpoch: 1 },
  },
  'mixed precision': { examples: 40, args: { fp16: true } },
  'an adapter': { examples: 53, lora: true, args: { gradientCheckpointing: true } },
  'float16 between processes': { examples: 48, args: { mpiFp16: true } },
};

export interface Trained {
  losses: number[];
  norms: number[];
  weights: Record<string, Float32Array>;
  metrics: Record<string, number | null>;
  /** Numbers that learn, and numbers of gradients that were added up between processes. */
  learning: number;
  reduced: number;
}

/** A group that counts the float32 numbers that its processes add up. */
function counting(group: ProcessGroup | null): { group: ProcessGroup | null; reduced(): number } {
  let reduced = 0;
  if (group === null) return { group, reduced: () => reduced };
  const counted = new Proxy(group, {
    get(target, name) {
      if (name === 'allReduce')
        return (values: Float32Array, sums: Float32Array) => {
          if (values instanceof Float32Array) reduced += values.length;
          return target.allReduce(values, sums);
        };
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
  return { group: counted, reduced: () => reduced };
}

const isTime = (name: string): boolean => /runtime|per_second/.test(name);

async function train(
  { masked = false, lora = false, args, examples }: Training,
  { device, group: all, folder }: { device: Device; group: ProcessGroup | null; folder: string },
): Promise<Trained> {
  const auto = masked ? AutoModelForMaskedLM : AutoModelForSequenceClassification;
  const model = (await auto.fromPretrained(`${models}${masked ? 'roberta-mlm' : 'bert-single'}`, {
    device,
    hiddenDropoutProb: 0,
    attentionProbsDropoutProb: 0,
  })) as TrainableModel;
  device.manualSeed(5);
  if (lora) getPeftModel(model as never, new LoraConfig({ taskType: 'SEQ_CLS', r: 4 }));
  const { group, reduced } = counting(all);
  const trainer = new Trainer({
    model,
    processGroup: group,
    trainDataset: toyDataset(examples, 3, 1),
    evalDataset: toyDataset(37, 3, 2),
    ...(masked && { dataCollator: maskedRows }),
    args: {
      outputDir: folder,
      maxSteps: 50,
      perDeviceTrainBatchSize: TEXTS / (group?.size ?? 1),
      learningRate: 1e-3,
      loggingSteps: 1,
      saveStrategy: 'no',
      evalStrategy: 'steps',
      evalSteps: 25,
      ...args,
    },
  });
  const learning = model.numParameters({ onlyTrainable: true });
  await trainer.train();
  const sent = reduced();
  const weights: Trained['weights'] = {};
  for (const [name, tensor] of model.namedParameters()) weights[name] = await tensor.float32Data();
  const log = trainer.state.logHistory;
  const training = log.filter(({ loss }) => loss !== undefined);
  const evaluation = Object.entries((await trainer.evaluate()).metrics).filter(([name]) => !isTime(name));
  model.dispose();
  return {
    losses: training.map(({ loss }) => loss!),
    norms: training.map((entry) => entry.grad_norm ?? Number.NaN),
    weights,
    metrics: Object.fromEntries(evaluation),
    learning,
    reduced: sent,
  };
}

/** All trainings, by name; those of mixed precision if the adapter has float16. */
export async function trainAll(
  device: Device,
  group: ProcessGroup | null,
  folder: string,
): Promise<Record<string, Trained>> {
  const done: Record<string, Trained> = {};
  for (const [at, [name, training]] of Object.entries(trainings).entries())
    if (training.args?.fp16 !== true || device.gpu.float16)
      done[name] = await train(training, { device, group, folder: `${folder}/${at}` });
  return done;
}
