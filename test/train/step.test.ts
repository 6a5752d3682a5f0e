/** A step: its phases, and its loss and gradient over several batches. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  type Batch,
  type Collator,
  dataCollatorForTokenClassification,
  dataCollatorWithPadding,
} from '../../src/data/collate.ts';
import { ArrayDataset, type Dataset, type Example } from '../../src/data/dataset.ts';
import { ConfigError, UserCodeError } from '../../src/errors.ts';
import {
  AutoModelForMaskedLM,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from '../../src/models/auto.ts';
import { flatGradients } from '../../src/optim/gradients.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import { lossWeight, sharesOf } from '../../src/train/inputs.ts';
import type { TrainableModel } from '../../src/train/predict.ts';
import { TrainingStep } from '../../src/train/step.ts';
import { Trainer, type TrainerOptions } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { models } from '../support/fixtures.ts';
import { tinyTrainer, useFolders } from '../support/trainer.ts';

const device = useDevice();
const freshFolder = useFolders();
const padding = { padTokenId: 0 };
const collate = dataCollatorWithPadding(padding);

afterEach(() => {
  vi.restoreAllMocks();
});

/** The first step's loss and norm. */
async function firstStep(options: Omit<TrainerOptions, 'args'>, args: Partial<TrainingArguments>) {
  const trainer = new Trainer({
    ...options,
    args: {
      outputDir: freshFolder(),
      maxSteps: 1,
      learningRate: 0,
      loggingSteps: 1,
      saveStrategy: 'no',
      maxGradNorm: 0,
      ...args,
    },
  });
  await trainer.train();
  const { loss, grad_norm } = trainer.state.logHistory[0]!;
  return { loss: loss!, norm: grad_norm! };
}

describe('phases', () => {
  const phases = ['forward', 'backward', 'reduce', 'clip', 'update'] as const;

  it('come in order, once a batch or once a step', async () => {
    const seen: string[] = [];
    for (const phase of phases) {
      const original: unknown = TrainingStep.prototype[phase];
      vi.spyOn(TrainingStep.prototype, phase).mockImplementation(function (
        this: TrainingStep,
        ...given: never[]
      ) {
        // The rehearsal of the first step has a device of its own.
        if (this.norm.device === device.current) seen.push(phase);
        return (original as (...args: never[]) => never).apply(this, given);
      });
    }
    const trainer = await tinyTrainer(device.current, freshFolder(), {
      args: { maxSteps: 2, gradientAccumulationSteps: 2 },
      reduceGradients: () => {},
    });
    await trainer.train();
    const step = ['forward', 'backward', 'forward', 'backward', 'reduce', 'clip', 'update'];
    expect(seen).toEqual([...step, ...step]);
    trainer.model.dispose();
  });

  it('let a hook change gradients before they are clipped: halves make half the norm', async () => {
    const run = async (reduceGradients?: TrainerOptions['reduceGradients']) => {
      const trainer = await tinyTrainer(device.current, freshFolder(), {
        args: { maxSteps: 1 },
        ...(reduceGradients && { reduceGradients }),
      });
      await trainer.train();
      trainer.model.dispose();
      return trainer.state.logHistory[0]!.grad_norm!;
    };
    const whole = await run();
    const halved = async (tensors: readonly Tensor[]) => {
      for (const tensor of tensors) tensor.write((await tensor.float32Data()).map((value) => value / 2));
    };
    const half = await run((parameters) => halved(parameters.flatMap(({ grad }) => grad ?? [])));
    expect(half).toBe(whole / 2);
    // As an all-reduce between processes does it: flat tensors hold all gradients.
    let [flat, all] = [0, 0];
    const live = device.current.statistics().live;
    const reduced = await run((parameters) => {
      const tensors = flatGradients(parameters);
      [flat, all] = [tensors.length, parameters.length];
      return halved(tensors);
    });
    expect(flat).toBeGreaterThan(0);
    expect(flat).toBeLessThan(all);
    expect(Math.abs(reduced / whole - 1 / 2)).toBeLessThan(1e-6);
    expect(device.current.statistics().live).toBe(live);
  });

  it('say whose hook failed', async () => {
    const cause = new Error('no peers');
    const trainer = await tinyTrainer(device.current, freshFolder(), {
      reduceGradients: () => Promise.reject(cause),
    });
    const error = await trainer.train().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserCodeError);
    expect(error).toMatchObject({ message: 'reduceGradients failed: no peers', cause });
    trainer.model.dispose();
  });
});

const still = () => ({
  device: device.current,
  hiddenDropoutProb: 0,
  attentionProbsDropoutProb: 0,
  onReport: () => {},
});

/** Texts of several lengths, five of them: a short last batch. */
const texts = [[5, 9, 20], [7, 40], [33], [12, 8, 61, 90, 15, 77], [4, 6, 44, 10]].map((tokens) => [
  2,
  ...tokens,
  3,
]);
const examples = (label: (ids: readonly number[], index: number) => Partial<Example>) =>
  new ArrayDataset<Example>(texts.map((inputIds, index) => ({ inputIds, ...label(inputIds, index) })));

/** Masks every token that three divides: a number of its own in each text. */
const masking: Collator = (rows, indices) => {
  const batch = collate(rows, indices);
  const positions = Int32Array.from(
    [...batch.inputIds.keys()].filter((at) => batch.inputIds[at]! > 3 && batch.inputIds[at]! % 3 === 0),
  );
  const labels = Int32Array.from(positions, (at) => batch.inputIds[at]!);
  for (const at of positions) batch.inputIds[at] = 1;
  const count = [positions.length];
  return { ...batch, positions, labels, shapes: { positions: count, labels: count } };
};

