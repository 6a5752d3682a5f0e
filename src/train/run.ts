/** One training: what lives only as long as a call of `Trainer.train`. */
import { platform } from '#platform';
import type { Batch } from '../data/collate.ts';
import { DataLoader } from '../data/loader.ts';
import { ConfigError, NonFiniteError } from '../errors.ts';
import { addInPlace } from '../kernels/pointwise.ts';
import { AdamW } from '../optim/adamw.ts';
import { clipFactor } from '../optim/clip.ts';
import { GradScaler } from '../optim/grad-scaler.ts';
import { getScheduler, type LambdaLR } from '../optim/schedule.ts';
import { autocast } from '../tensor/autocast.ts';
import { scale } from '../tensor/ops/elementwise.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { TrainingArguments } from './arguments.ts';
import {
  bestMetricOf,
  type CallbackContext,
  isBetter,
  type TrainerCallback,
  type TrainerControl,
} from './callbacks.ts';
import {
  checkpointPath,
  loadCheckpoint,
  loadWeights,
  type Progress,
  rotateCheckpoints,
  saveCheckpoint,
  saveFinal,
} from './checkpoint.ts';
import { applyFreezing } from './freeze.ts';
import { countTokens, toTensors } from './inputs.ts';
import type { TrainableModel } from './predict.ts';
import { freshState, type LogEntry } from './state.ts';
import type { Trainer, TrainerOptions, TrainOutput } from './trainer.ts';

/** Steps whose results the GPU may still owe. */
const STEPS_IN_FLIGHT = 2;

/** A scale of the loss this small means that gradients are infinite without any. */
const LEAST_SCALE = 1e-4;

/** Names of weights without decay: biases and LayerNorm's, as transformers decides. */
export function isDecayed(name: string): boolean {
  return !/(^|\.)bias$/.test(name) && !/(^|\.)(LayerNorm|layer_norm)\./.test(name);
}

/** One call of `train`: what lives only as long as it. */
export class TrainingRun {
  private readonly trainer: Trainer;
  private readonly options: TrainerOptions;
  private readonly callbacks: readonly TrainerCallback[];
  private readonly control: TrainerControl = { shouldTrainingStop: false };
  private readonly loader: DataLoader;
  private readonly optimizer: AdamW;
  private readonly scheduler: LambdaLR;
  private readonly stepsPerEpoch: number;
  private readonly parameters: readonly Tensor[];
  private readonly fixed: ReadonlySet<Tensor>;
  /** On the GPU: the sum of losses since the last log, and the last step's [norm, factor]. */
  private readonly lossSum: Tensor;
  private readonly lastNorm: Tensor;
  /** With `fp16`. */
  private readonly scaler: GradScaler | null;
  private lossSteps = 0;
  private totalLoss = 0;
  private totalSteps = 0;
  private started = performance.now();
  private readonly inFlight: Promise<void>[] = [];
  private lastSaved: { step: number; path: string } | null = null;
  private lastEvaluated = -1;

  constructor(trainer: Trainer, options: TrainerOptions) {
    const { args, model } = trainer;
    if (options.trainDataset === undefined)
      throw new ConfigError('train: there is no dataset', { remedy: 'pass trainDataset' });
    if (args.evalStrategy !== 'no' && options.evalDataset === undefined) {
      throw new ConfigError(`evalStrategy is '${args.evalStrategy}', but there is nothing to evaluate on`, {
        remedy: 'pass evalDataset',
      });
    }
    if (args.fp16) model.device.requireFloat16();
    this.trainer = trainer;
    this.options = options;
    this.callbacks = options.callbacks ?? [];
    this.loader = new DataLoader(options.trainDataset, {
      batchSize: args.perDeviceTrainBatchSize,
      collate: trainer.collate(),
      shuffle: true,
      seed: args.seed,
      groupByLength: args.groupByLength,
      dropLast: args.dataloaderDropLast,
    });
    this.stepsPerEpoch = Math.ceil(this.loader.length / args.gradientAccumulationSteps);
    trainer.state = freshState(args);
    const { state } = trainer;
    state.maxSteps = args.maxSteps > 0 ? args.maxSteps : Math.ceil(this.stepsPerEpoch * args.numTrainEpochs);
    state.numTrainEpochs = Math.ceil(state.maxSteps / this.stepsPerEpoch);
    this.parameters = model.parameters();
    this.fixed = new Set(this.parameters.filter((tensor) => !tensor.requiresGrad));
    this.optimizer = makeOptimizer(model, args);
    const { warmupSteps } = args;
    const numWarmupSteps = warmupSteps < 1 ? Math.ceil(warmupSteps * state.maxSteps) : warmupSteps;
    this.scheduler = getScheduler(args.lrSchedulerType, this.optimizer, {
      numWarmupSteps,
      numTrainingSteps: state.maxSteps,
    });
    const { device } = model;
    this.lossSum = device.raw([1]);
    this.lastNorm = device.raw([2]);
    this.scaler = args.fp16 ? new GradScaler(device) : null;
    device.fill(this.lossSum, 0);
    device.fill(this.lastNorm, 0);
    device.manualSeed(args.seed);
  }

