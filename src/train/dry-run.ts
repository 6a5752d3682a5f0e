/** A training that is not done: what memory, time and disk it would take. */
import type { Batch } from '../data/collate.ts';
import { sizeOf } from '../tensor/shape.ts';
import { compileAhead } from './compile.ts';
import { type DiskEstimate, estimateDisk, estimateMemory, type MemoryEstimate } from './estimate.ts';
import { countTokens } from './inputs.ts';
import { loaderOf } from './loader.ts';
import { Ranks } from './ranks.ts';
import { setUpModel } from './setup.ts';
import { TrainingStep } from './step.ts';
import { Trainer, type TrainerOptions } from './trainer.ts';

export interface DryRun {
  steps: number;
  /** Texts and tokens of the largest batch. */
  largest: { texts: number; tokens: number };
  memory: MemoryEstimate;
  /** Seconds of all steps, without evaluations; null if the steps to be timed do not fit. */
  seconds: number | null;
  disk: DiskEstimate;
}

/** Steps that are rehearsed, so that the pool has buffers of several lengths. */
const REHEARSED = 8;
/** Steps that are timed. */
const TIMED = 2;

/**
 * Looks at the batches of the first epoch, rehearses the largest step and others, and computes a few for the time
 * of a token. The model's weights are changed by that. Steps that need more than `limit` bytes are not computed.
 */
export async function dryRun(options: TrainerOptions, limit = Number.POSITIVE_INFINITY): Promise<DryRun> {
  const trainer = new Trainer(options);
  const { args, model } = trainer;
  setUpModel(model, args);
  model.device.manualSeed(args.seed);
  const loader = loaderOf(options.trainDataset!, args, trainer.collate(), new Ranks(null));
  const accumulation = args.gradientAccumulationSteps;
  const perEpoch = Math.ceil(loader.length / accumulation);
  const steps = args.maxSteps > 0 ? args.maxSteps : Math.ceil(perEpoch * args.numTrainEpochs);
  const batches: Batch[] = [];
  for await (const batch of loader.batches(0, 0)) batches.push(batch);
  const groups = Array.from({ length: perEpoch }, (_, step) =>
    batches.slice(step * accumulation, (step + 1) * accumulation),
  );
  const room = (group: readonly Batch[]): number => Math.max(...group.map(({ shape }) => sizeOf(shape)));
  const bySize = [...groups].sort((a, b) => room(b) - room(a));
  const most = bySize[0]![0]!.shape;
  const setup = { model, args, maxSteps: steps, ...trainer.lossHooks(), optimizer: options.optimizer };
  const memory = await estimateMemory(setup, [...groups.slice(0, REHEARSED), bySize[0]!]);
  const tokens = (some: readonly (readonly Batch[])[]): number =>
    some.flat().reduce((sum, batch) => sum + countTokens(batch), 0);
  const timed = groups.slice(0, TIMED);
  const perToken = memory.peak > limit ? null : (await time(setup, timed)) / tokens(timed);
  trainer.disposeLoss();
  return {
    steps,
    largest: { texts: most[0]!, tokens: most.at(-1)! },
    memory,
    seconds: perToken === null ? null : (perToken * tokens(groups) * steps) / perEpoch,
    disk: estimateDisk(model, args),
  };
}

/** Seconds of some steps, after one that is not counted. */
async function time(
  options: ConstructorParameters<typeof TrainingStep>[0],
  groups: readonly (readonly Batch[])[],
): Promise<number> {
  const { model, args } = options;
  await compileAhead(model, 'train', args.fp16, async (copy) => {
    await new TrainingStep({ ...options, model: copy }).run(groups[0]!);
  });
  model.train();
  const step = new TrainingStep(options);
  try {
    await step.run(groups[0]!);
    await model.device.sync();
    const start = performance.now();
    for (const group of groups) await step.run(group);
    await model.device.sync();
    return (performance.now() - start) / 1000;
  } finally {
    step.dispose();
  }
}
