/** A training with a progress bar that Ctrl-C interrupts, for finetune and pretrain. */
import { removeCheckpoints } from '../train/checkpoint.ts';
import { Trainer, type TrainerOptions, type TrainOutput } from '../train/trainer.ts';
import { first, groupOption, isFirst, processGroup } from './group.ts';
import { inCommandNames } from './names.ts';
import { shellCommand } from './options.ts';
import { ProgressCallback } from './progress.ts';

/**
 * Trains, from a checkpoint if there is one; a new training removes the output folder's old ones. If the
 * training is interrupted, prints how to resume it and sets the exit code.
 */
export async function train(
  options: TrainerOptions,
  checkpoint: string | undefined,
  make: (options: TrainerOptions) => Trainer = (some) => new Trainer(some),
): Promise<{ trainer: Trainer; outcome: TrainOutput }> {
  const progress = new ProgressCallback();
  const trainer = make({
    ...options,
    ...groupOption(),
    callbacks: [...(isFirst() ? [progress] : []), ...(options.callbacks ?? [])],
    onWarning: (text) => progress.print(`note: ${inCommandNames(text)}`),
    signal: interruptSignal((line) => progress.print(line)),
  });
  // Removes old files only now that all options are known to be valid.
  if (checkpoint === undefined) await first(() => removeCheckpoints(trainer.args.outputDir));
  let outcome: TrainOutput;
  try {
    outcome = await trainer.train(checkpoint === undefined ? {} : { resumeFromCheckpoint: checkpoint });
  } finally {
    progress.stop();
  }
  if (outcome.interruptedAt !== null) reportInterruption(outcome.interruptedAt);
  return { trainer, outcome };
}

/** The exit code that a shell reports for a process ended by Ctrl-C. */
const INTERRUPTED = 130;

/** A launcher may pass one Ctrl-C on twice. */
const TWICE_MS = 2000;

/** Fires on Ctrl-C, SIGTERM or the end of the terminal; a second signal ends the process immediately. */
function interruptSignal(print: (line: string) => void): AbortSignal {
  const controller = new AbortController();
  let before = 0;
  const stop = (): void => {
    const again = controller.signal.aborted;
    if (again && processGroup() !== null && performance.now() - before < TWICE_MS) return;
    if (again) process.exit(INTERRUPTED);
    before = performance.now();
    print('stopping after this step and saving a checkpoint; press Ctrl-C again to quit at once');
    controller.abort();
  };
  // SIGHUP: the terminal is gone.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  whenLeft(() => {
    if (!controller.signal.aborted) stop();
  });
  return controller.signal;
}

/** How often to look whether the parent lives. */
const PARENT_MS = 250;

/** npx and npm pass SIGTERM on to their shell alone, which ends and leaves its program behind. */
function whenLeft(stop: () => void): void {
  const parent = process.ppid;
  if (process.env.npm_command === undefined) return;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    stop();
  }, PARENT_MS);
  watch.unref();
}

/** Prints where a training stopped and how to resume it, and sets the exit code of an interrupted process. */
function reportInterruption(checkpoint: string): void {
  console.error(`\nsaved ${checkpoint}\nresume with: ${resumeCommand(checkpoint)}`);
  process.exitCode = INTERRUPTED;
}

/** The command line as given, with --resume added or replaced, and without what is secret. */
function resumeCommand(checkpoint: string): string {
  const words = process.argv
    .slice(2)
    .filter(
      (word, at, all) =>
        word !== '--overwrite' && !/^--hub-token/.test(word) && all[at - 1] !== '--hub-token',
    );
  const at = words.indexOf('--resume');
  if (at >= 0) words.splice(at, words[at + 1]?.startsWith('--') === false ? 2 : 1);
  return shellCommand([...words, '--resume', checkpoint]);
}
