/** The progress bar of a training: loss, learning rate, tokens per second, time left. */
import { Presets, SingleBar } from 'cli-progress';
import type { CompileProgress } from '../gpu/options.ts';
import type { DownloadProgress } from '../models/files/hub.ts';
import type { CallbackContext, StepReport, TrainerCallback } from '../train/callbacks.ts';
import type { Metrics } from '../train/metrics.ts';
import type { LogEntry } from '../train/state.ts';

/** In narrower terminals the bar is short and omits the learning rate. */
const WIDE = 112;

function formatFor(columns: number): { format: string; barsize: number } {
  const counts = '{bar} {value}/{total} | epoch {epoch} | {what}';
  return columns >= WIDE
    ? { format: `${counts} | lr {rate} | {speed} tokens/s | {left} left`, barsize: 24 }
    : { format: `${counts} | {speed} tok/s | {left} left`, barsize: 8 };
}

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-';
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (n: number): string => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Steps over which the rate is averaged; the first ones also compile kernels. */
const RATE_STEPS = 20;

/** Tokens and steps per second over the last steps. */
class Rate {
  private readonly marks: { seconds: number; tokens: number; step: number }[] = [];
  private tokens = 0;

  add(step: number, seconds: number, tokens: number): void {
    this.tokens += tokens;
    this.marks.push({ seconds, step, tokens: this.tokens });
    if (this.marks.length > RATE_STEPS + 1) this.marks.shift();
  }

  /** Null until two steps are done. */
  get now(): { tokens: number; steps: number } | null {
    const [first, last] = [this.marks[0], this.marks.at(-1)];
    if (first === undefined || last === undefined || last.seconds <= first.seconds) return null;
    const seconds = last.seconds - first.seconds;
    return { tokens: (last.tokens - first.tokens) / seconds, steps: (last.step - first.step) / seconds };
  }
}

/** Seconds to wait before explaining why nothing happens. */
const PATIENCE = 3;
const COMPILING = 'compiling kernels';

/** A bar that makes way for printed lines; the command handles signals itself. */
const place = {
  stream: process.stderr,
  hideCursor: true,
  fps: 5,
  clearOnComplete: true,
  gracefulExit: false,
};

/** The bar of the training under way. */
let training: ProgressCallback | null = null;
let compiling: SingleBar | null = null;

/** Shows how many kernels are compiled, in the training's bar or in one of its own; nothing off a terminal. */
export function showCompiling({ compiled, total }: CompileProgress): void {
  if (process.stderr.isTTY !== true) return;
  if (training !== null) training.compiling(`${COMPILING} ${compiled}/${total}`);
  else if (compiling !== null) compiling.update(compiled);
  else {
    const format = `${COMPILING} {value}/{total} {bar}`;
    compiling = new SingleBar({ ...place, format, barsize: 24 }, Presets.shades_classic);
    compiling.start(total, compiled);
  }
  if (compiled < total) return;
  compiling?.stop();
  compiling = null;
}

/** Metrics that a line has room for. */
const usual = /^eval_(loss|accuracy|f1|f1_macro|exact_match|perplexity|pearson|mse)$/;

export class ProgressCallback implements TrainerCallback {
  private readonly interactive = process.stderr.isTTY === true;
  private readonly bar = new SingleBar(
    { ...formatFor(process.stderr.columns ?? WIDE), ...place },
    Presets.shades_classic,
  );
  private loss: string | null = null;
  private rate = new Rate();
  private shown: { total: number; value: number; payload: Record<string, string> } | null = null;
  private waiting: NodeJS.Timeout | undefined;

  onTrainBegin({ state }: CallbackContext): void {
    const payload = { epoch: state.epoch.toFixed(2), what: COMPILING, rate: '-', speed: '-', left: '-' };
    this.show(state.maxSteps, state.globalStep, payload);
    if (this.interactive) return;
    this.waiting = setTimeout(() => {
      console.error(`${COMPILING} for this adapter: the first step waits for them`);
    }, 1000 * PATIENCE).unref();
  }

  /** Shows a text in the bar in place of the loss, until the next step. */
  compiling(what: string): void {
    if (this.shown !== null) this.show(this.shown.total, this.shown.value, { ...this.shown.payload, what });
  }

  onStepEnd({ state }: CallbackContext, { learningRate, tokens, seconds }: StepReport): void {
    this.rate.add(state.globalStep, seconds, tokens);
    const { now } = this.rate;
    const payload = {
      epoch: state.epoch.toFixed(2),
      what: this.loss === null ? (this.interactive ? COMPILING : 'loss -') : `loss ${this.loss}`,
      rate: learningRate.toExponential(2),
      speed: now === null ? '-' : Math.round(now.tokens).toLocaleString('en-US'),
      left: now === null ? '-' : duration((state.maxSteps - state.globalStep) / now.steps),
    };
    if (this.interactive) this.show(state.maxSteps, state.globalStep, payload);
    // In a log file, prints a line only now and then.
    else if (state.globalStep % Math.max(1, Math.ceil(state.maxSteps / 20)) === 0) {
      console.error(
        `step ${state.globalStep}/${state.maxSteps} | epoch ${payload.epoch} | ${payload.what} | lr ${payload.rate} | ${payload.speed} tokens/s | ${payload.left} left`,
      );
    }
  }

  onLog(_context: CallbackContext, entry: LogEntry): void {
    clearTimeout(this.waiting);
    if (typeof entry.loss === 'number') this.loss = entry.loss.toFixed(4);
  }

  onEvaluate({ state }: CallbackContext, metrics: Metrics): void {
    const shown = Object.entries(metrics)
      .filter(([name, value]) => typeof value === 'number' && usual.test(name))
      .map(([name, value]) => `${name.replace('eval_', '')} ${value!.toFixed(4)}`);
    this.print(`evaluation after epoch ${state.epoch.toFixed(2)}: ${shown.join(', ')}`);
  }

  onTrainEnd(): void {
    this.stop();
  }

  /** Prints a line above the bar. */
  print(line: string): void {
    if (this.shown !== null) this.bar.stop();
    console.error(line);
    if (this.shown !== null) this.bar.start(this.shown.total, this.shown.value, this.shown.payload);
  }

  /** Removes the bar and restores the cursor, also after an error. */
  stop(): void {
    clearTimeout(this.waiting);
    if (this.shown !== null) this.bar.stop();
    this.shown = null;
    if (training === this) training = null;
  }

  private show(total: number, value: number, payload: Record<string, string>): void {
    if (!this.interactive) return;
    if (this.shown === null) this.bar.start(total, value, payload);
    else this.bar.update(value, payload);
    this.shown = { total, value, payload };
    training = this;
  }
}

/** A progress bar per downloaded file; none if HF_HUB_DISABLE_PROGRESS_BARS is set. */
export function downloadProgress(): (progress: DownloadProgress) => void {
  let current = '';
  let bar: SingleBar | null = null;
  if (/^(1|on|yes|true)$/i.test(process.env.HF_HUB_DISABLE_PROGRESS_BARS ?? '')) return () => {};
  return ({ file, loadedBytes, totalBytes }) => {
    if (file !== current) {
      bar?.stop();
      current = file;
      bar = new SingleBar(
        {
          format: `${file} {bar} {percentage}% of {size} MB`,
          stream: process.stderr,
          hideCursor: true,
          barsize: 24,
        },
        Presets.shades_classic,
      );
      bar.start(totalBytes, 0, { size: (totalBytes / 1e6).toFixed(1) });
    }
    bar?.update(loadedBytes);
    if (loadedBytes >= totalBytes) bar?.stop();
  };
}
