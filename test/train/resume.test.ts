/** The checks of a resumed training against its checkpoint. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ArrayDataset, type Settings } from '../../src/data/dataset.ts';
import { CheckpointError, ConfigError, FileError } from '../../src/errors.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import { EarlyStoppingCallback, type TrainerCallback } from '../../src/train/callbacks.ts';
import type { Trainer } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { models, readTensors } from '../support/fixtures.ts';
import { toyDataset } from '../support/toy.ts';
import { losses, type TinySetup, tinyTrainer, useFolders } from '../support/trainer.ts';

const device = useDevice();
const freshFolder = useFolders();
const make = (folder: string, setup?: TinySetup): Promise<Trainer> =>
  tinyTrainer(device.current, folder, setup);

/** Trains up to a step, aborts, and returns the checkpoint's path. */
async function stopAt(step: number, folder: string, setup: TinySetup = {}): Promise<string> {
  const controller = new AbortController();
  const stop: TrainerCallback = {
    onStepEnd: ({ state }) => void (state.globalStep === step && controller.abort()),
  };
  const trainer = await make(folder, { ...setup, callbacks: [stop], signal: controller.signal });
  const { interruptedAt } = await trainer.train();
  trainer.model.dispose();
  return interruptedAt!;
}

/** Resumes, and disposes of the model. */
async function resume(folder: string, checkpoint: string, setup: TinySetup = {}): Promise<Trainer> {
  const trainer = await make(folder, setup);
  try {
    await trainer.train({ resumeFromCheckpoint: checkpoint });
  } finally {
    trainer.model.dispose();
  }
  return trainer;
}

describe('arguments', () => {
  const folder = freshFolder();
  let made: Promise<string> | undefined;
  const checkpoint = (): Promise<string> => {
    made ??= stopAt(3, folder);
    return made;
  };

  it.each<[string, Partial<TrainingArguments>]>([
    ['a larger batch', { perDeviceTrainBatchSize: 16 }],
    ['a smaller batch', { perDeviceTrainBatchSize: 4 }],
    ['accumulation', { gradientAccumulationSteps: 2 }],
    [
      'a batch of other texts, grouped',
      { perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 2, groupByLength: true },
    ],
    ['another seed', { seed: 43 }],
    ['grouping by length', { groupByLength: true }],
    ['a last batch left out', { dataloaderDropLast: true }],
    ['fewer steps than were done', { maxSteps: 2 }],
    ['fewer epochs than were done', { numTrainEpochs: 0.2 }],
  ])('%s is refused', async (_, args) => {
    const error = await resume(folder, await checkpoint(), { args }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message.replaceAll(await checkpoint(), 'CHECKPOINT')).toMatchSnapshot();
    expect(existsSync(join(folder, 'model.safetensors'))).toBe(false);
  });

  it.each<[string, Partial<TrainingArguments>]>([
    ['learningRate', { learningRate: 1e-4 }],
    ['weightDecay', { weightDecay: 0.1 }],
    ['maxGradNorm', { maxGradNorm: 0 }],
    ['lrSchedulerType', { lrSchedulerType: 'constant' }],
    ['warmupSteps', { warmupSteps: 5 }],
    ['numTrainEpochs', { numTrainEpochs: 3 }],
    ['maxSteps', { maxSteps: 4 }],
    ['freezeEncoderEpochs', { freezeEncoderEpochs: 1 }],
    ['adamBeta1', { adamBeta1: 0.8 }],
    ['evalStrategy', { evalStrategy: 'epoch' }],
    ['metricForBestModel', { metricForBestModel: 'accuracy' }],
  ])('another %s is said, and holds', async (name, args) => {
    const warnings: string[] = [];
    const trainer = await resume(folder, await checkpoint(), { args: { saveSteps: 500, ...args }, warnings });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      new RegExp(
        `^${name} is .*, in '.*checkpoint-3' it was .*: (it holds from here on|the best model is looked for anew)$`,
      ),
    );
    expect(trainer.state.globalStep).toBe(trainer.state.maxSteps);
  });

  it('what changes nothing is not said', async () => {
    const warnings: string[] = [];
    const args = { perDeviceEvalBatchSize: 3, saveTotalLimit: 4 };
    await resume(freshFolder(), await checkpoint(), { args, warnings });
    expect(warnings).toEqual([]);
  });

  it('smaller batches in steps of the same texts give the losses of the unbroken run', async () => {
    const setup = { dropout: 0, trainDataset: toyDataset(40, 3, 1, 6) };
    const whole = await make(freshFolder(), setup);
    await whole.train();
    const output = freshFolder();
    const stopped = await stopAt(3, output, setup);
    const warnings: string[] = [];
    const args = { perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 2 };
    const resumed = await resume(output, stopped, { ...setup, args, warnings });
    expect(warnings.every((line) => line.endsWith('a step has the same texts'))).toBe(true);
    expect(losses(resumed).length).toBe(10);
    for (const [step, loss] of losses(whole).entries()) expect(losses(resumed)[step]).toBeCloseTo(loss, 4);
    whole.model.dispose();
  });
});

