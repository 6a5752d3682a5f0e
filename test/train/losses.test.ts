/** Label smoothing, weights of classes, learning rates by layer and warm-up, in trainings. */
import { describe, expect, it, vi } from 'vitest';
import { ArrayDataset, type Example } from '../../src/data/dataset.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { resolveArguments } from '../../src/train/argument-checks.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import { parameterGroups } from '../../src/train/optimizers.ts';
import { useDevice } from '../support/device.ts';
import { toyDataset } from '../support/toy.ts';
import { losses, type TinySetup, tinyTrainer, useFolders } from '../support/trainer.ts';

const device = useDevice();
const freshFolder = useFolders();
const tiny = (args: Partial<TrainingArguments>, setup: TinySetup = {}) =>
  tinyTrainer(device.current, freshFolder(), { dropout: 0, ...setup, args: { maxSteps: 3, ...args } });

/** transformers' LabelSmoother, with PyTorch's weights of classes. */
function lossOf(logits: Float32Array, labels: Float32Array, smoothing: number, weights: number[]): number {
  const classes = weights.length;
  let [total, count] = [0, 0];
  for (const [row, label] of labels.entries()) {
    const own = [...logits.subarray(row * classes, (row + 1) * classes)];
    const logSum = Math.log(own.reduce((sum, x) => sum + Math.exp(x), 0));
    const each = own.map((x, c) => weights[c]! * (logSum - x));
    total += (1 - smoothing) * each[label]! + (smoothing / classes) * each.reduce((a, b) => a + b, 0);
    count += weights[label]!;
  }
  return total / count;
}

describe('the loss of an evaluation', () => {
  it.each<[Partial<TrainingArguments>, number, number[]]>([
    [{ labelSmoothingFactor: 0.2 }, 0.2, [1, 1, 1]],
    [{ classWeights: [1, 0.5, 3] }, 0, [1, 0.5, 3]],
    [{ classWeights: { LABEL_2: 3, LABEL_0: 1, LABEL_1: 0.5 }, labelSmoothingFactor: 0.1 }, 0.1, [1, 0.5, 3]],
  ])('%j', async (args, smoothing, weights) => {
    const trainer = await tiny(args);
    const { metrics, prediction } = await trainer.predict(toyDataset(12, 3, 2));
    const expected = lossOf(prediction.logits, prediction.labels, smoothing, weights);
    expect(metrics.test_loss).toBeCloseTo(expected, 5);
    trainer.model.dispose();
  });

  it('has balanced weights as scikit-learn makes them', async () => {
    const labels = [0, 0, 0, 0, 1, 1, 1, 2];
    const examples = labels.map((label, at): Example => ({ inputIds: [2, 5 + at, 3], label }));
    const trainDataset = new ArrayDataset(examples);
    const weights = [8 / 3 / 4, 8 / 3 / 3, 8 / 3];
    const [balanced, listed] = [
      await tiny({ classWeights: 'balanced' }, { trainDataset }),
      await tiny({ classWeights: weights }, { trainDataset }),
    ];
    const [a, b] = [await balanced.evaluate(), await listed.evaluate()];
    expect(a.metrics.eval_loss).toBe(b.metrics.eval_loss);
  });

  it('uploads its weights once, and frees them', async () => {
    const trainer = await tiny({ classWeights: [1, 2, 3], evalStrategy: 'steps', evalSteps: 2 });
    const upload = vi.spyOn(device.current, 'tensor');
    const uploads = (): number =>
      upload.mock.calls.filter(([values]) => values instanceof Float32Array && values.join() === '1,2,3')
        .length;
    await trainer.evaluate();
    await trainer.evaluate();
    expect(uploads()).toBe(2);
    await trainer.train();
    expect(uploads()).toBe(3);
    upload.mockRestore();
    const { live } = device.current.statistics();
    await trainer.evaluate();
    expect(device.current.statistics().live).toBe(live);
    trainer.model.dispose();
  });

  it('is without labels none', async () => {
    const trainer = await tiny({ labelSmoothingFactor: 0.1 });
    const { metrics, prediction } = await trainer.predict(new ArrayDataset([{ inputIds: [2, 7, 3] }]));
    expect(metrics.test_loss).toBeNull();
    expect(prediction.logits).toHaveLength(3);
  });
});

