/** Trainings of a tiny BERT. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { TrainDataset } from '../../src/data/stream.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import type { Device } from '../../src/tensor/device.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import { Trainer, type TrainerOptions } from '../../src/train/trainer.ts';
import { models } from './fixtures.ts';
import { toyDataset } from './toy.ts';

/** Returns names of folders that do not exist yet; they are removed after the file's tests. */
export function useFolders(): () => string {
  const scratch = mkdtempSync(join(tmpdir(), 'dawngrad-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));
  let made = 0;
  return () => join(scratch, `run-${made++}`);
}

export interface TinySetup extends Partial<Omit<TrainerOptions, 'args' | 'model'>> {
  args?: Partial<TrainingArguments>;
  dropout?: number;
  trainDataset?: TrainDataset;
  /** Receives a line for each warning. */
  warnings?: string[];
}

/** 40 examples in batches of 8, two epochs, one log entry per step. */
export async function tinyTrainer(
  device: Device,
  outputDir: string,
  setup: TinySetup = {},
): Promise<Trainer> {
  const { args = {}, dropout = 0.1, warnings, ...rest } = setup;
  const model = await AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, {
    device,
    hiddenDropoutProb: dropout,
    attentionProbsDropoutProb: dropout,
  });
  return new Trainer({
    model,
    trainDataset: toyDataset(40, 3, 1),
    evalDataset: toyDataset(12, 3, 2),
    onWarning: (text) => warnings?.push(text),
    args: { outputDir, numTrainEpochs: 2, learningRate: 1e-3, loggingSteps: 1, saveStrategy: 'no', ...args },
    ...rest,
  });
}

export const losses = ({ state }: Trainer): number[] =>
  state.logHistory.flatMap(({ loss }) => (typeof loss === 'number' ? [loss] : []));
