/**
 * Logits, losses, gradients and training curves against transformers and PyTorch
 * (test/reference/model_fixtures.py).
 */
import { describe, expect, it } from 'vitest';
import { AutoModel, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipGradNorm } from '../../src/optim/clip.ts';
import { getLinearScheduleWithWarmup } from '../../src/optim/schedule.ts';
import { add } from '../../src/tensor/ops/elementwise.ts';
import { mseLoss } from '../../src/tensor/ops/loss.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { families, tasksOf } from '../support/families.ts';
import {
  type FixtureInputs,
  type Ids,
  int32,
  maxDifference,
  modelInputs,
  models,
  readJson,
  readTensors,
  relativeError,
} from '../support/fixtures.ts';
import { weightsOf } from '../support/weights.ts';

const device = useDevice();

interface Expected {
  inputs: FixtureInputs;
  labels: Record<string, number[] | Ids>;
  loss: number;
}

interface Decayed {
  weight_decay: Record<string, { decay: string[]; no_decay: string[] }>;
}
type Outputs = { loss?: Tensor } & Record<string, Tensor | undefined>;
interface Runnable {
  forward(inputs: object): Outputs;
  namedParameters(): [string, Tensor][];
}

function labelTensors(task: string, labels: Expected['labels']): Record<string, Tensor> {
  const float = task === 'multi' || task === 'regression';
  const camel = {
    labels: 'labels',
    start_positions: 'startPositions',
    end_positions: 'endPositions',
    next_sentence_label: 'nextSentenceLabel',
    sentence_order_label: 'sentenceOrderLabel',
  } as Record<string, string>;
  return Object.fromEntries(
    Object.entries(labels).map(([name, values]) => {
      const shape = Array.isArray(values[0]) ? [values.length, values[0].length] : [values.length];
      const flat = values.flat();
      return [
        camel[name]!,
        device.current.tensor(float ? Float32Array.from(flat) : Int32Array.from(flat), shape),
      ];
    }),
  );
}

/** Gradients' norms; one that is zero in exact arithmetic (a key's bias) is rounding noise on both sides. */
async function expectNorms(
  model: PreTrainedModel,
  expected: Record<string, number>,
  label: string,
): Promise<void> {
  const weights = weightsOf(model);
  expect([...weights.keys()].sort()).toEqual(Object.keys(expected).sort());
  const largest = Math.max(...Object.values(expected));
  for (const [name, weight] of weights) {
    const difference = Math.abs(Math.hypot(...((await weight.gradient()) ?? [])) - expected[name]!);
    expect(difference, `${label}: ${name}`).toBeLessThan(Math.max(1e-3 * expected[name]!, 1e-5 * largest));
  }
}

