/** `--few-shot`: a classifier from a few texts of each class, on vectors that pairs of them trained. */
import { type Command, Option } from 'commander';
import { UsageError } from '../errors.ts';
import type { LoadOptions } from '../models/files/load.ts';
import { type SamplingStrategy, samplingStrategies } from '../sentence/contrastive-pairs.ts';
import { SetFitModel, SetFitTrainer } from '../sentence/setfit.ts';
import type { Decision, Task, TaskFile } from '../tasks/task.ts';
import { labelledTexts } from '../tasks/text-classification.ts';
import { Trainer, type TrainerOptions, type TrainOutput } from '../train/trainer.ts';
import { train } from './train.ts';

export interface FewShotOptions {
  fewShot?: boolean;
  sampling?: SamplingStrategy;
}

/** Values that `--few-shot` sets unless the user does: setfit's. */
export const fewShotValues = { epochs: 1, batchSize: 16, lr: 2e-5, warmupRatio: 0.1 };

export function addFewShotOptions(command: Command): Command {
  return command
    .option('--few-shot', 'learn classes from a few texts of each, by pairs of them, as setfit does')
    .addOption(
      new Option('--sampling <strategy>', 'which pairs --few-shot draws (oversampling)').choices(
        samplingStrategies,
      ),
    );
}

/** Options that mean nothing to it, by their names in the command's options. */
const others = {
  streaming: '--streaming',
  resume: '--resume',
  fromScratch: '--from-scratch',
  head: '--head',
  metric: '--metric',
  earlyStopping: '--early-stopping',
  evalSteps: '--eval-steps',
  saveSteps: '--save-steps',
  classWeights: '--class-weights',
  labelSmoothing: '--label-smoothing',
  freezeEpochs: '--freeze-epochs',
  unfreezeLayers: '--unfreeze-layers',
};

/** Throws `UsageError` for options that do not go together. */
export function checkFewShot(options: FewShotOptions): void {
  if (options.fewShot !== true) {
    if (options.sampling !== undefined)
      throw new UsageError('--sampling is for --few-shot', { remedy: 'pass it too, or leave this out' });
    return;
  }
  const given = options as Record<string, unknown>;
  // Some have defaults: none, or 0.
  for (const [name, option] of Object.entries(others))
    if (given[name] !== undefined && given[name] !== 0 && given[name] !== false)
      throw new UsageError(`${option} means nothing to --few-shot, which learns from pairs of texts`, {
        remedy: 'leave one of them out',
      });
}

/** Throws `UsageError` for labels that no few-shot classifier is built for. */
export function checkFewShotLabels(task: Task, { config }: Decision): void {
  const what =
    task.name !== 'text-classification'
      ? `the task is ${task.name}`
      : config.textPair === true
        ? 'there are pairs of texts'
        : config.problemType === 'single_label_classification'
          ? null
          : `the labels are for ${config.problemType}`;
  if (what !== null)
    throw new UsageError(`--few-shot learns one class for each single text, and ${what}`, {
      remedy: 'leave it out',
    });
}

export const loadFewShot = (folder: string, { device, id2label, problemType, onReport }: LoadOptions) =>
  SetFitModel.fromPretrained(folder, {
    ...(device && { device }),
    ...(id2label && { id2label }),
    ...(problemType && { problemType }),
    ...(onReport && { onReport }),
  });

/** Trains body and head; the trainer that is given back evaluates. */
export async function trainFewShot(
  model: SetFitModel,
  file: TaskFile<unknown>,
  { sampling, most }: { sampling: SamplingStrategy | undefined; most: number | undefined },
  { trainDataset: _, evalDataset: __, ...options }: TrainerOptions,
): Promise<{ trainer: Trainer; outcome: TrainOutput }> {
  const { processingClass, args, callbacks } = options;
  const trainDataset = labelledTexts(file.examples.slice(0, most), model.config);
  const { outcome } = await train(
    {
      model,
      args: { ...args, evalStrategy: 'no', saveStrategy: 'no', loadBestModelAtEnd: false },
      ...(callbacks && { callbacks }),
      ...(processingClass && { processingClass }),
    },
    undefined,
    ({ model: _model, ...own }) =>
      new SetFitTrainer({ ...own, model, trainDataset, ...(sampling && { samplingStrategy: sampling }) }),
  );
  return { trainer: new Trainer({ ...options, model }), outcome };
}
