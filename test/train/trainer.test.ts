import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { dataCollatorForTokenClassification } from '../../src/data/collate.ts';
import { ArrayDataset } from '../../src/data/dataset.ts';
import {
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from '../../src/models/auto.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import { EarlyStoppingCallback, type TrainerCallback } from '../../src/train/callbacks.ts';
import { lastCheckpoint, listCheckpoints } from '../../src/train/checkpoint.ts';
import { trainableGroups } from '../../src/train/freeze.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { models, readTensors } from '../support/fixtures.ts';
import { toyDataset } from '../support/toy.ts';
import { losses, type TinySetup, tinyTrainer, useFolders } from '../support/trainer.ts';

const device = useDevice();
const freshFolder = useFolders();

interface Setup extends TinySetup {
  length?: number;
}

const makeTrainer = (outputDir: string, { length, ...setup }: Setup = {}): Promise<Trainer> =>
  tinyTrainer(device.current, outputDir, {
    ...setup,
    ...(length !== undefined && { trainDataset: toyDataset(40, 3, 1, length) }),
  });

describe('resume', () => {
  it('continues with the numbers of an unbroken run', async () => {
    const args = {
      weightDecay: 0.1,
      warmupSteps: 0.2,
      gradientAccumulationSteps: 2,
      freezeEncoderEpochs: 1,
      numTrainEpochs: 3,
      perDeviceTrainBatchSize: 4,
    };
    const whole = await makeTrainer(freshFolder(), { args });
    await whole.train();
    const reference = losses(whole);
    expect(reference.length).toBe(15);

    const outputDir = freshFolder();
    const controller = new AbortController();
    const stopper: TrainerCallback = {
      onStepEnd: ({ state }) => state.globalStep === 7 && controller.abort(),
    };
    const broken = await makeTrainer(outputDir, { args, callbacks: [stopper], signal: controller.signal });
    const { interruptedAt } = await broken.train();
    expect(interruptedAt).toBe(join(outputDir, 'checkpoint-7'));
    expect(existsSync(join(outputDir, 'model.safetensors'))).toBe(false);

    const resumed = await makeTrainer(outputDir, { args });
    await resumed.train({ resumeFromCheckpoint: interruptedAt! });
    expect(losses(resumed)).toEqual(reference);
    const [ours, theirs] = [
      await readTensors(join(outputDir, 'model.safetensors')),
      await readTensors(join(whole.args.outputDir, 'model.safetensors')),
    ];
    for (const [name, values] of theirs) expect(ours.get(name), name).toEqual(values);
    for (const trainer of [whole, broken, resumed]) trainer.model.dispose();
  });
});

describe('steady state', () => {
  it('holds as many buffers after step 200 as after step 3, and makes no new pipeline', async () => {
    const seen: {
      step: number;
      live: number;
      pipelines: number;
      created: number;
      bindGroupMisses: number;
    }[] = [];
    const watch: TrainerCallback = {
      onStepEnd: ({ state }) => {
        const { live, pipelines, created, bindGroupMisses } = device.current.statistics();
        seen.push({ step: state.globalStep, live, pipelines, created, bindGroupMisses });
      },
    };
    const trainer = await makeTrainer(freshFolder(), {
      args: { maxSteps: 200, loggingSteps: 1000 },
      callbacks: [watch],
      length: 9,
    });
    await trainer.train();
    const [third, last] = [seen[2]!, seen[199]!];
    expect(last.step).toBe(200);
    expect(last.live).toBe(third.live);
    expect(last.pipelines).toBe(third.pipelines);
    // With batches of a single shape, the pool and the bind groups reach a steady state too.
    expect(last.created).toBe(seen[20]!.created);
    expect(last.bindGroupMisses).toBe(seen[20]!.bindGroupMisses);
    trainer.model.dispose();
  });

  it('updates all weights in one dispatch, and one more where some have float16 copies', async () => {
    const { recorder, float16 } = device.current.gpu;
    for (const fp16 of float16 ? [false, true] : [false]) {
      const updates: number[] = [];
      const watch: TrainerCallback = { onStepEnd: () => updates.push(0) };
      const args = { maxSteps: 4, loggingSteps: 1000, fp16 };
      const trainer = await makeTrainer(freshFolder(), { args, callbacks: [watch] });
      const dispatch = vi.spyOn(recorder, 'dispatch').mockImplementation(function (
        this: typeof recorder,
        ...rest
      ) {
        if (rest[0].gpu.label.startsWith('moment_update')) updates.push(updates.pop()! + 1);
        return Object.getPrototypeOf(recorder).dispatch.apply(recorder, rest);
      });
      updates.push(0);
      await trainer.train();
      dispatch.mockRestore();
      expect(updates.slice(0, 4)).toEqual(Array(4).fill(fp16 ? 2 : 1));
      trainer.model.dispose();
    }
  });

  it('gives everything back at the end', async () => {
    const before = device.current.statistics().live;
    const trainer = await makeTrainer(freshFolder());
    await trainer.train();
    trainer.model.dispose();
    expect(device.current.statistics().live).toBe(before);
  });
});

describe('gradient accumulation', () => {
  it('takes the steps of a batch as large', async () => {
    const one = await makeTrainer(freshFolder(), {
      dropout: 0,
      length: 6,
      args: { perDeviceTrainBatchSize: 8, numTrainEpochs: 1 },
    });
    const four = await makeTrainer(freshFolder(), {
      dropout: 0,
      length: 6,
      args: { perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 4, numTrainEpochs: 1 },
    });
    await one.train();
    await four.train();
    expect(losses(four).length).toBe(5);
    for (const [step, loss] of losses(one).entries()) expect(losses(four)[step]).toBeCloseTo(loss, 4);
    for (const trainer of [one, four]) trainer.model.dispose();
  });
});

describe('freezing', () => {
  it('thaws from the top', () => {
    const open = (epoch: number, freezeEncoderEpochs: number, unfreezeLayersPerEpoch: number) =>
      trainableGroups(5, epoch, { freezeEncoderEpochs, unfreezeLayersPerEpoch });
    expect([0, 1, 2].map((epoch) => open(epoch, 0, 0))).toEqual([5, 5, 5]);
    expect([0, 1, 2].map((epoch) => open(epoch, 2, 0))).toEqual([1, 1, 5]);
    expect([0, 1, 2, 3].map((epoch) => open(epoch, 1, 2))).toEqual([1, 3, 5, 5]);
  });

  it('leaves frozen weights as they were', async () => {
    const outputDir = freshFolder();
    const trainer = await makeTrainer(outputDir, { args: { freezeEncoderEpochs: 2, weightDecay: 0.1 } });
    await trainer.train();
    const [after, before] = [
      await readTensors(join(outputDir, 'model.safetensors')),
      await readTensors(`${models}bert-single/model.safetensors`),
    ];
    for (const [name, values] of before) {
      const head = /^classifier|pooler/.test(name);
      if (head) expect(after.get(name), name).not.toEqual(values);
      else expect(after.get(name), name).toEqual(values);
    }
    trainer.model.dispose();
  });
});

describe('evaluation', () => {
  it('scores tokens, padding and special tokens left out', async () => {
    const model = await AutoModelForTokenClassification.fromPretrained(`${models}bert-token`, {
      device: device.current,
    });
    const texts = [
      [5, 9, 20, 31],
      [7, 40],
    ].map((tokens) => ({
      inputIds: [2, ...tokens, 3],
      label: [-100, ...tokens.map((token) => token % 3), -100],
    }));
    const trainer = new Trainer({
      model,
      args: { outputDir: freshFolder() },
      dataCollator: dataCollatorForTokenClassification({ padTokenId: 0 }),
      evalDataset: new ArrayDataset(texts),
    });
    const { confusion, metrics } = await trainer.evaluate();
    expect(confusion!.flat().reduce((a, b) => a + b)).toBe(6);
    expect(metrics.eval_loss).toBeGreaterThan(0);
    model.dispose();
  });

  it('takes one label as a value where the config names no problem type', async () => {
    const model = await AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, {
      device: device.current,
      numLabels: 1,
      ignoreMismatchedSizes: true,
      onReport: () => {},
    });
    const evalDataset = new ArrayDataset([0.5, 1.5, 2.25].map((label) => ({ inputIds: [2, 9, 3], label })));
    const trainer = new Trainer({ model, args: { outputDir: freshFolder() }, evalDataset });
    const { metrics } = await trainer.evaluate();
    expect(Object.keys(metrics)).toEqual(expect.arrayContaining(['eval_mse', 'eval_pearson']));
    expect(metrics.eval_loss).toBeCloseTo(metrics.eval_mse!, 5);
    model.dispose();
  });
});

