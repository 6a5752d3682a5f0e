/**
 * Logits, losses, gradients and training curves against transformers and PyTorch
 * (test/reference/model_fixtures.py).
 */
import { describe, expect, it } from 'vitest';
import { AutoModel, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { useDevice } from '../support/device.ts';
import { families, tasksOf } from '../support/families.ts';
import {
  type FixtureInputs,
  int32,
  maxDifference,
  modelInputs,
  models,
  readJson,
  readTensors,
} from '../support/fixtures.ts';
import {
  compute,
  gradientErrors,
  limits,
  lossError,
  outputErrors,
  type Reference,
  readCurve,
  readReference,
  trainSteps,
  weightErrors,
} from '../support/reference.ts';
import { weightsOf } from '../support/weights.ts';

const device = useDevice();

function expectBelow(errors: Iterable<[string, number]>, limit: number, label: string): void {
  for (const [name, error] of errors) expect(error, `${label}: ${name}`).toBeLessThan(limit);
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
      const reference = await readReference(folder);
      const model = await auto.fromPretrained(folder, { device: device.current });
      using scope = device.current.scope();
      const computed = compute(model, reference, task);
      const outputs = await outputErrors(computed.outputs, reference);
      expect(outputs.size).toBe(['qa', 'pairs'].includes(task) ? 2 : 1);
      expectBelow(outputs, limits.outputs, 'outputs');
      expect(await lossError(computed, reference)).toBeLessThan(limits.loss);
      computed.loss.backward();
      const { errors, rounding, unmatched } = await gradientErrors(model, reference.tensors);
      expect(unmatched).toEqual([]);
      expect(errors.size).toBeGreaterThan(rounding.size);
      expectBelow(errors, limits.gradients, 'gradients');
      expectBelow(rounding, limits.rounding, 'gradients that are zero');
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
    const reference = (await readReference(folder)) as Reference & { grad_norms: Record<string, number> };
    const model = await AutoModel.fromPretrained(folder, { device: device.current });
    using scope = device.current.scope();
    const computed = compute(model, reference, 'base');
    const outputs = await outputErrors(computed.outputs, reference);
    expect(outputs.has('last_hidden_state')).toBe(true);
    expectBelow(outputs, limits.outputs, 'outputs');
    expect(await lossError(computed, reference)).toBeLessThan(limits.loss);
    computed.loss.backward();
    await expectNorms(model, reference.grad_norms, 'base');
    model.dispose();
    scope.close();
  });

  it('follows twenty steps of AdamW with schedule, clipping and weight decay', async () => {
    const curve = await readCurve(device.current, family);
    const { model, decay, undecayed } = curve;
    expect([...weightsOf(model).keys()].sort()).toEqual([...decay, ...undecayed].sort());
    const steps = await trainSteps(model, decay, curve.lossOf);
    expect(steps.length).toBe(curve.steps.length);
    for (const [step, expected] of curve.steps.entries()) {
      const { loss, norm, lr } = steps[step]!;
      expect(lr).toBeCloseTo(expected.lr, 12);
      expect(Math.abs(loss / expected.loss - 1), `loss of step ${step}`).toBeLessThan(limits.steps);
      expect(Math.abs(norm / expected.norm - 1), `norm of step ${step}`).toBeLessThan(limits.steps);
    }
    const weights = await readTensors(`${models}${family}-single/curve.safetensors`);
    const kept = new Map([...weights].map(([name, values]) => [`weight.${name}`, values]));
    expectBelow(await weightErrors(model, kept), limits.steps, 'weights');
    model.dispose();
  });
});