  private get context(): CallbackContext {
    return { args: this.trainer.args, state: this.trainer.state, control: this.control };
  }

  async go(resumeFrom: string | undefined): Promise<TrainOutput> {
    const { trainer } = this;
    try {
      // Better now than at the first save.
      await platform.checkWritable(trainer.args.outputDir);
      const start = resumeFrom === undefined ? { epoch: 0, batch: 0 } : await this.resume(resumeFrom);
      this.each((callback) => callback.onTrainBegin?.(this.context));
      this.started = performance.now();
      const interruptedAt = await this.epochs(start);
      if (interruptedAt === null) await this.finish();
      this.each((callback) => callback.onTrainEnd?.(this.context));
      return {
        globalStep: trainer.state.globalStep,
        trainingLoss: this.totalLoss / Math.max(this.totalSteps, 1),
        interruptedAt,
      };
    } finally {
      this.release();
    }
  }

  private each(call: (callback: TrainerCallback) => void): void {
    for (const callback of this.callbacks) call(callback);
  }

  private async resume(path: string): Promise<{ epoch: number; batch: number }> {
    const { model } = this.trainer;
    const { state, progress } = await loadCheckpoint(path, model, this.optimizer);
    const { maxSteps, numTrainEpochs } = this.trainer.state;
    const { outputDir } = this.trainer.args;
    // The folder may have moved since, or be written another way.
    const bestModelCheckpoint =
      state.bestModelCheckpoint === null || state.bestGlobalStep === null
        ? null
        : checkpointPath(outputDir, state.bestGlobalStep);
    this.trainer.state = { ...state, maxSteps, numTrainEpochs, bestModelCheckpoint };
    this.scheduler.moveTo(progress.schedulerStep);
    model.device.randomState = progress.random;
    this.lossSum.write(Float32Array.of(progress.lossSum));
    this.lossSteps = progress.lossSteps;
    if (progress.scaler !== undefined) this.scaler?.loadState(progress.scaler);
    this.lastEvaluated = state.logHistory.some(
      (entry) => entry.step === state.globalStep && 'eval_loss' in entry,
    )
      ? state.globalStep
      : -1;
    return progress;
  }

  /** Runs epochs until the steps are done; returns the checkpoint's path where the training was aborted. */
  private async epochs(start: { epoch: number; batch: number }): Promise<string | null> {
    const { args, model } = this.trainer;
    for (let epoch = start.epoch; !this.done(); epoch += 1) {
      applyFreezing(model, epoch, args, this.fixed);
      model.train();
      this.each((callback) => callback.onEpochBegin?.(this.context));
      const interrupted = await this.epoch(epoch, epoch === start.epoch ? start.batch : 0);
      if (interrupted !== null) return interrupted;
    }
    return null;
  }

  private done(): boolean {
    return this.control.shouldTrainingStop || this.trainer.state.globalStep >= this.trainer.state.maxSteps;
  }

  private async epoch(epoch: number, first: number): Promise<string | null> {
    const { args } = this.trainer;
    const { gradientAccumulationSteps: accumulation } = args;
    let waiting: Batch[] = [];
    let next = first;
    for (const batch of this.loader.batches(epoch, first)) {
      waiting.push(batch);
      next += 1;
      const last = next === this.loader.length;
      if (waiting.length < accumulation && !last) continue;
      await this.step(waiting, epoch + next / this.loader.length);
      waiting = [];
      const place = last ? { epoch: epoch + 1, batch: 0 } : { epoch, batch: next };
      await this.afterStep(place, last);
      if (this.options.signal?.aborted === true && !this.done()) return (await this.save(place)).path;
      if (this.done()) break;
    }
    return null;
  }