describe('the best model', () => {
  it('keeps the best checkpoint, loads it at the end, and stops early', async () => {
    const outputDir = freshFolder();
    const trainer = await makeTrainer(outputDir, {
      args: {
        numTrainEpochs: 30,
        learningRate: 5e-3,
        evalStrategy: 'epoch',
        loadBestModelAtEnd: true,
        saveTotalLimit: 1,
      },
      callbacks: [new EarlyStoppingCallback({ earlyStoppingPatience: 2 })],
    });
    await trainer.train();
    const { state } = trainer;
    const evaluations = state.logHistory.filter((entry) => 'eval_loss' in entry);
    const best = Math.min(...evaluations.map((entry) => entry.eval_loss as number));
    expect(state.bestMetric).toBe(best);
    expect(evaluations.length).toBeLessThan(30);
    expect(evaluations.slice(-2).every((entry) => (entry.eval_loss as number) >= best)).toBe(true);
    const { metrics } = await trainer.evaluate();
    expect(metrics.eval_loss).toBeCloseTo(best, 6);
    const kept = (await readdir(outputDir)).filter((name) => name.startsWith('checkpoint-'));
    expect(kept).toEqual([`checkpoint-${state.bestGlobalStep}`]);
    const saved = JSON.parse(readFileSync(join(outputDir, 'trainer_state.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    expect(Object.keys(saved)).toEqual(
      expect.arrayContaining([
        'best_metric',
        'best_model_checkpoint',
        'epoch',
        'global_step',
        'log_history',
        'max_steps',
      ]),
    );
    const log = readFileSync(join(outputDir, 'loss_log.jsonl'), 'utf8').trim().split('\n');
    expect(log.map((line) => JSON.parse(line))).toEqual(saved.log_history);
    trainer.model.dispose();
  });
});

describe('checkpoints', () => {
  const steps = async (folder: string) => (await listCheckpoints(folder)).map(({ step }) => step);

  it('never lose the one just written, nor the best, after a resume from an older one', async () => {
    const outputDir = freshFolder();
    const args = { numTrainEpochs: 2, saveStrategy: 'steps' as const, saveSteps: 3 };
    const whole = await makeTrainer(outputDir, { args });
    await whole.train();
    expect(await steps(outputDir)).toEqual([3, 6, 9, 10]);
    const seen: number[][] = [];
    const resumed = await makeTrainer(outputDir, {
      args: { ...args, saveSteps: 4, saveTotalLimit: 2 },
      callbacks: [{ onSave: ({ state }) => void seen.push([state.globalStep]) }],
    });
    await resumed.train({ resumeFromCheckpoint: join(outputDir, 'checkpoint-3') });
    expect(await steps(outputDir)).toEqual([8, 10]);
    expect(seen).toEqual([[4], [8], [10]]);
    for (const trainer of [whole, resumed]) trainer.model.dispose();
  });

  it('find the best one again where the folder is named in another way, or has moved', async () => {
    const [first, second] = [freshFolder(), freshFolder()];
    const args = {
      evalStrategy: 'epoch' as const,
      saveStrategy: 'epoch' as const,
      loadBestModelAtEnd: true,
      saveTotalLimit: 1,
    };
    const before = await makeTrainer(`${first}/`, { args: { ...args, numTrainEpochs: 1 } });
    await before.train();
    await rename(first, second);
    // No later evaluation is better than this.
    const path = join(second, 'checkpoint-5', 'trainer_state.json');
    const saved = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...saved, best_metric: -1 }));
    const after = await makeTrainer(`${second}/./`, {
      args: { ...args, numTrainEpochs: 4 },
    });
    await after.train({ resumeFromCheckpoint: await lastCheckpoint(second) });
    expect(after.state.bestGlobalStep).toBe(5);
    expect(await readTensors(join(second, 'model.safetensors'))).toEqual(
      await readTensors(join(second, 'checkpoint-5', 'model.safetensors')),
    );
    for (const trainer of [before, after]) trainer.model.dispose();
  });

  it('cover the end of a training that is no whole number of epochs', async () => {
    const outputDir = freshFolder();
    const args = { numTrainEpochs: 1.6, evalStrategy: 'epoch' as const, saveStrategy: 'epoch' as const };
    const trainer = await makeTrainer(outputDir, { args });
    await trainer.train();
    const evaluated = trainer.state.logHistory
      .filter((entry) => 'eval_loss' in entry)
      .map(({ step }) => step);
    expect(evaluated).toEqual([5, 8]);
    expect(await steps(outputDir)).toEqual([5, 8]);
    trainer.model.dispose();
  });
});