describe('a training', () => {
  it('with weights adds batches up to the loss of one batch', async () => {
    const args = { classWeights: [1, 0.2, 4], labelSmoothingFactor: 0.1 };
    const whole = await tiny({ ...args, perDeviceTrainBatchSize: 16 });
    const parts = await tiny({ ...args, perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 4 });
    await whole.train();
    await parts.train();
    for (const [step, loss] of losses(whole).entries()) expect(losses(parts)[step]).toBeCloseTo(loss, 4);
  });

  it('with weights of 1 has the curve of a plain one', async () => {
    const [plain, weighted] = [await tiny({}), await tiny({ classWeights: [1, 1, 1] })];
    await plain.train();
    await weighted.train();
    for (const [step, loss] of losses(plain).entries()) expect(losses(weighted)[step]).toBeCloseTo(loss, 5);
  });

  it('warms up over a share of its steps', async () => {
    const [steps, share] = [
      await tiny({ maxSteps: 4, warmupSteps: 2 }),
      await tiny({ maxSteps: 4, warmupRatio: 0.4 }),
    ];
    await steps.train();
    await share.train();
    const rates = ({ state }: typeof steps) => state.logHistory.map((entry) => entry.learning_rate);
    expect(rates(share)).toEqual(rates(steps));
  });
});

describe('are refused:', () => {
  it.each<[string, Partial<TrainingArguments>, TinySetup]>([
    ['too few weights', { classWeights: [1, 2] }, {}],
    ['an unknown class', { classWeights: { LABEL_0: 1, LABEL_1: 1, spam: 1 } }, {}],
    ['balance without an example', { classWeights: 'balanced' }, { trainDataset: toyDataset(9, 1, 1) }],
    ['a loss of one’s own besides', { labelSmoothingFactor: 0.1 }, { computeLoss: () => ({}) }],
    [
      'values',
      { labelSmoothingFactor: 0.1 },
      { dataCollator: () => ({ inputIds: Int32Array.of(2, 3), labels: Float32Array.of(1), shape: [1, 2] }) },
    ],
  ])('%s', async (_, args, setup) => {
    await expect(async () => (await tiny(args, setup)).evaluate()).rejects.toThrowErrorMatchingSnapshot();
  });

  it.each<Partial<TrainingArguments>>([
    { labelSmoothingFactor: 1 },
    { classWeights: [1, -1] },
    { classWeights: 'even' as never },
    { layerwiseLrDecay: 0 },
    { warmupRatio: 1.5 },
    { optim: 'sgd' as never },
    { lrSchedulerKwargs: [2] as never },
  ])('%j', (args) => {
    expect(() => resolveArguments({ outputDir: 'out', ...args })).toThrowErrorMatchingSnapshot();
  });
});

describe('layerwiseLrDecay', () => {
  it('lowers the rate from the head to the embeddings, for each weight once', async () => {
    const { model } = await tiny({});
    const groups = parameterGroups(model, { learningRate: 1, weightDecay: 0.1, layerwiseLrDecay: 0.5 });
    const rateOf = new Map(
      groups.flatMap(({ params, lr }) => params.map((tensor) => [tensor, lr!] as const)),
    );
    const layers = model.layerGroups();
    expect(layers.length).toBeGreaterThan(3);
    for (const [depth, modules] of layers.entries())
      for (const tensor of modules.flatMap((module) => module.parameters()))
        expect(rateOf.get(tensor)).toBe(0.5 ** depth);
    expect(groups.flatMap(({ params }) => params)).toHaveLength(model.parameters().length);
    const undecayed = model.undecayedParameters();
    for (const { params, weightDecay } of groups)
      for (const tensor of params) expect(weightDecay === 0).toBe(undecayed.has(tensor));
    expect(new AdamW(groups).groups[0]!.lr).toBe(1);
    model.dispose();
  });
});
