/** Kernels compiled ahead: a rehearsal asks for all that the step asks for, and leaves no trace. */
import { expect, it, vi } from 'vitest';
import type { CompileProgress } from '../../src/gpu/options.ts';
import {
  AutoConfig,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
} from '../../src/models/auto.ts';
import { BertForSequenceClassification } from '../../src/models/bert.ts';
import { modelTypes } from '../../src/models/registry.ts';
import { Device, requestDevice } from '../../src/tensor/device.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { resolveArguments } from '../../src/train/argument-checks.ts';
import { compileAhead } from '../../src/train/compile.ts';
import { predictBatches, type TrainableModel } from '../../src/train/predict.ts';
import { TrainingStep } from '../../src/train/step.ts';
import { useDevice } from '../support/device.ts';
import { tinySizes } from '../support/toy.ts';
import { tinyTrainer, useFolders } from '../support/trainer.ts';

const folder = useFolders();
const args = resolveArguments({ outputDir: 'none' });
const batch = {
  inputIds: Int32Array.of(2, 5, 6, 3, 2, 7, 3, 1),
  attentionMask: Int32Array.of(1, 1, 1, 1, 1, 1, 1, 0),
  shape: [2, 4] as [number, number],
};
const labels = Int32Array.of(0, 1);

/** Tensors that an object leads to. */
function tensorsOf(value: unknown, seen = new Set<unknown>()): Tensor[] {
  if (typeof value !== 'object' || value === null || value instanceof Device || seen.has(value)) return [];
  seen.add(value);
  if (value instanceof Tensor) return [value];
  const parts = value instanceof Map ? [...value.keys(), ...value.values()] : Object.values(value);
  return parts.flatMap((part) => tensorsOf(part, seen));
}

const step = (model: TrainableModel) => new TrainingStep({ model, args, maxSteps: 2 });

function tiny(type: (typeof modelTypes)[number], device: Device) {
  const config = AutoConfig.forModel(type, tinySizes);
  return { config, options: { device } };
}

it.each(modelTypes)(
  '%s: nothing is left to compile in the first step and the first prediction',
  async (type) => {
    const device = await requestDevice({ adapter: 'null' });
    const compile = vi.spyOn(device.gpu.device, 'createComputePipeline');
    const { config, options } = tiny(type, device);
    const model = await AutoModelForSequenceClassification.fromConfig(config, options);
    compile.mockClear();
    const before = device.statistics();
    await compileAhead(model, 'train', false, (copy) =>
      step(copy)
        .run([{ ...batch, labels }])
        .then(() => {}),
    );
    expect(device.statistics().pipelines).toBeGreaterThan(before.pipelines + 9);
    expect(device.statistics()).toEqual({ ...before, pipelines: expect.any(Number) });
    // A rehearsal that left a tensor of its own would be computed with.
    const others = () => tensorsOf(model).filter((tensor) => tensor.device !== device);
    expect(others()).toEqual([]);
    await step(model).run([{ ...batch, labels }]);
    expect(compile.mock.calls.map(([{ label }]) => label)).toEqual([]);
    for await (const _ of predictBatches(model, [batch])) break;
    expect(compile.mock.calls.map(([{ label }]) => label)).toEqual([]);
    expect(others()).toEqual([]);
    expect(tensorsOf(model).length).toBeGreaterThan(9);
    device.destroy();
  },
);

it('is what a training does, and tells how far it is', async () => {
  const progress: CompileProgress[] = [];
  const device = await requestDevice({ onCompile: (one) => progress.push(one) });
  const trainer = await tinyTrainer(device, folder(), { args: { maxSteps: 1 } });
  await device.sync();
  const compile = vi.spyOn(device.gpu.device, 'createComputePipeline');
  await trainer.train();
  const [{ total }] = progress as [CompileProgress];
  expect(progress).toEqual(Array.from({ length: total + 1 }, (_, compiled) => ({ compiled, total })));
  expect(total).toBeGreaterThan(9);
  expect(compile).not.toHaveBeenCalled();
  device.destroy();
});

const device = useDevice();

it('leaves models with modules of others alone, and calls none of their functions', async () => {
  let calls = 0;
  class Mine extends BertForSequenceClassification {
    override forward(inputs: Parameters<BertForSequenceClassification['forward']>[0]) {
      calls += 1;
      return super.forward(inputs);
    }
  }
  const { config } = tiny('bert', device.current);
  const model = new Mine(config as ConstructorParameters<typeof Mine>[0], device.current);
  for await (const _ of predictBatches(model, [batch])) break;
  expect(calls).toBe(1);
});

it('leaves the message to the step if the rehearsal throws', async () => {
  const { config, options } = tiny('bert', device.current);
  const model = await AutoModelForMaskedLM.fromConfig(config, options);
  await expect(async () => {
    for await (const _ of predictBatches(model, [{ ...batch, inputIds: new Int32Array(8).fill(99) }])) break;
  }).rejects.toThrow('99');
});