type Setup = { model: () => Promise<TrainableModel> } & Omit<TrainerOptions, 'model' | 'args'>;

const tasks: Record<string, Setup> = {
  'classes of texts': {
    model: () => AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, still()),
    trainDataset: examples((_, index) => ({ label: index % 3 })),
  },
  'several labels a text': {
    model: () => AutoModelForSequenceClassification.fromPretrained(`${models}bert-multi`, still()),
    trainDataset: examples((_, index) => ({ label: [index % 2, 1, 0, 1] })),
  },
  values: {
    model: () => AutoModelForSequenceClassification.fromPretrained(`${models}bert-regression`, still()),
    trainDataset: examples((_, index) => ({ label: index / 2 })),
  },
  'classes of tokens': {
    model: () => AutoModelForTokenClassification.fromPretrained(`${models}bert-token`, still()),
    dataCollator: dataCollatorForTokenClassification(padding),
    trainDataset: examples((ids) => ({ label: ids.map((id) => (id < 4 ? -100 : id % 3)) })),
  },
  'masked tokens': {
    model: () => AutoModelForMaskedLM.fromPretrained(`${models}bert-mlm`, still()),
    dataCollator: masking,
    trainDataset: examples(() => ({})),
  },
  'answers, one of them outside the text': {
    model: () => AutoModelForQuestionAnswering.fromPretrained(`${models}bert-qa`, still()),
    // The softmax sees padding: only texts of one length have the loss of a batch of all.
    dataCollator: dataCollatorWithPadding({ ...padding, padToMultipleOf: 8 }),
    trainDataset: examples((ids, index) => {
      const at = index === 3 ? 30 : ids.length - 2;
      return { startPositions: at, endPositions: at };
    }),
  },
};

describe('several batches a step', () => {
  it.each(Object.entries(tasks))(
    '%s: the loss and gradient of one batch of all',
    async (_, { model, ...setup }) => {
      const trained = await model();
      const options = { ...setup, model: trained };
      const one = await firstStep(options, { perDeviceTrainBatchSize: 5 });
      const three = await firstStep(options, { perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 3 });
      expect(Math.abs(three.loss - one.loss) / one.loss).toBeLessThan(2e-6);
      expect(Math.abs(three.norm - one.norm) / one.norm).toBeLessThan(1e-5);
      // Evaluated in batches of other sizes, the loss is the same too.
      const evaluated = async (perDeviceEvalBatchSize: number) => {
        const args = { outputDir: freshFolder(), perDeviceEvalBatchSize };
        const trainer = new Trainer({
          ...options,
          evalDataset: setup.trainDataset as Dataset<unknown>,
          args,
        });
        return (await trainer.evaluate()).metrics.eval_loss!;
      };
      const [whole, parts] = [await evaluated(5), await evaluated(2)];
      expect(Math.abs(parts - whole) / whole).toBeLessThan(2e-6);
      trained.dispose();
    },
  );

  it('a batch says what it weighs, and the model has the last word', async () => {
    const { model, trainDataset } = tasks['classes of texts']!;
    const trained = await model();
    const weighing =
      (weight: (indices: readonly number[]) => number): Collator =>
      (rows, indices) => ({ ...collate(rows, indices), lossWeight: weight(indices) });
    const options = { model: trained, trainDataset: trainDataset! };
    const args = { perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 2 };
    const first = await firstStep({ ...options, dataCollator: collate }, { perDeviceTrainBatchSize: 4 });
    const last = (indices: readonly number[]) => Number(indices.length < 4);
    const alone = { ...options, dataCollator: weighing((indices) => 1 - last(indices)) };
    expect(await firstStep(alone, args)).toEqual(first);
    const other = await firstStep({ ...options, dataCollator: weighing(last) }, args);
    expect(other.loss).not.toBe(first.loss);
    Object.assign(trained, { lossWeight: ({ indices }: Batch) => 1 - last(indices!) });
    expect(await firstStep({ ...options, dataCollator: weighing(last) }, args)).toEqual(first);
    Object.assign(trained, { lossWeight: () => Number.NaN });
    await expect(firstStep(options, args)).rejects.toThrow(ConfigError);
    trained.dispose();
  });

  it('batches weigh what counts in them', () => {
    const model = {} as TrainableModel;
    const shape = [2, 3];
    const weight = (batch: Partial<Batch>) => lossWeight(model, { shape, ...batch });
    expect(weight({})).toBe(2);
    expect(weight({ labels: Int32Array.of(0, 2) })).toBe(2);
    expect(weight({ labels: Int32Array.of(-100, 1, 0, -100, -100, 2) })).toBe(3);
    expect(weight({ labels: Float32Array.of(1, 0, 1, 0, 0, 1) })).toBe(2);
    expect(weight({ startPositions: Int32Array.of(0, 3), endPositions: Int32Array.of(2, 2) })).toBe(1.5);
    expect(weight({ labels: Int32Array.of(1), lossWeight: 7 })).toBe(7);
    expect(sharesOf([4, 4])).toEqual([1 / 2, 1 / 2]);
    expect(sharesOf([8, 8, 8])).toEqual([1 / 3, 1 / 3, 1 / 3]);
    expect(sharesOf([5])).toEqual([1]);
    // Where nothing counts, the losses are 0.
    expect(sharesOf([0, 0])).toEqual([1 / 2, 1 / 2]);
  });
});
