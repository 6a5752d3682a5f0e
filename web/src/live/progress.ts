/** What a training has told so far, from its events. */
import type { LogEntry } from 'dawngrad';
import type { TrainEvent } from '../contract.ts';
import { Pace } from './pace.ts';

export class TrainingProgress {
  modelName = '';
  stage = 'Starting';
  step = 0;
  steps = 0;
  epoch = 0;
  epochs = 0;
  memoryBytes = 0;
  /** Kernels compiled ahead, of how many. */
  compiled: { done: number; total: number } | null = null;
  /** The step of the last checkpoint. */
  savedStep: number | null = null;
  log: LogEntry[] = [];
  warnings: string[] = [];
  private pace = new Pace();

  take(event: TrainEvent): void {
    if (event.kind === 'stage') this.stage = event.text;
    else if (event.kind === 'download') this.stage = `Downloading ${event.file}`;
    else if (event.kind === 'compile') this.compiled = { done: event.compiled, total: event.total };
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

  private begin({ modelName, steps, step, epochs, log }: TrainEvent & { kind: 'begin' }): void {
    Object.assign(this, { modelName, steps, step, epochs, log: [...log] });
    this.epoch = log.at(-1)?.epoch ?? 0;
    this.pace = new Pace();
  }

  private count({ step, epoch, tokens, seconds, memoryBytes }: TrainEvent & { kind: 'step' }): void {
    if (this.compiled !== null) this.compiled.done = this.compiled.total;
    this.stage = 'Training';
    Object.assign(this, { step, epoch, memoryBytes });
    this.pace.note(step, tokens, seconds);
  }
}
