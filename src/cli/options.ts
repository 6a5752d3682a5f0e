/** Parsers of option values, and options shared by several commands. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { platform } from '#platform';
import type { TableOptions } from '../data/table.ts';
import { FileError, OutputExistsError, UsageError } from '../errors.ts';
import type { ProblemType } from '../models/common/config.ts';
import { defined } from '../options.ts';
import { type Device, type DeviceOptions, requestDevice } from '../tensor/device.ts';
import { argumentTable } from '../train/arguments.ts';
import { isEmpty, isTrainingOutput, lastCheckpoint, sweepOutput } from '../train/checkpoint.ts';
import { first, processGroup } from './group.ts';
import { showCompiling } from './progress.ts';

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

export function integer(text: string): number {
  const value = number(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError('It must be an integer.');
  return value;
}

/** A column by name, or by number from 0. */
export function column(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** A label column; repeat the option for several. */
function columns(
  text: string,
  before?: string | number | (string | number)[],
): string | number | (string | number)[] {
  return before === undefined ? column(text) : [before, column(text)].flat();
}

export interface CommonOptions {
  adapter?: string;
  fp16?: boolean;
  /** Bytes that the GPU may give. */
  memoryLimit?: number;
}

export function addAdapterOption(command: Command): Command {
  return command.option(
    '--adapter <name>',
    "auto, gpu, software, swiftshader, or part of an adapter's name (default: $DAWNGRAD_ADAPTER, or auto)",
  );
}

/** Adds the options of commands that run a model: adapter and mixed precision. */
export function addModelOptions(command: Command): Command {
  const { option, help } = argumentTable.fp16;
  return addAdapterOption(command.option(option!, help));
}

export interface DataOptions
  extends Pick<TableOptions, 'textColumn' | 'labelColumn' | 'header' | 'format' | 'delimiter' | 'encoding'> {
  pairColumn?: string | number;
}

/** Names for characters that are hard to type. */
const delimiters: Record<string, string> = {
  tab: '\t',
  '\\t': '\t',
  comma: ',',
  semicolon: ';',
  bar: '|',
  space: ' ',
};

function delimiter(text: string): string {
  const character = delimiters[text.toLowerCase()] ?? text;
  if (character.length !== 1)
    throw new InvalidArgumentError('It must be one character, tab, comma, semicolon or bar.');
  return character;
}

export function addEncodingOption(command: Command): Command {
  return command.option(
    '--encoding <name>',
    'encoding of the file, such as windows-1252 or shift_jis (default: UTF-8, or what its byte-order mark says)',
  );
}

export function addDataOptions(command: Command): Command {
  return addEncodingOption(command)
    .option('--text-column <column>', 'column of the text, by name or by number from 0', column)
    .option('--pair-column <column>', 'column of the second text', column)
    .option(
      '--label-column <column>',
      'column of the label; several, with commas between them or one by one, where each is a class',
      columns,
    )
    .option('--header', 'the first row names the columns (told from the row if not given)')
    .option('--no-header', 'the first row is data')
    .addOption(
      new Option('--format <format>', 'file format (told from the name if not given)').choices([
        'tsv',
        'csv',
        'jsonl',
      ]),
    )
    .option('--delimiter <character>', 'character between cells, or its name (tab)', delimiter);
}

export function tableOptions(options: DataOptions, requireLabels: boolean): TableOptions {
  const { textColumn, pairColumn, labelColumn, header, format, delimiter, encoding } = options;
  return defined({
    requireLabels,
    textColumn,
    textPairColumn: pairColumn,
    labelColumn,
    header,
    format,
    delimiter,
    encoding,
  });
}

export const problemTypes: readonly ProblemType[] = [
  'single_label_classification',
  'multi_label_classification',
  'regression',
];

/**
 * The requested adapter; if there is none, the environment decides. Of several, with commas between them, each
 * process of a machine takes its own.
 */
export function adapterOf({ adapter, memoryLimit: maxMemoryBytes }: CommonOptions): DeviceOptions {
  const group = processGroup();
  const wanted = adapter ?? (group === null ? undefined : process.env.DAWNGRAD_ADAPTER);
  const names = group === null ? [wanted] : wanted?.split(',');
  const own = names?.[(group?.localRank ?? 0) % names.length]?.trim();
  return defined({ adapter: own, maxMemoryBytes });
}

/** Opens the device and prints its name, with a warning if it is a software adapter. */
export async function openDevice(options: CommonOptions): Promise<Device> {
  const device = await requestDevice({ ...adapterOf(options), onCompile: showCompiling });
  const warning = device.software ? ', which computes on the CPU: expect it to be slow' : '';
  const all = (await processGroup()?.allGatherObject(device.description)) ?? [device.description];
  for (const name of new Set(all)) {
    const ranks = all.flatMap((one, rank) => (one === name ? rank : []));
    const whose = all.length === 1 ? '' : ` of ranks ${ranks.join(', ')}`;
    console.error(`adapter${whose}: ${name}${warning}`);
  }
  return device;
}

/** Throws `OutputExistsError` or `FileError` if the output may not be overwritten or cannot be written. */
export function checkOutput(path: string, overwrite: boolean): Promise<void> {
  return first(async () => {
    await checkExisting(path, overwrite);
    await platform.checkWritable(path);
  });
}

async function checkExisting(path: string, overwrite: boolean): Promise<void> {
  if (!(await platform.exists(path))) return;
  // A freshly mounted volume exists, but is empty.
  if (!(await platform.isFolder(path)))
    throw new OutputExistsError(`'${path}' is a file`, { remedy: 'choose another output' });
  if (await isEmpty(path)) return;
  if (!overwrite)
    throw new OutputExistsError(`output folder '${path}' exists`, {
      remedy: 'choose another, or pass --overwrite',
    });
  if (!(await isTrainingOutput(path))) {
    throw new OutputExistsError(`'${path}' holds files that are not a model`, {
      remedy: 'choose another folder: --overwrite only replaces models',
    });
  }
}

/** Throws `UsageError` unless an option is missing or at least 1. */
export function checkPositive(name: string, value: number | undefined): void {
  if (value !== undefined && value < 1)
    throw new UsageError(`${name} is ${value}`, { remedy: 'use an integer of 1 or more' });
}

/** Throws `UsageError` if an option is missing. */
export function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new UsageError(`${name} is missing`, { remedy: 'see --help' });
  return value;
}

/** Formats a command for pasting into a shell. */
export function shellCommand(words: readonly string[]): string {
  const quoted = words.map((word) =>
    /^[\w./:=@,+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
  );
  return `npx dawngrad ${quoted.join(' ')}`;
}

export function addResumeOption(command: Command): Command {
  return command.option(
    '--resume [checkpoint]',
    'continue an interrupted training (its newest checkpoint in the output folder)',
  );
}

/**
 * The checkpoint to resume from, or undefined for a new training. Throws `FileError` if it does not exist or
 * the output cannot be written.
 */
export async function resumedFrom(
  resume: string | true | undefined,
  output: string,
): Promise<string | undefined> {
  if (resume === undefined) return undefined;
  return first(async () => {
    if (await platform.isFolder(output)) await sweepOutput(output);
    const checkpoint = resume === true ? await lastCheckpoint(output) : resume;
    if (!(await platform.isFolder(checkpoint)))
      throw new FileError(`checkpoint '${checkpoint}' does not exist`, {
        remedy: 'pass --resume alone for the newest one in the output folder',
      });
    await platform.checkWritable(output);
    return checkpoint;
  });
}
