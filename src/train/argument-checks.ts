/** The kinds of values that training arguments take; fills in defaults, and checks values. */
import { checkSeed } from '../data/random.ts';
import { ConfigError } from '../errors.ts';
import { schedulerTypes } from '../optim/schedule.ts';
import { type Advice, checkOptions, type OptionNames } from '../options.ts';
import {
  argumentNames,
  argumentTable,
  defaultTrainingArguments,
  type IntervalStrategy,
  type TrainingArguments,
} from './arguments.ts';

interface Rule {
  holds: (value: unknown) => boolean;
  remedy: string;
}

const strategies: readonly unknown[] = ['no', 'steps', 'epoch'] satisfies IntervalStrategy[];
const orNull = ({ holds, remedy }: Rule): Rule => ({
  holds: (value) => value === null || holds(value),
  remedy: `${remedy}, or null`,
});
const flag: Rule = { holds: (value) => typeof value === 'boolean', remedy: 'use true or false' };
const count: Rule = {
  holds: (value) => Number.isInteger(value) && (value as number) >= 1,
  remedy: 'use an integer of 1 or more',
};
const amount: Rule = {
  holds: (value) => Number.isFinite(value) && (value as number) >= 0,
  remedy: 'use a number of 0 or more',
};
const anything: Rule = { holds: () => true, remedy: '' };

const rules = {
  flag,
  'flag or null': orNull(flag),
  strategy: { holds: (value) => strategies.includes(value), remedy: `use one of ${strategies.join(', ')}` },
  schedule: {
    holds: (value) => (schedulerTypes as readonly unknown[]).includes(value),
    remedy: `use one of ${schedulerTypes.join(', ')}`,
  },
  count,
  'count or null': { ...orNull(count), remedy: count.remedy },
  whole: {
    holds: (value) => Number.isInteger(value) && (value as number) >= 0,
    remedy: 'use an integer of 0 or more',
  },
  amount,
  steps: { holds: Number.isSafeInteger, remedy: 'use an integer; with -1 the epochs decide' },
  'integer or null': orNull({ holds: Number.isInteger, remedy: 'use an integer' }),
  'text or null': orNull({ holds: (value) => typeof value === 'string', remedy: "use a metric's name" }),
  'names or null': orNull({
    holds: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
    remedy: 'use a list of names',
  }),
  // Checked by AdamW, and by `checkSeed`.
  beta: anything,
  seed: anything,
} satisfies Record<string, Rule>;

export type ArgumentKind = keyof typeof rules;

const numbers: ReadonlySet<ArgumentKind> = new Set(['count', 'count or null', 'whole', 'amount', 'steps']);

function show(kind: ArgumentKind, value: unknown): string {
  if (kind === 'schedule') return `'${String(value)}'`;
  return numbers.has(kind) ? String(value) : JSON.stringify(value);
}

const optionNames = Object.fromEntries(
  ['outputDir', ...argumentNames].map((name) => [name, true]),
) as OptionNames<TrainingArguments>;

/** Remedies for arguments that transformers has, or had. */
const advice: Advice = {
  bf16: 'there is no bfloat16; fp16 is mixed precision with float16',
  dataloaderNumWorkers: 'leave it out: the next batch is made while the GPU computes',
  evaluationStrategy: 'its name is evalStrategy',
  gradientCheckpointing: 'leave it out: use smaller batches and gradientAccumulationSteps',
  labelSmoothingFactor: 'there is no label smoothing',
  logLevel: 'leave it out: see callbacks',
  loggingDir: 'leave it out: loss_log.jsonl and trainer_state.json are written to outputDir',
  loggingStrategy: 'use loggingSteps',
  lrSchedulerKwargs: 'leave it out, or write the loop yourself: examples/loop.ts',
  noCuda: "choose the adapter: requestDevice({ adapter: 'software' })",
  optim: 'leave it out: it is AdamW',
  overwriteOutputDir: 'leave it out: a model in outputDir is replaced, checkpoints stay',
  pushToHub: 'leave it out: upload outputDir with huggingface_hub',
  removeUnusedColumns: 'leave it out',
  reportTo: 'leave it out: see callbacks',
  resumeFromCheckpoint: 'pass it to train({ resumeFromCheckpoint })',
  useCpu: "choose the adapter: requestDevice({ adapter: 'software' })",
  warmupRatio: 'use warmupSteps: below 1 it is a share of all steps',
};

/** Throws `ConfigError` naming the first argument whose value is not of its kind. */
function checkKinds(args: TrainingArguments): void {
  const { outputDir } = args;
  if (typeof outputDir !== 'string' || outputDir === '')
    throw new ConfigError(`outputDir is ${JSON.stringify(outputDir)}`, { remedy: 'name a folder' });
  for (const name of argumentNames) {
    const { kind } = argumentTable[name];
    const { holds, remedy }: Rule = rules[kind];
    if (!holds(args[name])) throw new ConfigError(`${name} is ${show(kind, args[name])}`, { remedy });
  }
  checkSeed(args.seed);
}

/** Fills in defaults. Throws `ConfigError` naming the argument that cannot be used, or does not exist. */
export function resolveArguments(
  given: Partial<TrainingArguments> & { outputDir: string },
): TrainingArguments {
  checkOptions('TrainingArguments', given, optionNames, advice);
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  const args: TrainingArguments = {
    ...defaultTrainingArguments,
    outputDir: given.outputDir,
    ...Object.fromEntries(set),
  };
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
