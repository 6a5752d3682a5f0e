/** Fills in and checks training arguments. */
import { checkSeed } from '../data/random.ts';
import { ConfigError } from '../errors.ts';
import { type Advice, checkOptions, defined, type OptionNames } from '../options.ts';
import {
  argumentNames,
  argumentTable,
  defaultTrainingArguments,
  type TrainingArguments,
} from './arguments.ts';

const optionNames = Object.fromEntries(
  ['outputDir', ...argumentNames].map((name) => [name, true]),
) as OptionNames<TrainingArguments>;

/** Remedies for arguments that transformers has, or had. */
const advice: Advice = {
  bf16: 'there is no bfloat16; fp16 is mixed precision with float16',
  dataloaderNumWorkers: 'leave it out: the next batch is made while the GPU computes',
  evaluationStrategy: 'its name is evalStrategy',
  gradientCheckpointingKwargs: 'leave it out: gradientCheckpointing takes nothing besides',
  logLevel: 'leave it out: see callbacks',
  loggingDir: 'leave it out: the log, and runs/ of TensorBoard, are written to outputDir',
  loggingStrategy: 'use loggingSteps',
  noCuda: "choose the adapter: requestDevice({ adapter: 'software' })",
  overwriteOutputDir: 'leave it out: a model in outputDir is replaced, checkpoints stay',
  pushToHub: 'push when the training is done: pushFolder(outputDir, id), or model.pushToHub(id)',
  removeUnusedColumns: 'leave it out',
  resumeFromCheckpoint: 'pass it to train({ resumeFromCheckpoint })',
  useCpu: "choose the adapter: requestDevice({ adapter: 'software' })",
};

/** Throws `ConfigError` naming the first argument whose value is not of its kind. */
function checkKinds(args: TrainingArguments): void {
  const { outputDir } = args;
  if (typeof outputDir !== 'string' || outputDir === '')
    throw new ConfigError(`outputDir is ${JSON.stringify(outputDir)}`, { remedy: 'name a folder' });
  for (const name of argumentNames) {
    const { holds, remedy, show } = argumentTable[name].kind;
    if (!holds(args[name])) throw new ConfigError(`${name} is ${show(args[name])}`, { remedy });
  }
  checkSeed(args.seed);
}

/** Fills in defaults. Throws `ConfigError` naming the argument that cannot be used, or does not exist. */
export function resolveArguments(
  given: Partial<TrainingArguments> & { outputDir: string },
): TrainingArguments {
  checkOptions('TrainingArguments', given, optionNames, advice);
  const args: TrainingArguments = { ...defaultTrainingArguments, ...(defined(given) as typeof given) };
  checkKinds(args);
  if (args.maxSteps <= 0 && args.numTrainEpochs === 0)
    throw new ConfigError('numTrainEpochs is 0', { remedy: 'train for some epochs or steps' });
  if (args.loadBestModelAtEnd && args.evalStrategy === 'no') {
    throw new ConfigError('loadBestModelAtEnd needs evaluations', {
      remedy: "set evalStrategy to 'epoch' or 'steps'",
    });
  }
  return args;
}
