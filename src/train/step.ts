/** One optimizer step, in phases. */
import type { Batch } from '../data/collate.ts';
import { userError } from '../data/example-checks.ts';
import { ConfigError } from '../errors.ts';
import { addInPlace } from '../kernels/pointwise.ts';
import { clipFactor, scaleByFactor } from '../optim/clip.ts';
import { GradScaler } from '../optim/grad-scaler.ts';
import type { Optimizer } from '../optim/optimizer.ts';
import { getScheduler, type LambdaLR } from '../optim/schedule.ts';
import { scale } from '../tensor/ops/elementwise.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { TrainingArguments } from './arguments.ts';
import type { GradientExchange } from './exchange.ts';
import { lossWeight } from './inputs.ts';
import { makeOptimizer } from './optimizers.ts';
import { type ComputeLoss, forwardBatch, type TrainableModel } from './predict.ts';
import { Ranks, type StepTotals } from './ranks.ts';

/** Changes the values of the parameters' gradients in place. */
export type ReduceGradients = (parameters: readonly Tensor[]) => void | Promise<void>;

/** Makes an optimizer of a model's parameters. A method, so that it may name the model's own class. */
interface Making {
  optimizer(model: TrainableModel, args: TrainingArguments): Optimizer;
}
export type MakeOptimizer = Making['optimizer'];

export interface StepOptions {
  model: TrainableModel;
  args: TrainingArguments;
  /** Steps of the whole training, for the schedule. */
  maxSteps: number;
  /** Runs between backward and clipping; the phase is left out without it. */
  reduce?: ReduceGradients | undefined;
  computeLoss?: ComputeLoss | undefined;
  /** What the loss of a batch is a mean over, if not `lossWeight`. */
  weightOf?: ((batch: Batch) => number) | undefined;
  /** Default: AdamW. */
  optimizer?: MakeOptimizer | undefined;
  /** The processes that take the steps together. Default: this one alone. */
  ranks?: Ranks;
}

/**
 * Takes optimizer steps. `run` calls the phases in order: `forward` and `backward` for each batch, then
 * `reduce`, `clip` and `update` once.
 */
export class TrainingStep {
  readonly optimizer: Optimizer;
  readonly scheduler: LambdaLR;
  /** With `fp16`. */
  readonly scaler: GradScaler | null;
  /** On the GPU, [1]: the sum of the losses of steps since it was last set to 0. */
  readonly lossSum: Tensor;
  /** On the GPU, [2]: norm of the last step's gradients, and the factor that clips them. */
  readonly norm: Tensor;
  /** What the last step's batches held, in all processes. */
  totals: StepTotals = { tokens: 0, computed: 0 };
  private readonly parameters: readonly Tensor[];
  private readonly ranks: Ranks;
  /** Made by the first step. */
  private exchange: GradientExchange | null = null;

  constructor(private readonly options: StepOptions) {
    const { model, args, maxSteps } = options;
    const { device } = model;
    const { lrSchedulerType, lrSchedulerKwargs } = args;
    const warmup = args.warmupSteps || args.warmupRatio;
    this.parameters = model.parameters();
    this.ranks = options.ranks ?? new Ranks(null);
    this.optimizer = (options.optimizer ?? makeOptimizer)(model, args);
    if (args.fp16 && this.optimizer.readsGradScale !== true)
      throw new ConfigError('fp16: the optimizer does not read gradScale', {
        remedy: 'train in float32, or let its step multiply gradients by the factor and set readsGradScale',
      });
    this.scheduler = getScheduler(lrSchedulerType, this.optimizer, {
      numWarmupSteps: warmup < 1 ? Math.ceil(warmup * maxSteps) : warmup,
      numTrainingSteps: maxSteps,
      ...(lrSchedulerKwargs !== null && { schedulerSpecificKwargs: lrSchedulerKwargs }),
    });
    this.lossSum = device.raw([1]);
    this.norm = device.raw([2]);
    this.scaler = args.fp16 ? new GradScaler(device) : null;
    device.fill(this.lossSum, 0);
    device.fill(this.norm, 0);
  }

