/** The options of `finetune` and `pretrain` that are training arguments, made from the table of arguments. */
import { type Command, Option } from 'commander';
import { defined } from '../options.ts';
import { argumentNames, argumentTable, type TrainingArguments } from '../train/arguments.ts';
import { integer, number } from './options.ts';

type ArgumentName = (typeof argumentNames)[number];
type TrainingCommand = 'finetune' | 'pretrain';

const parsers = { integer, number };

/** A command's default for an argument; null: none. */
function settingOf(name: ArgumentName, command: TrainingCommand): unknown {
  const { default: usual, finetune, pretrain } = argumentTable[name];
  if (command === 'pretrain') return pretrain?.default ?? usual;
  return finetune === undefined ? usual : finetune;
}

/** An argument's option; null if the command has none. --fp16 is added by `addModelOptions`. */
function optionOf(name: ArgumentName, command: TrainingCommand): Option | null {
  const { option: flags, help, kind, pretrain } = argumentTable[name];
  if (flags === undefined || name === 'fp16') return null;
  if (command === 'pretrain' && pretrain === undefined) return null;
  const option = new Option(flags, (command === 'pretrain' ? pretrain?.help : undefined) ?? help);
  if (kind.parse !== undefined) option.argParser(parsers[kind.parse]);
  if (kind.choices !== undefined) option.choices(kind.choices);
  const setting = settingOf(name, command);
  return setting === null || typeof setting === 'boolean' ? option : option.default(setting);
}

/**
 * Adds the arguments' options to a command. Each of `others` follows the option of the argument it is listed
 * under.
 */
export function addTrainingOptions(
  to: Command,
  command: TrainingCommand,
  others: Partial<Record<ArgumentName, readonly Option[]>>,
): Command {
  for (const name of argumentNames)
    for (const option of [optionOf(name, command), ...(others[name] ?? [])])
      if (option !== null) to.addOption(option);
  return to;
}

/** The arguments given by a command's options; any other argument is left out. */
export function argumentsFrom(options: object, command: TrainingCommand): Partial<TrainingArguments> {
  const said = options as Record<string, unknown>;
  const values = argumentNames.map((name) => {
    const { option: flags } = argumentTable[name];
    return [name, flags === undefined ? settingOf(name, command) : said[new Option(flags).attributeName()]];
  });
  return defined(Object.fromEntries(values)) as Partial<TrainingArguments>;
}

/** Arguments and their options: `learningRate` and `--lr`. */
export function optionNames(): [argument: string, option: string][] {
  return argumentNames.flatMap((name): [string, string][] => {
    const { option: flags } = argumentTable[name];
    return flags === undefined ? [] : [[name, new Option(flags).long!]];
  });
}