describe('data', () => {
  it('of another size is refused, other data of the same size is said', async () => {
    const folder = freshFolder();
    const checkpoint = await stopAt(3, folder);
    await expect(resume(folder, checkpoint, { trainDataset: toyDataset(39, 3, 1) })).rejects.toThrow(
      `there are 39 training examples, in '${checkpoint}' there were 40`,
    );
    const warnings: string[] = [];
    await resume(folder, checkpoint, { trainDataset: toyDataset(40, 3, 9), warnings });
    expect(warnings).toEqual([
      `the training data is not what it was in '${checkpoint}': examples may be trained twice or not at all`,
    ]);
  });

  it('with other settings is said, and holds; settings that the checkpoint lacks are not', async () => {
    const data = (settings?: Settings) => ({
      trainDataset: new ArrayDataset(
        Array.from({ length: 40 }, (_, at) => toyDataset(40, 3, 1).get(at)),
        settings,
      ),
    });
    const before = { maxLength: 12, loss: 'CoSENTLoss', matryoshkaDims: null, wholeWordMask: false };
    const folder = freshFolder();
    const checkpoint = await stopAt(3, folder, data(before));
    const cases: [Settings | undefined, string[]][] = [
      [before, []],
      [undefined, []],
      [{ ...before, docStride: 3 }, []],
      [{ ...before, loss: 'CosineSimilarityLoss' }, ["loss is 'CosineSimilarityLoss', was 'CoSENTLoss'"]],
      [{ ...before, matryoshkaDims: [8, 4] }, ['matryoshkaDims is [8,4], was null']],
      [
        { ...before, maxLength: 9, wholeWordMask: true },
        ['maxLength is 9, was 12', 'wholeWordMask is true, was false'],
      ],
    ];
    for (const [settings, notes] of cases) {
      const warnings: string[] = [];
      await resume(freshFolder(), checkpoint, { ...data(settings), warnings });
      const wanted = notes.map((note) =>
        note.replace(/, was (.*)/, `, in '${checkpoint}' it was $1: it holds from here on`),
      );
      expect(warnings).toEqual(wanted);
    }
  });

  it('whose labels alone are others is said', async () => {
    const folder = freshFolder();
    const checkpoint = await stopAt(3, folder);
    const data = toyDataset(40, 3, 1);
    const examples = Array.from({ length: 40 }, (_, i) => data.get(i));
    examples[0] = { ...examples[0]!, label: ((examples[0]!.label as number) + 1) % 3 };
    const warnings: string[] = [];
    await resume(folder, checkpoint, { trainDataset: new ArrayDataset(examples), warnings });
    expect(warnings).toHaveLength(1);
  });
});

describe('a training that is over', () => {
  it('trains nothing more, says so, and saves the model', async () => {
    const folder = freshFolder();
    const args = { saveStrategy: 'epoch' as const };
    const first = await make(folder, { args });
    await first.train();
    const weights = await readTensors(join(folder, 'model.safetensors'));
    const warnings: string[] = [];
    const again = freshFolder();
    const resumed = await resume(again, join(folder, 'checkpoint-10'), { args, warnings });
    expect(warnings).toEqual([
      `the training of '${join(folder, 'checkpoint-10')}' had done all its steps: nothing is left to train`,
    ]);
    expect(losses(resumed)).toEqual(losses(first));
    expect(await readTensors(join(again, 'model.safetensors'))).toEqual(weights);
    first.model.dispose();
  });

  const stopping = (patience: number): TinySetup => ({
    args: {
      numTrainEpochs: 6,
      learningRate: 0,
      evalStrategy: 'epoch',
      saveStrategy: 'epoch',
      loadBestModelAtEnd: true,
    },
    callbacks: [new EarlyStoppingCallback({ earlyStoppingPatience: patience })],
  });

  it('because it stopped early stays over; with more patience it goes on', async () => {
    const folder = freshFolder();
    const first = await make(folder, stopping(1));
    const output = await first.train();
    expect(output).toMatchObject({ globalStep: 10, stoppedEarly: true, restoredStep: 5 });
    expect(output.evaluation!.metrics.eval_loss).toBe(first.state.bestMetric);
    const checkpoint = join(folder, 'checkpoint-10');
    const warnings: string[] = [];
    const over = await resume(folder, checkpoint, { ...stopping(1), warnings });
    expect(over.state.globalStep).toBe(10);
    expect(warnings).toEqual([
      `the training of '${checkpoint}' was stopped early, at step 10: nothing is left to train`,
    ]);
    const patient = await resume(folder, checkpoint, stopping(3));
    expect(patient.state.globalStep).toBe(20);
    first.model.dispose();
  });
});

