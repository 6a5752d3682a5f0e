/** A device that is gone: operations throw, waits end. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DeviceLostError } from '../../src/errors.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { type Device, requestDevice } from '../../src/tensor/device.ts';
import { add } from '../../src/tensor/ops/elementwise.ts';
import type { TrainerCallback } from '../../src/train/callbacks.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { models } from '../support/fixtures.ts';
import { toyDataset } from '../support/toy.ts';

/** Ends a device as its owner does, or behind the engine's back. */
const endings: Record<string, (device: Device) => void> = {
  'device.destroy()': (device) => device.destroy(),
  'a lost device': (device) => device.gpu.device.destroy(),
};
/** Guards against hangs. */
const WITHIN_MS = 5 * 60_000;

/** The error that a promise rejects with, or a separate error if it does not settle. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(new Error('it did not settle')), WITHIN_MS);
  });
  const result = await Promise.race([
    promise.then(
      () => new Error('it did not reject'),
      (error: unknown) => error,
    ),
    late,
  ]);
  clearTimeout(timer);
  return result;
}

describe.each(Object.entries(endings))('after %s', (_, end) => {
  it('every operation throws, and disposing does not', async () => {
    const device = await requestDevice();
    const x = device.full([4], 1);
    await device.sync();
    end(device);
    await device.gpu.device.lost;
    await new Promise((resolve) => setTimeout(resolve, 0));
    const operations: Record<string, () => unknown> = {
      full: () => device.full([4], 2),
      empty: () => device.empty([4]),
      fill: () => device.fill(x, 0),
      write: () => x.write(new Float32Array(4)),
      add: () => add(x, x),
      submit: () => device.submit(),
    };
    for (const [name, operation] of Object.entries(operations)) {
      expect(operation, name).toThrow(DeviceLostError);
    }
    expect(await rejection(x.data())).toBeInstanceOf(DeviceLostError);
    expect(await rejection(device.sync())).toBeInstanceOf(DeviceLostError);
    x.dispose();
    device.destroy();
  });

  it('a read-back under way ends', async () => {
    const device = await requestDevice();
    const reading = rejection(device.full([1 << 20], 1).data());
    end(device);
    expect(await reading).toBeInstanceOf(DeviceLostError);
  });

  it.each(['onTrainBegin', 'onEpochBegin', 'onLog', 'onEvaluate', 'onSave'] as const)(
    'in %s a training ends, and leaves nothing half-written',
    async (event) => {
      const folder = await mkdtemp(join(tmpdir(), 'dawngrad-'));
      const device = await requestDevice();
      const model = await AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, {
        device,
      });
      const trainer = new Trainer({
        model,
        trainDataset: toyDataset(80, 3, 1),
        evalDataset: toyDataset(8, 3, 2),
        callbacks: [{ [event]: () => end(device) }],
        args: {
          outputDir: join(folder, 'out'),
          loggingSteps: 2,
          evalStrategy: 'steps',
          saveStrategy: 'steps',
          saveSteps: 2,
          loadBestModelAtEnd: true,
        },
      });
      expect(await rejection(trainer.train())).toBeInstanceOf(DeviceLostError);
      const left = [folder, join(folder, 'out')].flatMap((path) =>
        existsSync(path) ? readdirSync(path) : [],
      );
      expect(left.filter((name) => name.startsWith('.') || name === 'model.safetensors')).toEqual([]);
      model.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  );

  it.each([1, 2, 3])('a training ends before another step is done (after step %i)', async (step) => {
    const folder = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    const device = await requestDevice();
    const model = await AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, { device });
    let last = 0;
    const watch: TrainerCallback = {
      onStepEnd: ({ state }) => {
        last = state.globalStep;
        if (last === step) end(device);
      },
    };
    const trainer = new Trainer({
      model,
      trainDataset: toyDataset(80, 3, 1),
      callbacks: [watch],
      args: { outputDir: join(folder, 'out'), loggingSteps: 1000, saveStrategy: 'no' },
    });
    const error = await rejection(trainer.train());
    expect(error).toBeInstanceOf(DeviceLostError);
    // If the device is lost behind the engine's back, the loss becomes known when the host next waits.
    expect(last).toBeLessThanOrEqual(step + 1);
    model.dispose();
    await rm(folder, { recursive: true, force: true });
  });
});