describe.each(families)('%s', (family) => {
  describe.each(Object.entries(tasksOf(family)))('%s', (task, auto) => {
    it('gives the logits, the loss and every gradient', async () => {
      const folder = `${models}${family}-${task}`;
      const expected = await readJson<Expected>(`${folder}/expected.json`);
      const tensors = await readTensors(`${folder}/expected.safetensors`);
      const model = await auto.fromPretrained(folder, { device: device.current });
      const runnable = model as unknown as Runnable;
      using scope = device.current.scope();
      const output = runnable.forward({
        ...modelInputs(device.current, expected.inputs),
        ...labelTensors(task, expected.labels),
      });
      const names = {
        logits: 'logits',
        start_logits: 'startLogits',
        end_logits: 'endLogits',
        prediction_logits: 'predictionLogits',
        seq_relationship_logits: 'seqRelationshipLogits',
        sop_logits: 'sopLogits',
      };
      let compared = 0;
      for (const [theirs, ours] of Object.entries(names)) {
        const reference = tensors.get(`out.${theirs}`);
        if (reference === undefined) continue;
        compared += 1;
        expect(maxDifference(await output[ours]!.data(), reference), theirs).toBeLessThan(1e-4);
      }
      expect(compared).toBe(['qa', 'pairs'].includes(task) ? 2 : 1);
      expect(Math.abs((await output.loss!.item()) - expected.loss) / expected.loss).toBeLessThan(1e-5);
      output.loss!.backward();
      const weights = weightsOf(model);
      const theirs = [...tensors].filter(([name]) => name.startsWith('grad.'));
      expect([...weights.keys()].sort()).toEqual(theirs.map(([name]) => name.slice(5)).sort());
      const largest = Math.max(...theirs.map(([, reference]) => Math.hypot(...reference)));
      for (const [name, reference] of theirs) {
        const actual = (await weights.get(name.slice(5))!.gradient()) ?? new Float32Array(reference.length);
        // A gradient that is zero in exact arithmetic (a key's bias) is rounding noise on both sides.
        if (Math.hypot(...reference) < 1e-6 * largest)
          expect(Math.hypot(...actual), name).toBeLessThan(1e-5 * largest);
        else expect(relativeError(actual, reference), name).toBeLessThan(1e-3);
      }
      model.dispose();
      scope.close();
    });
  });

  it('gives the logits and gradients of batches at the edges', async () => {
    const folder = `${models}${family}-single`;
    interface Batch {
      inputs: Pick<FixtureInputs, 'input_ids'> & Partial<FixtureInputs>;
      labels: { labels: number[] };
      loss: number;
      grad_norms: Record<string, number>;
    }
    const batches = await readJson<Record<string, Batch>>(`${folder}/batches.json`);
    const logits = await readTensors(`${folder}/batches.safetensors`);
    const model = await AutoModelForSequenceClassification.fromPretrained(folder, { device: device.current });
    for (const [name, { inputs, labels, loss, grad_norms }] of Object.entries(batches)) {
      using scope = device.current.scope();
      const output = model.forward({
        ...modelInputs(device.current, inputs),
        labels: int32(device.current, labels.labels),
      });
      expect(maxDifference(await output.logits.data(), logits.get(`${name}.logits`)!), name).toBeLessThan(
        1e-4,
      );
      expect(Math.abs((await output.loss!.item()) / loss - 1), name).toBeLessThan(1e-5);
      output.loss!.backward();
      await expectNorms(model, grad_norms, name);
      model.zeroGrad();
      scope.close();
    }
    model.dispose();
  });

  it('gives the states of the base model, and the gradients of a loss of them', async () => {
    const folder = `${models}${family}-base`;
    const { inputs, loss, grad_norms } = await readJson<Expected & { grad_norms: Record<string, number> }>(
      `${folder}/expected.json`,
    );
    const expected = await readTensors(`${folder}/expected.safetensors`);
    const model = await AutoModel.fromPretrained(folder, { device: device.current });
    using scope = device.current.scope();
    const output = model.forward(modelInputs(device.current, inputs));
    const ours = { last_hidden_state: output.lastHiddenState, pooler_output: output.poolerOutput };
    const errors: Tensor[] = [];
    for (const [name, states] of Object.entries(ours)) {
      expect(states !== undefined, name).toBe(expected.has(name));
      if (states === undefined) continue;
      expect(maxDifference(await states.float32Data(), expected.get(name)!), name).toBeLessThan(1e-4);
      const target = device.current.tensor(expected.get(`target.${name}`)!, states.shape);
      errors.push(mseLoss(states, target));
    }
    const sum = errors.reduce((total, error) => add(total, error));
    expect(Math.abs((await sum.item()) / loss - 1)).toBeLessThan(1e-5);
    sum.backward();
    await expectNorms(model, grad_norms, 'base');
    model.dispose();
    scope.close();
  });

  it('follows twenty steps of AdamW with schedule, clipping and weight decay', async () => {
    const folder = `${models}${family}-single`;
    const curve = await readJson<{
      batches: FixtureInputs[];
      labels: number[][];
      steps: { loss: number; norm: number; lr: number }[];
    }>(`${folder}/curve.json`);
    const model = await AutoModelForSequenceClassification.fromPretrained(folder, { device: device.current });
    model.train();
    const { weight_decay } = await readJson<Decayed>(`${models}optim.json`);
    const weights = weightsOf(model);
    const named = (names: string[]) => [...new Set(names.map((name) => weights.get(name)!.tensor))];
    const { decay, no_decay } = weight_decay[`${family}-single`]!;
    const optimizer = new AdamW(
      [
        { params: named(decay), weightDecay: 0.1 },
        { params: named(no_decay), weightDecay: 0 },
      ],
      { lr: 1e-3 },
    );
    const scheduler = getLinearScheduleWithWarmup(optimizer, 4, 20);
    for (const [step, expected] of curve.steps.entries()) {
      using scope = device.current.scope();
      const labels = int32(device.current, curve.labels[step % 5]!);
      const { loss } = model.forward({ ...modelInputs(device.current, curve.batches[step % 5]!), labels });
      loss!.backward();
      const norm = clipGradNorm(model.parameters(), 0.5)!;
      expect(scheduler.getLastLr()[0]).toBeCloseTo(expected.lr, 12);
      expect(Math.abs((await loss!.item()) / expected.loss - 1), `loss of step ${step}`).toBeLessThan(1e-3);
      expect(Math.abs((await norm.data())[0]! / expected.norm - 1), `norm of step ${step}`).toBeLessThan(
        1e-3,
      );
      optimizer.step();
      scheduler.step();
      optimizer.zeroGrad();
      scope.close();
    }
    for (const [name, expected] of await readTensors(`${folder}/curve.safetensors`))
      expect(relativeError(await weights.get(name)!.values(), expected), name).toBeLessThan(1e-3);
    optimizer.dispose();
    model.dispose();
  });
});