describe('a second training', () => {
  it('begins anew', async () => {
    const trainer = await makeTrainer(freshFolder(), { args: { numTrainEpochs: 1 } });
    await trainer.train();
    const { globalStep } = await trainer.train();
    expect(globalStep).toBe(5);
    expect(losses(trainer).length).toBe(5);
    trainer.model.dispose();
  });
});

describe('what goes wrong', () => {
  it('an output that cannot be written is refused before the first step', async () => {
    const file = freshFolder();
    writeFileSync(file, '');
    const trainer = await makeTrainer(join(file, 'out'));
    await expect(trainer.train()).rejects.toThrow(/^cannot write '.*out': a part of the path is a file/);
    expect(trainer.state.globalStep).toBe(0);
    trainer.model.dispose();
  });

  it('stops at a loss that is not finite, and saves no model', async () => {
    const outputDir = freshFolder();
    const trainer = await makeTrainer(outputDir, { args: { learningRate: 3e38, maxGradNorm: 0 } });
    await expect(trainer.train()).rejects.toThrow(
      /^the (loss|gradient norm) is .* at step \d+ · lower the learning rate/,
    );
    expect(existsSync(outputDir)).toBe(false);
    trainer.model.dispose();
  });

  it('names the argument', async () => {
    const { model } = await makeTrainer(freshFolder());
    const attempt = (args: Partial<TrainingArguments>) => () =>
      new Trainer({ model, args: { outputDir: 'x', ...args } });
    expect(attempt({ perDeviceTrainBatchSize: 0 })).toThrowErrorMatchingSnapshot();
    expect(attempt({ learningRate: -1 })).toThrowErrorMatchingSnapshot();
    expect(attempt({ lrSchedulerType: 'sawtooth' as never })).toThrowErrorMatchingSnapshot();
    expect(attempt({ loadBestModelAtEnd: true })).toThrowErrorMatchingSnapshot();
    model.dispose();
  });
});
