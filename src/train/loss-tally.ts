/** The losses of a training: their sum since the last log, which stays on the GPU, and their mean. */
import { NonFiniteError } from '../errors.ts';
import type { Progress } from './progress.ts';
import type { Ranks } from './ranks.ts';
import { type LogEntry, round } from './state.ts';
import type { TrainingStep } from './step.ts';

/** At a loss scale this small, gradients overflow even unscaled. */
const LEAST_SCALE = 1e-4;

export class LossTally {
  /** Steps that `read` gave the losses of. */
  readSteps = 0;
  private readLoss = 0;
  /** Steps since `read`. */
  private steps = 0;
  /** Of the last step. */
  private learningRate: number | null = null;

  constructor(
    private readonly step: TrainingStep,
    private readonly ranks: Ranks,
  ) {}

  /** Goes on from the place of a checkpoint. */
  resume({ lossSum, lossSteps, learningRate }: Progress): void {
    // Its sum over all processes.
    this.step.lossSum.write(Float32Array.of(this.ranks.isFirst ? lossSum : 0));
    this.steps = lossSteps;
    this.learningRate = learningRate;
  }

  /** Counts a step, whose loss is in the sum. */
  count(learningRate: number): void {
    this.learningRate = learningRate;
    this.steps += 1;
  }

  /** Of all losses read. */
  get mean(): number {
    return this.readLoss / Math.max(this.readSteps, 1);
  }

  /**
   * Reads the losses since the last time. Returns their mean and the last step's numbers, as the log has them;
   * null if there were no steps. Throws `NonFiniteError` if the losses, or the last gradient, are not finite.
   */
  async read(globalStep: number): Promise<LogEntry | null> {
    if (this.steps === 0) return null;
    const { lossSum, norm: lastNorm, scaler } = this.step;
    const [own, [norm], scaling] = await Promise.all([
      lossSum.float32Data(),
      lastNorm.float32Data(),
      scaler?.state(),
    ]);
    const [sum] = await this.ranks.sum([own[0]!]);
    const loss = sum! / this.steps;
    if (scaling !== undefined && scaling.scale < LEAST_SCALE) {
      throw new NonFiniteError(
        `fp16: gradients stay infinite at a loss scale of ${scaling.scale}, at step ${globalStep}`,
        { remedy: 'lower the learning rate, or train without fp16' },
      );
    }
    // With a scaler, a norm that is not finite belongs to a skipped step.
    if (!Number.isFinite(loss) || (scaling === undefined && !Number.isFinite(norm))) {
      const what = Number.isFinite(loss) ? `gradient norm is ${norm}` : `loss is ${loss}`;
      throw new NonFiniteError(`the ${what} at step ${globalStep}`, {
        remedy: 'lower the learning rate, add warm-up or look for broken labels',
      });
    }
    this.readLoss += sum!;
    this.readSteps += this.steps;
    this.steps = 0;
    lossSum.device.fill(lossSum, 0);
    return {
      loss: round(loss, 6),
      grad_norm: Number.isFinite(norm) ? norm! : null,
      learning_rate: this.learningRate,
      ...(scaling && { loss_scale: scaling.scale, skipped_steps: scaling.skippedSteps }),
    };
  }

  /** What a checkpoint keeps of it. Throws `NonFiniteError` as `read` does. */
  async progress(
    globalStep: number,
  ): Promise<Pick<Progress, 'lossSum' | 'lossSteps' | 'learningRate' | 'scaler'>> {
    const { lossSum: ownSum, norm: lastNorm, scaler } = this.step;
    const [lossSum] = await this.ranks.sum([...(await ownSum.float32Data())]);
    const [norm] = await lastNorm.float32Data();
    const broken = !Number.isFinite(lossSum) || (scaler === null && !Number.isFinite(norm));
    if (broken) await this.read(globalStep);
    const { steps: lossSteps, learningRate } = this;
    return {
      lossSum: lossSum!,
      lossSteps,
      learningRate,
      ...(scaler && { scaler: await scaler.state() }),
    };
  }
}
