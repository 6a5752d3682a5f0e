/** What the tests of all optimizers share. */
import { expect } from 'vitest';
import type { Optimizer, OptimizerState, SavedState, StateKind } from '../../src/optim/optimizer.ts';
import type { Device } from '../../src/tensor/device.ts';
import { gradientMemory } from '../../src/tensor/parameters.ts';
import type { Shape } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import { limits, readCurve, type StepOptions, trainSteps } from './reference.ts';
import { losses, tinyTrainer } from './trainer.ts';

/** A weight that learns, of its start, until it is disposed of. */
export function learning(device: Device, start: Float32Array, shape: Shape = [start.length]): Tensor {
  const weight = device.keep(device.tensor(start, shape));
  weight.requiresGrad = true;
  return weight;
}

/** Where a test's gradients are: in their places, as after backward, or each in a buffer of its own. */
export type Laid = 'in place' | 'apart';

export function setGradient(
  weight: Tensor,
  gradient: Float32Array | readonly number[],
  laid: Laid = 'in place',
): void {
  weight.grad?.dispose();
  weight.grad = laid === 'apart' ? weight.device.raw(weight.shape) : gradientMemory(weight);
  weight.grad.write(Float32Array.from(gradient));
}

async function read({ step, ...views }: OptimizerState): Promise<SavedState> {
  const saved: SavedState = { step };
  for (const [kind, view] of Object.entries(views)) saved[kind as StateKind] = await view.float32Data();
  return saved;
}

type Stateful = Required<Pick<Optimizer, 'state' | 'loadState' | 'dispose'>> & { step(): void };

/** Four steps have the same bits if, after the second one, another optimizer goes on from the saved state. */
export async function expectExactResume(
  weightsOf: () => Tensor[],
  make: (weights: readonly Tensor[]) => Stateful,
  setGradients: (weights: readonly Tensor[], step: number) => void,
): Promise<void> {
  const run = async (saved: boolean): Promise<Float32Array[]> => {
    const weights = weightsOf();
    let optimizer = make(weights);
    for (let step = 0; step < 4; step += 1) {
      if (saved && step === 2) {
        const next = make(weights);
        for (const weight of [...weights].reverse())
          next.loadState(weight, await read(optimizer.state(weight)!));
        optimizer.dispose();
        optimizer = next;
      }
      setGradients(weights, step);
      optimizer.step();
    }
    const result = await Promise.all(weights.map((weight) => weight.float32Data()));
    optimizer.dispose();
    for (const weight of weights) weight.dispose();
    return result;
  };
  expect(await run(true)).toEqual(await run(false));
}

/** An optimizer of a constant rate has the losses of a fixture. */
export async function expectCurve(
  device: Device,
  expected: readonly number[],
  make: NonNullable<StepOptions['make']>,
): Promise<void> {
  const { model, decay, lossOf } = await readCurve(device, 'bert');
  const steps = await trainSteps(model, decay, lossOf, { make });
  expect(steps.length).toBe(expected.length);
  for (const [step, { loss }] of steps.entries())
    expect(Math.abs(loss / expected[step]! - 1), `loss of step ${step}`).toBeLessThan(limits.steps);
  model.dispose();
}

/** A training of six steps that is resumed at the third has the losses of an unbroken one. Returns its checkpoint. */
export async function expectResumedTraining(
  device: Device,
  freshFolder: () => string,
  some: Partial<TrainingArguments>,
): Promise<string> {
  const args = { ...some, maxSteps: 6 };
  const part = freshFolder();
  const unbroken = await tinyTrainer(device, freshFolder(), { args });
  await unbroken.train();
  const saving = await tinyTrainer(device, part, { args: { ...args, saveStrategy: 'steps', saveSteps: 3 } });
  await saving.train();
  const resumed = await tinyTrainer(device, freshFolder(), { args });
  await resumed.train({ resumeFromCheckpoint: `${part}/checkpoint-3` });
  expect(losses(resumed)).toEqual(losses(unbroken));
  return `${part}/checkpoint-3`;
}
