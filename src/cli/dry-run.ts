/** `--dry-run`: what a training would take, and what to change if that is too much. */
import { InvalidArgumentError } from 'commander';
import { dryRun } from '../train/dry-run.ts';
import { roomFor } from '../train/estimate.ts';
import { Trainer, type TrainerOptions } from '../train/trainer.ts';
import { inCommandNames } from './names.ts';

const units: Readonly<Record<string, number>> = { mib: 2 ** 20, gib: 2 ** 30, mb: 1e6, gb: 1e9 };

/** `8GiB` or `500MB`, in bytes. */
export function bytes(text: string): number {
  const [, number, unit] = /^([\d.]+)\s*(mib|gib|mb|gb)$/i.exec(text.trim()) ?? [];
  const value = Number(number) * (units[unit?.toLowerCase() ?? ''] ?? Number.NaN);
  if (value > 0) return value;
  throw new InvalidArgumentError('Give a size, as in 8GiB or 500MB.');
}

const mib = (size: number): string => `${Math.ceil(size / 2 ** 20).toLocaleString('en-US')} MiB`;

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** Prints what a training would take; sets the exit code if `limit` bytes are too few. */
export async function printDryRun(options: TrainerOptions, limit: number | undefined): Promise<void> {
  const { steps, largest, memory, seconds, disk } = await dryRun(options, limit);
  const { args } = new Trainer(options);
  const { peak, weights, gradients, state, activations } = memory;
  const most = args.saveTotalLimit ?? Number.POSITIVE_INFINITY;
  const saves =
    args.saveStrategy === 'no'
      ? 0
      : Math.ceil(args.saveStrategy === 'steps' ? steps / args.saveSteps : args.numTrainEpochs);
  // A new checkpoint is there before an old one goes.
  const kept = Math.min(saves, most > 0 ? most + 1 : saves);
  const { description } = options.model.device;
  console.log(`${steps} steps; the largest has ${largest.texts} texts of up to ${largest.tokens} tokens

memory  ${mib(peak)}: weights ${mib(weights)}, gradients ${mib(gradients)}, optimizer ${mib(state)}, activations ${mib(activations)}
time    ${seconds === null ? 'not measured, because the memory is too little' : `${duration(seconds)} without evaluations`}, on ${description}
disk    ${mib(disk.model + kept * disk.checkpoint)}: the model ${mib(disk.model)}, checkpoints ${kept} × ${mib(disk.checkpoint)}`);
  if (limit === undefined || peak <= limit) return;
  console.log(`\n${mib(peak)} do not fit into ${mib(limit)}:`);
  for (const line of roomFor(args, options.model)) console.log(`- ${inCommandNames(line)}`);
  process.exitCode = 1;
}