describe('the best checkpoint', () => {
  it('is found where it was made when the output is another folder', async () => {
    const folder = freshFolder();
    const args = {
      numTrainEpochs: 6,
      learningRate: 0,
      evalStrategy: 'epoch',
      saveStrategy: 'epoch',
    } as const;
    const first = await make(folder, { args: { ...args, loadBestModelAtEnd: true } });
    await first.train();
    expect(first.state.bestGlobalStep).toBe(5);
    const [other, warnings] = [freshFolder(), [] as string[]];
    const resumed = await make(other, { args: { ...args, loadBestModelAtEnd: true }, warnings });
    const output = await resumed.train({ resumeFromCheckpoint: join(folder, 'checkpoint-20') });
    expect(output.restoredStep).toBe(5);
    expect(warnings).toEqual([]);
    expect(resumed.state.bestModelCheckpoint).toBe(join(folder, 'checkpoint-5'));
    for (const { model } of [first, resumed]) model.dispose();
  });
});

describe('early stopping', () => {
  it.each([null, Number.NaN, Number.POSITIVE_INFINITY])(
    'counts a metric that is %s as no improvement, and says so once',
    async (value) => {
      const warnings: string[] = [];
      const folder = freshFolder();
      const trainer = await make(folder, {
        args: {
          numTrainEpochs: 6,
          evalStrategy: 'epoch',
          loadBestModelAtEnd: true,
          metricForBestModel: 'odd',
        },
        callbacks: [new EarlyStoppingCallback({ earlyStoppingPatience: 2 })],
        computeMetrics: () => ({ odd: value }),
        warnings,
      });
      const output = await trainer.train();
      expect(output).toMatchObject({ globalStep: 10, stoppedEarly: true, restoredStep: null });
      expect(warnings.map((line) => line.slice(0, 32))).toEqual([
        "the metric 'odd' is not defined ",
        'no evaluation was the best: the ',
      ]);
      expect(trainer.state).toMatchObject({
        bestMetric: null,
        bestGlobalStep: null,
        bestModelCheckpoint: null,
      });
      trainer.model.dispose();
    },
  );

  it('holds the threshold against the best so far, as transformers does', async () => {
    // Each step improves by less than the threshold, all together by more.
    const values = [1, 0.96, 0.92, 0.88, 0.84];
    let at = 0;
    const trainer = await make(freshFolder(), {
      args: { numTrainEpochs: 5, evalStrategy: 'epoch', metricForBestModel: 'odd', greaterIsBetter: false },
      callbacks: [new EarlyStoppingCallback({ earlyStoppingPatience: 3, earlyStoppingThreshold: 0.05 })],
      computeMetrics: () => ({ odd: values[at++]! }),
    });
    expect(await trainer.train()).toMatchObject({ globalStep: 20, stoppedEarly: true });
    expect(trainer.state.statefulCallbacks.EarlyStoppingCallback).toEqual({
      args: { early_stopping_patience: 3, early_stopping_threshold: 0.05 },
      attributes: { early_stopping_patience_counter: 3 },
    });
    trainer.model.dispose();
  });

  it('refuses settings that cannot work', async () => {
    for (const earlyStoppingPatience of [0, -1, 1.5, Number.NaN])
      expect(() => new EarlyStoppingCallback({ earlyStoppingPatience })).toThrow(ConfigError);
    expect(() => new EarlyStoppingCallback({ earlyStoppingThreshold: -1 })).toThrow(ConfigError);
    const trainer = await make(freshFolder(), { callbacks: [new EarlyStoppingCallback()] });
    await expect(trainer.train()).rejects.toThrow('EarlyStoppingCallback needs evaluations');
    trainer.model.dispose();
  });
});

