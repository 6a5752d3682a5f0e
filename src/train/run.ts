/** One call of `Trainer.train`. */
import { platform } from '#platform';
import type { Batch } from '../data/collate.ts';
import { ConfigError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { BestModel } from './best.ts';
import {
  type CallbackContext,
  callAll,
  callbackStates,
  type TrainerCallback,
  type TrainerControl,
} from './callbacks.ts';
import {
  checkpointPath,
  findBest,
  loadCheckpoint,
  readStanding,
  rotateCheckpoints,
  saveCheckpoint,
  saveFinal,
  sweepOutput,
} from './checkpoint.ts';
import { compileAhead } from './compile.ts';
import { outOfMemory } from './estimate.ts';
import { applyFreezing } from './freeze.ts';
import { computingWeights } from './inputs.ts';
import { loaderOf } from './loader.ts';
import { LossTally } from './loss-tally.ts';
import type { Progress } from './progress.ts';
import { Ranks } from './ranks.ts';
import { compareArguments, compareData, dataMark } from './resume.ts';
import { sharedTraining } from './shared.ts';
import { freshState, type LogEntry, round } from './state.ts';
import { TrainingStep } from './step.ts';
import { trackersOf } from './trackers.ts';
import type { Trainer, TrainerOptions, TrainOutput } from './trainer.ts';

/** Steps that the host may be ahead of the GPU. */
const STEPS_IN_FLIGHT = 2;

/** The next epoch and batch. */
type Place = Pick<Progress, 'epoch' | 'batch'>;

/** State and resources of one training; `go` releases them. */
export class TrainingRun {
  private readonly callbacks: readonly TrainerCallback[];
  private readonly control: TrainerControl = { shouldTrainingStop: false };
  private readonly loader: ReturnType<typeof loaderOf>;
  private readonly step: TrainingStep;
  private readonly stepsPerEpoch: number;
  private readonly fixed: ReadonlySet<Tensor>;
  private readonly losses: LossTally;
  private started = performance.now();
  /** Floating-point operations per token. */
  private readonly flosPerToken: number;
  private readonly data: NonNullable<Progress['data']>;
  private readonly inFlight: Promise<void>[] = [];
  private lastSaved: { step: number; path: string } | null = null;
  private readonly best: BestModel;
  private readonly ranks: Ranks;
  /** Whether the signal asks any process to stop. */
  private aborted = false;

  constructor(
    private readonly trainer: Trainer,
    private readonly options: TrainerOptions,
  ) {
    const { args, model } = trainer;
    if (options.trainDataset === undefined)
      throw new ConfigError('train: there is no dataset', { remedy: 'pass trainDataset' });
    if (args.evalStrategy !== 'no' && options.evalDataset === undefined) {
      throw new ConfigError(`evalStrategy is '${args.evalStrategy}', but there is nothing to evaluate on`, {
        remedy: 'pass evalDataset',
      });
    }
    if (args.fp16) model.device.requireFloat16();
    if (args.gradientCheckpointing) model.gradientCheckpointingEnable();
    this.best = new BestModel(trainer);
    this.ranks = new Ranks(options.processGroup);
    const { ranks } = this;
    this.callbacks = [...(options.callbacks ?? []), ...(ranks.isFirst ? trackersOf(args.reportTo) : [])];
    this.loader = loaderOf(options.trainDataset, args, trainer.collate(), ranks);
    this.data = dataMark(options.trainDataset);
    this.flosPerToken = 6 * computingWeights(model);
    this.stepsPerEpoch = Math.ceil(this.loader.length / args.gradientAccumulationSteps);
    trainer.state = freshState(args, ranks.group);
    const { state } = trainer;
    state.maxSteps = args.maxSteps > 0 ? args.maxSteps : Math.ceil(this.stepsPerEpoch * args.numTrainEpochs);
    if (!Number.isSafeInteger(state.maxSteps))
      throw new ConfigError(`numTrainEpochs is ${args.numTrainEpochs}: that many steps cannot be counted`, {
        remedy: 'use fewer epochs',
      });
    state.numTrainEpochs = Math.ceil(state.maxSteps / this.stepsPerEpoch);
    this.fixed = new Set(model.parameters().filter((tensor) => !tensor.requiresGrad));
    this.step = new TrainingStep({
      model,
      args,
      maxSteps: state.maxSteps,
      reduce: options.reduceGradients,
      ...trainer.lossHooks(),
      optimizer: options.optimizer,
      ranks,
    });
    this.losses = new LossTally(this.step, ranks);
    model.device.manualSeed(args.seed);
    model.device.randomState = ranks.ownRandom(model.device.randomState);
  }

  private get context(): CallbackContext {
    return { args: this.trainer.args, state: this.trainer.state, control: this.control };
  }

  async go(resumeFrom: string | undefined): Promise<TrainOutput> {
    const { trainer, ranks } = this;
    const { outputDir } = trainer.args;
    try {
      await ranks.checkSame(() => sharedTraining(trainer, this.data));
      await ranks.first(async () => {
        // Fail now rather than at the first save.
        await platform.checkWritable(outputDir);
        await sweepOutput(outputDir);
      });
      const start = resumeFrom === undefined ? { epoch: 0, batch: 0 } : await this.resume(resumeFrom);
      await ranks.copyFirst(trainer.model.parameters());
      await callAll(this.callbacks, 'onTrainBegin', this.context);
      if (resumeFrom !== undefined && this.done()) this.sayComplete(resumeFrom);
      this.started = performance.now();
      const interruptedAt = await this.epochs(start);
      const end = interruptedAt === null ? await this.finish() : { restoredStep: null, evaluation: null };
      await callAll(this.callbacks, 'onTrainEnd', this.context);
      return {
        globalStep: trainer.state.globalStep,
        trainingLoss: this.losses.mean,
        interruptedAt,
        stoppedEarly: this.stoppedEarly,
        seconds: this.seconds,
        ...end,
      };
    } finally {
      this.release();
    }
  }

  private get seconds(): number {
    return (performance.now() - this.started) / 1000;
  }

  private get stoppedEarly(): boolean {
    const { globalStep, maxSteps } = this.trainer.state;
    return this.control.shouldTrainingStop && globalStep < maxSteps;
  }

  private sayComplete(checkpoint: string): void {
    const { globalStep } = this.trainer.state;
    const how = this.stoppedEarly ? `was stopped early, at step ${globalStep}` : 'had done all its steps';
    this.trainer.warn(`the training of '${checkpoint}' ${how}: nothing is left to train`);
  }

  private async resume(path: string): Promise<Place> {
    const { trainer } = this;
    const { args, model } = trainer;
    const { state, progress, saved } = await readStanding(path);
    const { notes, batchRatio, bestIsVoid } = compareArguments(saved, args, path, {
      processes: this.ranks.size,
      before: progress.processes ?? 1,
    });
    notes.push(...compareData(progress.data, this.data, path));
    const { maxSteps, numTrainEpochs } = trainer.state;
    if (state.globalStep > maxSteps) {
      throw new ConfigError(`'${path}' is at step ${state.globalStep}, this training has ${maxSteps}`, {
        remedy: 'ask for more epochs or steps',
      });
    }
    await loadCheckpoint(path, progress, model, this.step.optimizer);
    for (const note of notes) trainer.warn(note);
    const { trainBatchSize, loggingSteps, evalSteps, saveSteps } = trainer.state;
    const now = { maxSteps, numTrainEpochs, trainBatchSize, loggingSteps, evalSteps, saveSteps };
    const { isLocalProcessZero, isWorldProcessZero } = trainer.state;
    trainer.state = { ...state, ...now, isLocalProcessZero, isWorldProcessZero };
    if (bestIsVoid)
      Object.assign(trainer.state, { bestMetric: null, bestGlobalStep: null, bestModelCheckpoint: null });
    else
      trainer.state.bestModelCheckpoint = await findBest(state, {
        outputDir: args.outputDir,
        checkpoint: path,
      });
    const { scheduler, scaler } = this.step;
    scheduler.moveTo(progress.schedulerStep);
    this.losses.resume(progress);
    model.device.randomState = this.ranks.ownRandom(progress.random);
    if (progress.scaler !== undefined) scaler?.loadState(progress.scaler);
    this.best.resume();
    return { epoch: progress.epoch, batch: progress.batch * batchRatio };
  }

  /** Runs epochs until the steps are done. Returns the checkpoint's path if the training was aborted. */
  private async epochs(start: Place): Promise<string | null> {
    const { args, model } = this.trainer;
    for (let epoch = start.epoch; !this.done(); epoch += 1) {
      applyFreezing(model, epoch, args, this.fixed);
      model.train();
      await callAll(this.callbacks, 'onEpochBegin', this.context);
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
    for await (const batch of this.loader.batches(epoch, first)) {
      waiting.push(batch);
      next += 1;
      const last = next === this.loader.length;
      if (waiting.length < accumulation && !last) continue;
      await this.take(waiting, epoch + next / this.loader.length);
      waiting = [];
      const place = last ? { epoch: epoch + 1, batch: 0 } : { epoch, batch: next };
      await this.afterStep(place, last);
      // Several processes stop after the same step: the one at which they last agreed on it.
      if (this.ranks.group === null) this.aborted = this.options.signal?.aborted === true;
      if (this.aborted && !this.done()) return (await this.save(place)).path;
      if (this.done()) break;
    }
    return null;
  }

  /** Takes one optimizer step, updates the state and calls `onStepEnd`. */
  private async take(batches: readonly Batch[], epoch: number): Promise<void> {
    const { state } = this.trainer;
    await this.compile(batches);
    const learningRate = await this.step.run(batches).catch((error: unknown) => {
      throw this.explained(error, batches);
    });
    const { tokens, computed } = this.step.totals;
    this.losses.count(learningRate);
    state.globalStep += 1;
    state.epoch = epoch;
    state.numInputTokensSeen += tokens;
    state.totalFlos += this.flosPerToken * computed;
    await this.pace().catch((error: unknown) => {
      throw this.explained(error, batches);
    });
    const { seconds } = this;
    await callAll(this.callbacks, 'onStepEnd', this.context, { learningRate, tokens, seconds });
    await this.agree();
  }

  /** Stops in all processes if a callback or the signal asks one of them to. */
  private async agree(): Promise<void> {
    if (this.ranks.group === null) return;
    const aborted = this.options.signal?.aborted === true;
    [this.control.shouldTrainingStop, this.aborted] = await this.ranks.any(
      this.control.shouldTrainingStop,
      aborted,
    );
  }

  /** An error of too little memory says what did not fit, and what helps; any other stays. */
  private explained(error: unknown, batches: readonly Batch[]): unknown {
    const { args, state } = this.trainer;
    const saved = this.lastSaved?.path ?? null;
    return outOfMemory(error, batches, args, { step: state.globalStep + 1, saved });
  }

  /** Compiles the kernels of the first step. The user's functions are not called for it. */
  private async compile(batches: readonly Batch[]): Promise<void> {
    const { trainer, options } = this;
    const { args, state } = trainer;
    await compileAhead(trainer.model, 'train', args.fp16, async (model) => {
      const hooks = options.computeLoss === undefined ? trainer.lossHooks() : {};
      const step = new TrainingStep({ model, args, maxSteps: state.maxSteps, ...hooks });
      if (options.optimizer === undefined) await step.run(batches);
      else step.backward(step.forward(batches[0]!), 1);
    });
  }

  /** Keeps the host at most `STEPS_IN_FLIGHT` steps ahead of the GPU. */
  private async pace(): Promise<void> {
    const { device } = this.trainer.model;
    const done = device.gpu.submittedWorkDone();
    // The check below, or the next operation, throws what goes wrong before this is awaited.
    done.catch(() => {});
    this.inFlight.push(done);
    if (this.inFlight.length > STEPS_IN_FLIGHT) await this.inFlight.shift();
    device.gpu.check();
  }

  private async afterStep(place: Place, epochEnd: boolean): Promise<void> {
    const { args, state } = this.trainer;
    const { globalStep } = state;
    const ending = this.done();
    // The last step is always due, so that an incomplete epoch is evaluated and saved too.
    const due = (strategy: string, every: number): boolean =>
      strategy !== 'no' && (ending || (strategy === 'steps' ? globalStep % every === 0 : epochEnd));
    const first = args.loggingFirstStep && globalStep === 1;
    if (globalStep % args.loggingSteps === 0 || first || ending) await this.log();
    if (due(args.evalStrategy, args.evalSteps ?? args.loggingSteps)) await this.evaluate(place);
    if (due(args.saveStrategy, args.saveSteps)) await this.save(place);
  }

  /** Records the losses since the last log. Throws `NonFiniteError` if one, or the gradient, is not finite. */
  private async log(): Promise<void> {
    const entry = await this.losses.read(this.trainer.state.globalStep);
    if (entry !== null) await this.record(entry);
  }

  private async record(values: LogEntry): Promise<void> {
    const { state } = this.trainer;
    const entry = { ...values, epoch: round(state.epoch, 4), step: state.globalStep };
    state.logHistory.push(entry);
    await callAll(this.callbacks, 'onLog', this.context, entry);
  }

  private async evaluate(place: Place): Promise<void> {
    const { trainer, best } = this;
    if (best.isEvaluated) return;
    const evaluation = await trainer.score();
    await this.record(evaluation.metrics);
    const better = best.note(evaluation);
    await callAll(this.callbacks, 'onEvaluate', this.context, evaluation.metrics);
    await this.agree();
    if (better && trainer.args.loadBestModelAtEnd) await this.save(place);
  }

  private async save(place: Place): Promise<{ path: string }> {
    const { trainer } = this;
    const { args, state, model } = trainer;
    const { optimizer, scheduler } = this.step;
    if (this.lastSaved?.step === state.globalStep) return this.lastSaved;
    const losses = await this.losses.progress(state.globalStep);
    const progress: Omit<Progress, 'optimizerSteps'> = {
      ...place,
      schedulerStep: scheduler.lastStep,
      random: model.device.randomState,
      ...losses,
      data: this.data,
      ...(this.ranks.size > 1 && { processes: this.ranks.size }),
    };
    if (state.bestGlobalStep === state.globalStep)
      state.bestModelCheckpoint = checkpointPath(args.outputDir, state.globalStep);
    state.statefulCallbacks = callbackStates(this.callbacks, this.done());
    const tokenizer = this.options.processingClass;
    const path = await this.ranks.first(async () => {
      const written = await saveCheckpoint({ model, tokenizer, optimizer, args, state, progress });
      await rotateCheckpoints(args, state);
      return written;
    });
    this.lastSaved = { step: state.globalStep, path };
    await callAll(this.callbacks, 'onSave', this.context, path);
    return this.lastSaved;
  }

  /** Restores the best weights if asked to, and saves the final model. */
  private async finish(): Promise<Pick<TrainOutput, 'restoredStep' | 'evaluation'>> {
    const { trainer } = this;
    const { args, state, model } = trainer;
    await this.log();
    await model.device.sync();
    const outcome = await this.ranks.first(() => this.best.restore());
    if (outcome.restoredStep !== null) await this.ranks.copyFirst(model.parameters());
    model.eval();
    const { losses, seconds } = this;
    // On average: the last step of an epoch may have fewer.
    const textsPerStep = this.data.examples / this.stepsPerEpoch;
    await this.record({
      train_runtime: round(seconds, 4),
      train_samples_per_second: round((losses.readSteps * textsPerStep) / seconds, 3),
      train_steps_per_second: round(losses.readSteps / seconds, 3),
      total_flos: state.totalFlos,
      train_loss: losses.mean,
    });
    state.statefulCallbacks = callbackStates(this.callbacks, true);
    await this.ranks.first(() => saveFinal({ model, tokenizer: this.options.processingClass, args, state }));
    return outcome;
  }

  private release(): void {
    for (const tensor of this.trainer.model.parameters()) tensor.requiresGrad = !this.fixed.has(tensor);
    this.step.dispose();
    this.trainer.disposeLoss();
  }
}
