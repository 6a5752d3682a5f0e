/** A loss, an optimizer and outputs of one's own, and `Trainer.predict`. */
import { describe, expect, it } from 'vitest';
import { ConfigError, UserCodeError } from '../../src/errors.ts';
import type { BertForSequenceClassification } from '../../src/models/bert.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import type { Optimizer } from '../../src/optim/optimizer.ts';
import { scale, sub } from '../../src/tensor/ops/elementwise.ts';
import { crossEntropy } from '../../src/tensor/ops/loss.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { argmaxRows } from '../../src/train/metrics.ts';
import type { TrainerOptions } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { toyDataset } from '../support/toy.ts';
import { losses, tinyTrainer, useFolders } from '../support/trainer.ts';

const device = useDevice();
const freshFolder = useFolders();
const tiny = (setup: Parameters<typeof tinyTrainer>[2] = {}) =>
  tinyTrainer(device.current, freshFolder(), { dropout: 0, ...setup, args: { maxSteps: 4, ...setup.args } });

async function trained(setup: Parameters<typeof tinyTrainer>[2] = {}): Promise<number[]> {
  const trainer = await tiny(setup);
  await trainer.train();
  return losses(trainer);
}

/** Plain descent. */
function descent(parameters: readonly Tensor[], lr: number): Optimizer {
  const groups = [{ lr, initialLr: lr }];
  return {
    groups,
    step: () =>
      noGrad(() => {
        for (const parameter of parameters)
          if (parameter.grad !== null)
            device.current.assign(parameter, sub(parameter, scale(parameter.grad, groups[0]!.lr)));
      }),
  };
}

describe('computeLoss', () => {
  const own: NonNullable<TrainerOptions['computeLoss']> = (
    model: BertForSequenceClassification,
    { labels, ...inputs },
  ) => {
    const { logits } = model.forward(inputs);
    return { loss: crossEntropy(logits, labels!), logits };
  };

  it('is the loss of training and evaluation', async () => {
    expect(await trained({ computeLoss: own })).toEqual(await trained());
    const twice: typeof own = (model, inputs) => {
      const { loss, ...outputs } = own(model, inputs);
      return { ...outputs, loss: scale(loss!, 2) };
    };
    const [plain, doubled] = [await tiny({ computeLoss: own }), await tiny({ computeLoss: twice })];
    const [a, b] = [await plain.evaluate(), await doubled.evaluate()];
    expect(b.metrics.eval_loss).toBeCloseTo(2 * a.metrics.eval_loss!, 5);
    expect(b.metrics.eval_accuracy).toBe(a.metrics.eval_accuracy);
  });

  it('is named if it throws or gives no loss', async () => {
    const broken = await tiny({
      computeLoss: () => {
        throw new Error('no');
      },
    });
    await expect(broken.train()).rejects.toThrow(UserCodeError);
    await expect(trained({ computeLoss: () => ({}) })).rejects.toThrow(/no loss/);
  });
});

describe('optimizer', () => {
  it('replaces AdamW, with the rates of the schedule', async () => {
    const rates: number[] = [];
    const optimizer: NonNullable<TrainerOptions['optimizer']> = (model, args) => {
      const made = new AdamW(model.parameters(), { lr: args.learningRate, weightDecay: 0 });
      const step = made.step.bind(made);
      made.step = (options) => {
        rates.push(made.groups[0]!.lr);
        step(options);
      };
      return made;
    };
    expect(await trained({ optimizer })).toEqual(await trained());
    expect(rates).toEqual([1e-3, 7.5e-4, 5e-4, 2.5e-4]);
  });

  const byHand: NonNullable<TrainerOptions['optimizer']> = (model, { learningRate }) =>
    descent(model.parameters(), learningRate);

  it('may be written by hand, and its gradients are clipped', async () => {
    const args = { learningRate: 0.5, maxSteps: 10 };
    const run = await trained({ optimizer: byHand, args });
    expect(mean3(run.slice(-3))).toBeLessThan(mean3(run.slice(0, 3)));
    // A tiny norm leaves the weights all but unchanged, so the losses of a second epoch are those of the first.
    const still = await trained({ optimizer: byHand, args: { ...args, maxGradNorm: 1e-9 } });
    expect(mean3(still.slice(0, 5))).toBeCloseTo(mean3(still.slice(5)), 5);
  });

  it('needs to read gradScale for fp16', async () => {
    const trainer = await tiny({ optimizer: byHand, args: { fp16: true } });
    await expect(trainer.train()).rejects.toThrow(device.current.gpu.float16 ? /readsGradScale/ : /fp16/);
  });

  it('cannot be resumed without its state', async () => {
    const folder = freshFolder();
    const optimizer = byHand;
    const args = { maxSteps: 2, saveStrategy: 'steps' as const, saveSteps: 1 };
    await (await tinyTrainer(device.current, folder, { optimizer, args })).train();
    const again = await tinyTrainer(device.current, folder, { optimizer, args: { ...args, maxSteps: 3 } });
    const resumed = again.train({ resumeFromCheckpoint: `${folder}/checkpoint-1` });
    await expect(resumed).rejects.toThrow(ConfigError);
  });
});

describe('predict', () => {
  it('gives outputs, labels and metrics in the order of the dataset', async () => {
    const trainer = await tiny();
    const dataset = toyDataset(13, 3, 5);
    const { predictions, labelIds, metrics } = await trainer.predict(dataset);
    expect(predictions.logits!.shape).toEqual([13, 3]);
    expect([...labelIds.labels!.values]).toEqual(
      Array.from({ length: 13 }, (_, at) => dataset.get(at).label),
    );
    const evaluated = await trainer.evaluate(dataset);
    expect(metrics.test_loss).toBe(evaluated.metrics.eval_loss);
    expect(metrics.test_accuracy).toBe(evaluated.metrics.eval_accuracy);
    const named = await trainer.predict(dataset, { metricKeyPrefix: 'dev' });
    expect(named.metrics.dev_loss).toBe(metrics.test_loss);
  });

  it('needs no labels', async () => {
    const trainer = await tiny();
    const dataset = toyDataset(5, 3, 5);
    const bare = { length: 5, get: (at: number) => ({ inputIds: dataset.get(at).inputIds }) };
    const { predictions, metrics } = await trainer.predict(bare);
    expect(predictions.logits!.shape).toEqual([5, 3]);
    expect(metrics.test_loss).toBeNull();
  });

  it('keeps what preprocessLogitsForMetrics makes of each batch, and tells metrics the dataset', async () => {
    const seen: unknown[] = [];
    const trainer = await tiny({
      args: { perDeviceEvalBatchSize: 4 },
      preprocessLogitsForMetrics: ({ logits }) => {
        const best = argmaxRows(logits!.values, 3);
        return { best: { values: Int32Array.from(best), shape: [best.length] } };
      },
      computeMetrics: ({ predictions, dataset }) => {
        seen.push(dataset);
        return { rows: predictions.best!.shape[0]! };
      },
    });
    const dataset = toyDataset(10, 3, 5);
    expect((await trainer.evaluate(dataset)).metrics.eval_rows).toBe(10);
    expect(seen).toEqual([dataset]);
  });
});

function mean3(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
