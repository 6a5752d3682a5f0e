/** Options of single tasks: what each command has of them, and what they say to the task. */
import { type Command, Option } from 'commander';
import { ConfigError, UsageError } from '../errors.ts';
import type { ProblemType } from '../models/common/config.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { defined } from '../options.ts';
import { lossNames } from '../sentence/losses/names.ts';
import { aggregations } from '../tasks/entity-groups.ts';
import { taskNames } from '../tasks/registry.ts';
import type { EncodingOptions, Task } from '../tasks/task.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import { checkPositive, integer, number, problemTypes } from './options.ts';

type CommandName = 'finetune' | 'evaluate' | 'predict';

export interface TaskOptions extends Partial<EncodingOptions> {
  task?: string;
  problemType?: ProblemType;
  head?: 'keep' | 'new';
}

interface Row {
  option: Option;
  commands: readonly CommandName[];
  /** Tasks that have it; null: all. */
  tasks: readonly string[] | null;
}

const all = ['finetune', 'evaluate', 'predict'] as const;

const row = (option: Option, commands: readonly CommandName[], tasks: readonly string[] | null): Row => ({
  option,
  commands,
  tasks,
});

/** An option with a parser, and one with choices. */
const parsed = (flags: string, help: string, parser: (text: string) => unknown): Option =>
  new Option(flags, help).argParser(parser);
const chosen = (flags: string, help: string, choices: readonly string[]): Option =>
  new Option(flags, help).choices(choices);

const trains = ['finetune'] as const;
const asks = ['predict', 'evaluate'] as const;
const learns = ['finetune', 'evaluate'] as const;
const classes = ['text-classification'];
const tags = ['token-classification'];
const answers = ['question-answering'];
const masks = ['fill-mask'];
const vectors = ['sentence-similarity'];
const rows = (): readonly Row[] => [
  row(chosen('--task <task>', 'told from the data, or from the model, if not given', taskNames), all, null),
  row(chosen('--problem-type <type>', 'told from the labels if not given', problemTypes), trains, classes),
  row(
    chosen(
      '--head <what>',
      "a trained classifier: keep it with the model's classes, or draw a new one (told from the labels' names if not given)",
      ['keep', 'new'],
    ),
    trains,
    [...classes, ...tags],
  ),
  row(parsed('--doc-stride <n>', 'tokens that the windows over a long text share (128)', integer), all, [
    ...answers,
    ...tags,
  ]),
  row(
    chosen(
      '--aggregation <how>',
      "how tokens become entities, as transformers' pipeline has it (first)",
      aggregations,
    ),
    asks,
    tags,
  ),
  row(parsed('--max-answer-length <n>', 'most tokens of an answer (30)', integer), all, answers),
  row(parsed('--n-best <n>', 'answers to give for each question (1)', integer), asks, answers),
  row(
    parsed('--null-threshold <x>', 'how much better no answer must be than the best one (0)', number),
    all,
    answers,
  ),
  row(parsed('--mlm-probability <p>', 'share of tokens to predict (0.15)', number), learns, masks),
  row(new Option('--whole-word-mask', 'mask all tokens of a word together'), learns, masks),
  row(
    chosen(
      '--loss <loss>',
      "what vectors learn by, by sentence-transformers' name (told from the data)",
      lossNames,
    ),
    trains,
    vectors,
  ),
  row(
    parsed(
      '--matryoshka-dims <list>',
      'lengths to which vectors may be cut, with commas between: all of them learn',
      (text) => text.split(',').map(integer),
    ),
    trains,
    vectors,
  ),
  row(
    parsed('--mini-batch-size <n>', 'texts that a cached loss computes at once (32)', integer),
    trains,
    vectors,
  ),
  row(parsed('--top-k <n>', 'words to give for each mask (5)', integer), ['predict'], masks),
];

/** Adds a command's options of tasks. */
export function addTaskOptions(command: Command, name: CommandName): Command {
  for (const { option, commands } of rows()) if (commands.includes(name)) command.addOption(option);
  return command;
}

/** Throws `UsageError` for an option that another task has. */
export function checkTaskOptions(options: TaskOptions, task: Task): void {
  const given = options as Record<string, unknown>;
  for (const { option, tasks } of rows()) {
    const value = given[option.attributeName()];
    if (value === undefined || tasks === null || tasks.includes(task.name)) continue;
    throw new UsageError(`${option.long} is for ${tasks.join(' and ')}, and the task is ${task.name}`, {
      remedy: 'leave it out',
    });
  }
  const { mlmProbability, docStride } = options;
  for (const name of ['maxAnswerLength', 'nBest', 'topK', 'maxLength', 'miniBatchSize'] as const)
    checkPositive(`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, options[name]);
  if (docStride !== undefined && docStride < 0)
    throw new UsageError(`--doc-stride is ${docStride}`, { remedy: 'use a whole number of tokens' });
  if (mlmProbability !== undefined && !(mlmProbability > 0 && mlmProbability < 1))
    throw new UsageError(`--mlm-probability is ${mlmProbability}`, {
      remedy: 'use a number between 0 and 1',
    });
}

/**
 * What the options say to a task. Throws `UsageError` for an option that it has not, `ConfigError` for more
 * tokens than the model takes.
 */
export function encodingOptions(
  options: TaskOptions,
  task: Task,
  { tokenizer, model }: { tokenizer: PreTrainedTokenizer; model: PreTrainedModel },
): EncodingOptions {
  checkTaskOptions(options, task);
  const most = model.base.maxLength;
  const limit = Math.min(most, tokenizer.modelMaxLength);
  const usual = task.usualLength?.(model) ?? task.maxLength ?? limit;
  const maxLength = options.maxLength ?? Math.min(usual, limit);
  if (maxLength > most)
    throw new ConfigError(`--max-length ${maxLength}: the model has positions for 1 to ${most} tokens`);
  const { truncation, docStride, aggregation, maxAnswerLength, nBest, nullThreshold } = options;
  const { mlmProbability, wholeWordMask, topK, seed, loss, matryoshkaDims, miniBatchSize } = options;
  return {
    maxLength,
    ...defined({ truncation, docStride, aggregation, maxAnswerLength, nBest, nullThreshold }),
    ...defined({ mlmProbability, wholeWordMask, topK, seed, loss, matryoshkaDims, miniBatchSize }),
  };
}