describe('trainer_state.json', () => {
  const read = (folder: string) =>
    JSON.parse(readFileSync(join(folder, 'trainer_state.json'), 'utf8')) as Record<string, unknown>;

  it("has transformers' keys, and the best metric only where it is asked for", async () => {
    const folder = freshFolder();
    const trainer = await make(folder, {
      args: { evalStrategy: 'epoch', saveStrategy: 'epoch', numTrainEpochs: 1 },
      trainDataset: toyDataset(40, 3, 1, 6),
    });
    await trainer.train();
    const state = read(join(folder, 'checkpoint-5'));
    expect(state).toMatchObject({
      best_metric: null,
      best_global_step: null,
      best_model_checkpoint: null,
      is_hyper_param_search: false,
      is_local_process_zero: true,
      is_world_process_zero: true,
      trial_name: null,
      trial_params: null,
      // Six for each of 40 texts of 8 tokens, and 14,797 weights: transformers'
      // num_parameters(exclude_embeddings=True).
      total_flos: 6 * 14_797 * 40 * 8,
    });
    expect(Object.keys(state)).toEqual([...Object.keys(state)].sort());
    expect(Object.keys(state.stateful_callbacks as object)).toEqual(['TrainerControl']);
    expect((state.log_history as object[]).at(-1)).toMatchObject({ eval_loss: expect.any(Number) });
    expect((read(folder).log_history as object[]).at(-1)).toMatchObject({
      train_runtime: expect.any(Number),
      train_samples_per_second: expect.any(Number),
      train_steps_per_second: expect.any(Number),
      total_flos: 6 * 14_797 * 40 * 8,
      train_loss: expect.any(Number),
    });
    trainer.model.dispose();
  });

  it('has the step of the best metric where checkpoints are saved', async () => {
    for (const saveStrategy of ['no', 'epoch'] as const) {
      const trainer = await make(freshFolder(), {
        args: { evalStrategy: 'epoch', saveStrategy, metricForBestModel: 'loss' },
      });
      await trainer.train();
      const { bestMetric, bestGlobalStep, bestModelCheckpoint } = trainer.state;
      expect(bestMetric).toEqual(expect.any(Number));
      expect([bestGlobalStep === null, bestModelCheckpoint === null]).toEqual(
        saveStrategy === 'no' ? [true, true] : [false, false],
      );
      trainer.model.dispose();
    }
  });
});

describe('the log', () => {
  it('has the rate that the step used, and the norm without clipping', async () => {
    const logs: unknown[][] = [];
    for (const maxGradNorm of [0, 1e6]) {
      const trainer = await make(freshFolder(), { args: { maxGradNorm, warmupSteps: 2 } });
      await trainer.train();
      const entries = trainer.state.logHistory.filter(({ loss }) => loss !== undefined);
      expect(entries.map(({ learning_rate: rate }) => Number(((rate as number) * 1e3).toFixed(6)))).toEqual([
        0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125,
      ]);
      expect(entries.every(({ grad_norm: norm }) => typeof norm === 'number' && norm > 0)).toBe(true);
      logs.push(entries.map(({ loss, grad_norm: norm }) => [loss, norm]));
      trainer.model.dispose();
    }
    // With clipping off, the norm is measured but not used.
    expect(logs[0]).toEqual(logs[1]);
  });

  it('of a resumed training begins with the rate of the step before', async () => {
    const folder = freshFolder();
    const args = { loggingSteps: 4, warmupSteps: 2 };
    const whole = await make(freshFolder(), { args });
    await whole.train();
    const resumed = await resume(folder, await stopAt(3, folder, { args }), { args });
    const of = ({ state }: Trainer) => state.logHistory.filter(({ loss }) => loss !== undefined);
    expect(of(resumed)).toEqual(of(whole));
    whole.model.dispose();
  });
});

describe('steps', () => {
  it('that cannot be counted are refused', async () => {
    for (const maxSteps of [1e308, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
      await expect(make(freshFolder(), { args: { maxSteps } })).rejects.toThrow(`maxSteps is ${maxSteps}`);
    const trainer = await make(freshFolder(), { args: { numTrainEpochs: 1e308 } });
    await expect(trainer.train()).rejects.toThrow('numTrainEpochs is 1e+308');
    trainer.model.dispose();
  });
});

describe('seeds', () => {
  it('of more than 32 bits are refused, not cut', async () => {
    for (const seed of [2 ** 32, 2 ** 53, -1, 1.5, Number.NaN]) {
      await expect(make(freshFolder(), { args: { seed } })).rejects.toThrow(`seed is ${seed}`);
      expect(() => device.current.manualSeed(seed)).toThrow(ConfigError);
    }
    device.current.manualSeed(2 ** 32 - 1);
    expect(device.current.randomState).toEqual({ seed: 2 ** 32 - 1, stream: 0 });
  });
});

describe('a checkpoint that is not whole', () => {
  it.each([
    'trainer_state.json',
    'progress.json',
    'training_args.json',
    'optimizer.safetensors',
    'model.safetensors',
  ])('without %s names it', async (name) => {
    const folder = freshFolder();
    const checkpoint = await stopAt(2, folder);
    const path = join(checkpoint, name);
    writeFileSync(path, '');
    const error = await resume(folder, checkpoint).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toContain(name);
  });

  it('or not there at all', async () => {
    const folder = freshFolder();
    await expect(resume(folder, join(folder, 'checkpoint-7'))).rejects.toThrow(FileError);
    // A model folder is not a checkpoint.
    await expect(resume(folder, `${models}bert-single`)).rejects.toThrow(/trainer_state\.json' is missing/);
  });
});
