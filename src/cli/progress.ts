/** The training's progress bar: loss, learning rate, tokens a second, time left. */
import { Presets, SingleBar } from 'cli-progress';
import type { CallbackContext, StepReport, TrainerCallback } from '../train/callbacks.ts';
import type { Metrics } from '../train/metrics.ts';
import type { LogEntry } from '../train/state.ts';

const FORMAT =
  '{bar} {value}/{total} | epoch {epoch} | loss {loss} | lr {rate} | {speed} tokens/s | {left} left';

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-';
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (n: number): string => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export class ProgressCallback implements TrainerCallback {
  private readonly bar: SingleBar;
  private readonly interactive = process.stderr.isTTY === true;
  private loss = '-';
  private tokens = 0;
  private firstStep = 0;

  constructor() {
    this.bar = new SingleBar(
      { format: FORMAT, stream: process.stderr, hideCursor: true, barsize: 24, fps: 5 },
      Presets.shades_classic,
    );
  }

  onTrainBegin({ state }: CallbackContext): void {
    this.firstStep = state.globalStep;
    if (this.interactive)
      this.bar.start(state.maxSteps, state.globalStep, {
        epoch: 0,
        loss: '-',
        rate: '-',
        speed: '-',
        left: '-',
      });
  }

  onStepEnd({ state }: CallbackContext, { learningRate, tokens, seconds }: StepReport): void {
    this.tokens += tokens;
    const left = (seconds / (state.globalStep - this.firstStep)) * (state.maxSteps - state.globalStep);
    const values = {
      epoch: state.epoch.toFixed(2),
      loss: this.loss,
      rate: learningRate.toExponential(2),
      speed: Math.round(this.tokens / seconds),
      left: duration(left),
    };
    if (this.interactive) this.bar.update(state.globalStep, values);
    // A log file gets a line now and then.
    else if (state.globalStep % Math.max(1, Math.ceil(state.maxSteps / 20)) === 0) {
      console.error(
        `step ${state.globalStep}/${state.maxSteps} | epoch ${values.epoch} | loss ${values.loss} | lr ${values.rate} | ${values.speed} tokens/s | ${values.left} left`,
      );
    }
  }

  onLog(_context: CallbackContext, entry: LogEntry): void {
    if (typeof entry.loss === 'number') this.loss = entry.loss.toFixed(4);
  }

  onEvaluate({ state }: CallbackContext, metrics: Metrics): void {
    const shown = Object.entries(metrics)
      .filter(([name, value]) => typeof value === 'number' && /loss|accuracy|f1$|pearson|mse/.test(name))
      .map(([name, value]) => `${name.replace('eval_', '')} ${value!.toFixed(4)}`);
    const line = `evaluation after epoch ${state.epoch.toFixed(2)}: ${shown.join(', ')}`;
    if (this.interactive) process.stderr.write('\r\x1b[K');
    console.error(line);
  }

  onTrainEnd(): void {
    this.stop();
  }

  /** Leaves the bar where it is and gives the cursor back; also after an error. */
  stop(): void {
    if (this.interactive) this.bar.stop();
  }
}

/** A bar for downloads, one line for each file; none where the hub's variable says so. */
export function downloadProgress(): (progress: {
  file: string;
  loadedBytes: number;
  totalBytes: number;
}) => void {
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
