/** What a training has told so far, from its events. */
import type { LogEntry } from 'dawngrad';
import type { TrainEvent } from '../contract.ts';
import { downloadText } from '../parts/format.ts';
import { Pace } from './pace.ts';

export class TrainingProgress {
  modelName = '';
  stage = 'Starting';
  step = 0;
  steps = 0;
  epoch = 0;
  epochs = 0;
  batchSize = 0;
  memoryBytes = 0;
  /** How far the compilation ahead of the first step, or the first evaluation, is; null when none is. */
  compiling: { done: number; total: number } | null = null;
  kernels = 0;
  /** The step of the last checkpoint. */
  savedStep: number | null = null;
  log: LogEntry[] = [];
  warnings: string[] = [];
  private pace = new Pace();

  take(event: TrainEvent): void {
    if (event.kind === 'stage') this.stage = event.text;
    else if (event.kind === 'download') this.stage = downloadText(event);
    else if (event.kind === 'compile') this.compile(event);
    else if (event.kind === 'log') this.log.push(event.entry);
    else if (event.kind === 'saved') this.savedStep = event.step;
    else if (event.kind === 'warning') this.warnings.push(event.text);
    else if (event.kind === 'begin') this.begin(event);
    else this.count(event);
  }

  get tokensPerSecond(): number | null {
    return this.pace.tokensPerSecond;
  }

  get secondsLeft(): number | null {
    return this.pace.secondsLeft(this.steps);
  }

  private compile({ compiled: done, total }: TrainEvent & { kind: 'compile' }): void {
    this.compiling = done < total ? { done, total } : null;
  }

  private begin({ modelName, steps, step, epochs, batchSize, log }: TrainEvent & { kind: 'begin' }): void {
    Object.assign(this, { modelName, steps, step, epochs, batchSize, log: [...log] });
    this.epoch = log.at(-1)?.epoch ?? 0;
    // It goes on from a checkpoint.
    if (step > 0) this.savedStep = step;
    this.pace = new Pace();
  }

  private count({ step, epoch, tokens, seconds, memoryBytes, kernels }: TrainEvent & { kind: 'step' }): void {
    this.compiling = null;
    this.stage = 'Training';
    Object.assign(this, { step, epoch, memoryBytes, kernels });
    this.pace.note(step, tokens, seconds);
  }
}