  /**
   * Takes one step over some batches, with the loss and gradient of one batch of all their examples, those of
   * other processes included: each batch is weighted by what its loss is a mean over (`lossWeight`). Returns the
   * learning rate used.
   */
  async run(batches: readonly Batch[]): Promise<number> {
    const { model, args, reduce, weightOf = (batch: Batch) => lossWeight(model, batch) } = this.options;
    const { group } = this.ranks;
    if (group !== null && this.exchange === null) {
      const { GradientExchange } = await import('./exchange.ts');
      this.exchange = new GradientExchange(group, this.parameters, args.mpiFp16);
    }
    const { shares, totals } = await this.ranks.shares(batches, weightOf);
    this.totals = totals;
    for (const [at, batch] of batches.entries()) {
      const scope = model.device.scope();
      try {
        const loss = this.forward(batch);
        const backward = (): void => this.backward(loss, shares[at]!);
        if (this.exchange !== null && at === batches.length - 1) this.exchange.watch(backward);
        else backward();
      } finally {
        scope.close();
      }
    }
    await this.exchange?.reduce();
    if (reduce !== undefined) await this.reduce();
    return this.update(this.clip());
  }

  /**
   * Computes the loss of a batch, a scalar in the open scope. Throws `ConfigError` if the model gives none.
   */
  forward(batch: Batch): Tensor {
    const { model, args, computeLoss } = this.options;
    const { loss } = forwardBatch(model, batch, args.fp16, computeLoss);
    if (loss === undefined)
      throw new ConfigError('the model gives no loss for the training data', {
        remedy: 'give the examples labels',
      });
    return loss;
  }

  /** Adds a batch's gradients to the parameters' and its loss to `lossSum`, both times `share`. */
  backward(loss: Tensor, share: number): void {
    const part = share === 1 ? loss : scale(loss, share);
    part.backward(this.scaler?.scale);
    addInPlace(loss.device.gpu, { x: part.slot, y: this.lossSum.slot, count: 1 });
  }

  /** Calls the hook, in a scope of its own. Throws `UserCodeError` if that throws. */
  async reduce(): Promise<void> {
    const scope = this.norm.device.scope();
    try {
      await this.options.reduce?.(this.parameters);
    } catch (cause) {
      throw userError('reduceGradients', cause);
    } finally {
      scope.close();
    }
  }

  /**
   * Measures the norm of the gradients. Returns [norm, factor], whose factor also undoes the loss scale, or
   * null if the optimizer uses the gradients as they are.
   */
  clip(): Tensor | null {
    const { scaler, norm: out } = this;
    const { maxGradNorm } = this.options.args;
    const maxNorm = maxGradNorm === 0 ? Number.POSITIVE_INFINITY : maxGradNorm;
    const factor = clipFactor(this.parameters, maxNorm, { out, lossScale: scaler ?? 1 });
    return maxGradNorm === 0 && scaler === null ? null : factor;
  }

  /**
   * Updates the weights, the schedule and the loss scale, and drops the gradients. Returns the learning rate
   * used.
   */
  async update(gradScale: Tensor | null): Promise<number> {
    const { optimizer, scheduler, scaler } = this;
    const { device } = this.options.model;
    const learningRate = scheduler.getLastLr()[0]!;
    const scope = device.scope();
    const reads = optimizer.readsGradScale === true;
    if (gradScale !== null && !reads) scaleByFactor(this.parameters, gradScale);
    try {
      await optimizer.step({ gradScale: reads ? gradScale : null, skipNonFinite: scaler !== null });
    } catch (cause) {
      throw userError('the optimizer', cause);
    } finally {
      scope.close();
    }
    scaler?.update(gradScale);
    scheduler.step();
    this.dropGradients();
    device.submit();
    return learningRate;
  }

  private dropGradients(): void {
    for (const parameter of this.parameters) parameter.dropGradient();
  }

  dispose(): void {
    this.dropGradients();
    this.exchange?.dispose();
    this.optimizer.dispose?.();
    this.lossSum.dispose();
    this.norm.dispose();
    this.scaler?.dispose();
  }
}
