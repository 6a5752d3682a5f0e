#!/usr/bin/env node
/** The `dawngrad` command. */
import { Command } from 'commander';
import { DawngradError } from '../errors.ts';
import { addEvaluate } from './evaluate.ts';
import { addExport } from './export.ts';
import { addFinetune } from './finetune.ts';
import { endGroup, joinGroup, processGroup } from './group.ts';
import { addInfo, packageVersion } from './info.ts';
import { addMerge } from './merge.ts';
import { inCommandNames } from './names.ts';
import { addPredict } from './predict.ts';
import { addPretrain } from './pretrain.ts';
import { addPush } from './push.ts';
import { addTune } from './tune.ts';

const program = new Command('dawngrad')
  .description('Fine-tune BERT, RoBERTa and their kin on WebGPU.')
  .version(await packageVersion())
  .showHelpAfterError('(see --help)');
const commands = [
  ...[addFinetune, addEvaluate, addPredict, addPretrain],
  ...[addMerge, addExport, addPush, addTune, addInfo],
];
for (const add of commands) add(program);
program.hook('preAction', (_, command) => joinGroup(command.name()));

// Ignores write errors: Ctrl-C ends `tee` first, and `head` closes the pipe early. The command continues and
// saves its work.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

// Bun paints each line of `console.error` red on a terminal, and that of `console.warn` yellow.
if (process.versions.bun !== undefined) {
  for (const level of ['error', 'warn'] as const) {
    const painted = console[level];
    console[level] = (...values: unknown[]): void => {
      if (values.length === 1 && typeof values[0] === 'string') process.stderr.write(`${values[0]}\n`);
      else painted(...values);
    };
  }
}

try {
  await program.parseAsync();
  await processGroup()?.finalize();
} catch (error) {
  // A `DawngradError` says what to do; anything else is a bug, and its stack helps to find it.
  const message = error instanceof DawngradError ? `error: ${inCommandNames(error.message)}` : error;
  await endGroup(message);
  console.error(message);
  process.exitCode = 1;
}
// A device left open by an error must not keep the process alive.
process.stdout.write('', () => {
  const error = process.stdout.errored as NodeJS.ErrnoException | null;
  if (error !== null && error.code !== 'EPIPE') {
    console.error(`error: standard output cannot be written: ${error.message}`);
    process.exitCode = 1;
  }
  process.exit();
});