  /** One optimizer step over some batches. */
  private async step(batches: readonly Batch[], epoch: number): Promise<void> {
    const { trainer, optimizer, scheduler } = this;
    const { model, args, state } = trainer;
    const { device } = model;
    let tokens = 0;
    for (const batch of batches) {
      const scope = device.scope();
      try {
        const forward = () => model.forward(toTensors(device, batch));
        const { loss } = args.fp16 ? autocast(forward) : forward();
        if (loss === undefined)
          throw new ConfigError('the model gives no loss for the training data', {
            remedy: 'give the examples labels',
          });
        // The last step of an epoch may have fewer batches: its mean is over those.
        const part = batches.length === 1 ? loss : scale(loss, 1 / batches.length);
        part.backward(this.scaler?.scale);
        addInPlace(device.gpu, { x: part.slot, y: this.lossSum.slot, count: 1 });
        tokens += countTokens(batch);
      } finally {
        scope.close();
      }
    }
    const gradScale = this.clip();
    const [learningRate] = scheduler.getLastLr();
    optimizer.step({ gradScale, skipNonFinite: this.scaler !== null });
    this.scaler?.update(gradScale);
    scheduler.step();
    optimizer.zeroGrad();
    device.submit();
    this.lossSteps += 1;
    state.globalStep += 1;
    state.epoch = epoch;
    state.numInputTokensSeen += tokens;
    await this.pace();
    const seconds = (performance.now() - this.started) / 1000;
    this.each((callback) =>
      callback.onStepEnd?.(this.context, { learningRate: learningRate!, tokens, seconds }),
    );
  }

  /** [norm, factor] of the gradients, which also undoes the loss's scale; null where there is nothing to do. */
  private clip(): Tensor | null {
    const { args } = this.trainer;
    const { parameters, scaler, lastNorm: out } = this;
    if (args.maxGradNorm === 0 && scaler === null) return null;
    const maxNorm = args.maxGradNorm === 0 ? Number.POSITIVE_INFINITY : args.maxGradNorm;
    return clipFactor(parameters, maxNorm, { out, lossScale: scaler ?? 1 });
  }

  /** Lets the host run a little ahead of the GPU, not more. */
  private async pace(): Promise<void> {
    const { device } = this.trainer.model;
    const done = device.gpu.submittedWorkDone();
    // What goes wrong before this is awaited is thrown by the check below, or by the next operation.
    done.catch(() => {});
    this.inFlight.push(done);
    if (this.inFlight.length > STEPS_IN_FLIGHT) await this.inFlight.shift();
    device.gpu.check();
  }

  private async afterStep(place: { epoch: number; batch: number }, epochEnd: boolean): Promise<void> {
    const { args, state } = this.trainer;
    const { globalStep } = state;
    const ending = this.done();
    // The end counts as a step that is due, so that the last part of an epoch is evaluated and saved too.
    const due = (strategy: string, every: number): boolean =>
      strategy !== 'no' && (ending || (strategy === 'steps' ? globalStep % every === 0 : epochEnd));
    if (globalStep % args.loggingSteps === 0 || ending) await this.log();
    if (due(args.evalStrategy, args.evalSteps ?? args.loggingSteps)) await this.evaluate(place);
    if (due(args.saveStrategy, args.saveSteps)) await this.save(place);
  }

  /** Brings the losses since the last log to the CPU. Throws `NonFiniteError` where they, or the gradient, are not finite. */
  private async log(): Promise<void> {
    const { state, model } = this.trainer;
    if (this.lossSteps === 0) return;
    const [[sum], [norm], scaling] = await Promise.all([
      this.lossSum.float32Data(),
      this.lastNorm.float32Data(),
      this.scaler?.state(),
    ]);
    const loss = sum! / this.lossSteps;
    if (scaling !== undefined && scaling.scale < LEAST_SCALE) {
      throw new NonFiniteError(
        `fp16: gradients stay infinite at a loss scale of ${scaling.scale}, at step ${state.globalStep}`,
        { remedy: 'lower the learning rate, or train without fp16' },
      );
    }
    // With a scaler, a norm that is not finite is of a step that was left out.
    if (!Number.isFinite(loss) || (scaling === undefined && !Number.isFinite(norm))) {
      const what = Number.isFinite(loss) ? `gradient norm is ${norm}` : `loss is ${loss}`;
      throw new NonFiniteError(`the ${what} at step ${state.globalStep}`, {
        remedy: 'lower the learning rate, add warm-up or look for broken labels',
      });
    }
    this.totalLoss += sum!;
    this.totalSteps += this.lossSteps;
    this.lossSteps = 0;
    model.device.fill(this.lossSum, 0);
    this.record({
      loss: round(loss, 6),
      grad_norm: Number.isFinite(norm) ? norm! : null,
      learning_rate: this.scheduler.getLastLr()[0]!,
      ...(scaling && { loss_scale: scaling.scale, skipped_steps: scaling.skippedSteps }),
    });
  }

