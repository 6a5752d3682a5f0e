/** The options of `finetune` and `pretrain` that are training arguments, made from the table of arguments. */
import { type Command, Option } from 'commander';
import { UsageError } from '../errors.ts';
import { defined } from '../options.ts';
import { argumentNames, argumentTable, type TrainingArguments } from '../train/arguments.ts';
import { isWeightsFile } from './class-weights.ts';
import { integer, number } from './options.ts';

type ArgumentName = (typeof argumentNames)[number];
type TrainingCommand = 'finetune' | 'pretrain';

/** Numbers where a text is one. */
const value = (text: string): number | string =>
  text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text);

/** `numCycles=2,minLr=0.1`. Throws `UsageError` for a part without a name. */
function settings(text: string): Record<string, number | string> {
  const pairs = text.split(',').map((part) => {
    const at = part.lastIndexOf('=');
    if (at < 1)
      throw new UsageError(`'${part}' is not of the form name=value`, { remedy: 'as in numCycles=2' });
    return [part.slice(0, at).trim(), value(part.slice(at + 1))];
  });
  return Object.fromEntries(pairs) as Record<string, number | string>;
}

/** `balanced`, `1,2.5`, `ham=1,spam=2.5`, or the name of a file, which is read later. */
function weights(text: string): unknown {
  if (text === 'balanced' || isWeightsFile(text)) return text;
  return text.includes('=') ? settings(text) : text.split(',').map(value);
}

/** `none`, or names with commas between them. */
const names = (text: string): string | string[] => (text === 'none' ? text : text.split(','));

const parsers = { integer, number, settings, weights, names };

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
