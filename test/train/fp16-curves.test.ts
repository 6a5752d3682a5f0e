/**
 * Mixed precision deviates no further from float32 than PyTorch's autocast does
 * (test/reference/half_fixtures.py).
 */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AutoModelForMaskedLM, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import type { TaskModel } from '../../src/models/common/tasks.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor } from '../../src/optim/clip.ts';
import { GradScaler } from '../../src/optim/grad-scaler.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import type { Device } from '../../src/tensor/device.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import {
  type FixtureInputs,
  fixtures,
  type Ids,
  int32,
  modelInputs,
  models,
  readJson,
  relativeError,
} from '../support/fixtures.ts';
import { weightsOf } from '../support/weights.ts';

interface Case {
  folder: string;
  hidden_act: 'relu' | 'gelu';
  batches: FixtureInputs[];
  labels: (number[] | Ids)[];
  curves: { lr: number; whole: number[]; half: number[] }[];
  gradient_errors: Record<string, number>;
}

const names = ['ReLU, BERT', 'ReLU, RoBERTa', 'tied masked LM'];
let cases: Record<string, Case> = {};
beforeAll(async () => {
  cases = await readJson(`${fixtures}half.json`);
});

async function load(device: Device, { folder, hidden_act: hiddenAct }: Case): Promise<TaskModel> {
  const auto = folder.endsWith('-mlm') ? AutoModelForMaskedLM : AutoModelForSequenceClassification;
  const model = await auto.fromPretrained(`${models}${folder}`, { device, hiddenAct });
  for (const p of model.parameters()) {
    if (p.rank === 2) p.write((await p.float32Data()).map((value) => value / 8));
  }
  model.train();
  return model;
}

/** The loss of one of the case's batches, in the open scope. */
function lossOf(model: TaskModel, { batches, labels }: Case, step: number, half: boolean): Tensor {
  const at = step % batches.length;
  const { device } = model;
  const inputs = { ...modelInputs(device, batches[at]!), labels: int32(device, labels[at]!) };
  return (half ? autocast(() => model.forward(inputs)) : model.forward(inputs)).loss!;
}

async function curve(device: Device, one: Case, lr: number, half: boolean): Promise<number[]> {
  const model = await load(device, one);
  const optimizer = new AdamW(model.parameters(), { lr, weightDecay: 0.01 });
  const scaler = new GradScaler(device);
  const losses: number[] = [];
  for (let step = 0; step < one.curves[0]!.whole.length; step += 1) {
    using _scope = device.scope();
    const loss = lossOf(model, one, step, half);
    loss.backward(half ? scaler.scale : undefined);
    const gradScale = clipFactor(model.parameters(), 1, { lossScale: half ? scaler : 1 });
    optimizer.step({ gradScale, skipNonFinite: true });
    optimizer.zeroGrad();
    losses.push(await loss.item());
  }
  for (const part of [optimizer, scaler, model]) part.dispose();
  return losses;
}

/** Each parameter's gradient for a batch, multiplied by the loss scale. */
async function gradients(model: TaskModel, one: Case, step: number, half: boolean) {
  const { device } = model;
  using _scope = device.scope();
  const scaler = new GradScaler(device);
  lossOf(model, one, step, half).backward(half ? scaler.scale : undefined);
  const factor = half ? (await scaler.state()).scale : 1;
  const found = new Map<string, Float32Array>();
  for (const [name, weight] of weightsOf(model)) {
    const gradient = await weight.gradient();
    if (gradient !== null)
      found.set(
        name,
        gradient.map((value) => value / factor),
      );
  }
  model.zeroGrad();
  scaler.dispose();
  return found;
}

const drift = (half: readonly number[], whole: readonly number[]): number =>
  Math.max(...half.map((loss, i) => Math.abs(loss - whole[i]!)));

const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

describe.each(['cpu', 'gpu'] as const)('kernels for a %s', (kernels) => {
  const device = useDevice({ kernels });
  beforeEach((context) => {
    if (!device.current.gpu.float16) context.skip('this adapter has no float16');
  });

  it.each(names)('%s: gradients are as near to those of float32 as PyTorch', async (name) => {
    const one = cases[name]!;
    const model = await load(device.current, one);
    const logs = new Map<string, number[]>();
    for (const step of one.batches.keys()) {
      const [whole, half] = [
        await gradients(model, one, step, false),
        await gradients(model, one, step, true),
      ];
      for (const [key, expected] of whole)
        logs.set(key, [...(logs.get(key) ?? []), relativeError(half.get(key)!, expected)]);
    }
    model.dispose();
    const ratios = Object.entries(one.gradient_errors).map(
      ([key, theirs]) => geometricMean(logs.get(key)!) / theirs,
    );
    expect(ratios.length).toBeGreaterThan(30);
    expect(geometricMean(ratios)).toBeLessThan(1.1);
    // The least exact parameter counts, because AdamW scales all steps to the same length.
    expect(Math.max(...ratios)).toBeLessThan(1.5);
  });

  it.each(names)('%s: loss curves stay within twice the distance of PyTorch', async (name) => {
    const one = cases[name]!;
    const ratios: number[] = [];
    for (const { lr, whole, half } of one.curves) {
      const ours = [await curve(device.current, one, lr, false), await curve(device.current, one, lr, true)];
      expect(drift(ours[0]!, whole)).toBeLessThan(1e-4);
      ratios.push(drift(ours[1]!, ours[0]!) / drift(half, whole));
    }
    expect(geometricMean(ratios)).toBeLessThan(2);
  });
});