  private record(values: LogEntry): void {
    const { state } = this.trainer;
    const entry = { ...values, epoch: round(state.epoch, 4), step: state.globalStep };
    state.logHistory.push(entry);
    this.each((callback) => callback.onLog?.(this.context, entry));
  }

  private async evaluate(place: { epoch: number; batch: number }): Promise<void> {
    const { trainer } = this;
    const { args, state } = trainer;
    if (this.lastEvaluated === state.globalStep) return;
    this.lastEvaluated = state.globalStep;
    const { metrics } = await trainer.evaluate();
    this.record(metrics);
    const value = bestMetricOf(args, metrics);
    if (value !== null && isBetter(args, value, state.bestMetric)) {
      state.bestMetric = value;
      state.bestGlobalStep = state.globalStep;
      if (args.loadBestModelAtEnd) await this.save(place, true);
    }
    this.each((callback) => callback.onEvaluate?.(this.context, metrics));
  }

  private async save(place: { epoch: number; batch: number }, best = false): Promise<{ path: string }> {
    const { trainer, optimizer, scheduler } = this;
    const { args, state, model } = trainer;
    if (this.lastSaved?.step === state.globalStep) return this.lastSaved;
    const [lossSum] = await this.lossSum.float32Data();
    const [norm] = await this.lastNorm.float32Data();
    const broken = !Number.isFinite(lossSum) || (this.scaler === null && !Number.isFinite(norm));
    if (broken) await this.log();
    const progress: Omit<Progress, 'optimizerSteps'> = {
      ...place,
      schedulerStep: scheduler.lastStep,
      random: model.device.randomState,
      lossSum: lossSum!,
      lossSteps: this.lossSteps,
      ...(this.scaler && { scaler: await this.scaler.state() }),
    };
    if (best) state.bestModelCheckpoint = checkpointPath(args.outputDir, state.globalStep);
    const path = await saveCheckpoint({
      model,
      tokenizer: this.options.processingClass,
      optimizer,
      args,
      state,
      progress,
    });
    this.lastSaved = { step: state.globalStep, path };
    await rotateCheckpoints(args, state);
    this.each((callback) => callback.onSave?.(this.context, path));
    return this.lastSaved;
  }

  private async finish(): Promise<void> {
    const { trainer } = this;
    const { args, state, model } = trainer;
    await this.log();
    await model.device.sync();
    const best = state.bestModelCheckpoint;
    if (args.loadBestModelAtEnd && best !== null && state.bestGlobalStep !== state.globalStep) {
      if (await platform.isFolder(best)) await loadWeights(best, model);
      else console.warn(`the best checkpoint '${best}' is gone: the last weights are saved instead`);
    }
    model.eval();
    const seconds = (performance.now() - this.started) / 1000;
    this.record({
      train_runtime: round(seconds, 4),
      train_loss: this.totalLoss / Math.max(this.totalSteps, 1),
      train_steps_per_second: round(this.totalSteps / seconds, 3),
    });
    await saveFinal({ model, tokenizer: this.options.processingClass, args, state });
  }

  private release(): void {
    for (const tensor of this.parameters) tensor.requiresGrad = !this.fixed.has(tensor);
    this.optimizer.zeroGrad();
    this.optimizer.dispose();
    this.lossSum.dispose();
    this.lastNorm.dispose();
    this.scaler?.dispose();
  }
}

function makeOptimizer(model: TrainableModel, args: TrainingArguments): AdamW {
  const named = model.namedParameters();
  const group = (decayed: boolean) =>
    named.filter(([name]) => isDecayed(name) === decayed).map(([, tensor]) => tensor);
  return new AdamW(
    [
      { params: group(true), weightDecay: args.weightDecay },
      { params: group(false), weightDecay: 0 },
    ],
    { lr: args.learningRate, betas: [args.adamBeta1, args.adamBeta2], eps: args.adamEpsilon },
  );
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
