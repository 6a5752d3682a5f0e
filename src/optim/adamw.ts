/** AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019). */

import { ConfigError, DtypeError, ShapeError } from '../errors.ts';
import { ByEnd, extended, liesAfter, type Slot, slice } from '../kernels/launch.ts';
import { type AdamWRun, adamw, adamwRuns, padded } from '../kernels/optimizer.ts';
import { type Advice, checkOptions, type OptionNames } from '../options.ts';
import { layTogether } from '../tensor/bucket.ts';
import type { Device } from '../tensor/device.ts';
import { HalfCopy } from '../tensor/half-copy.ts';
import { formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { MOMENT_BYTES, MomentStore, type MomentView, type Piece } from './moments.ts';

export interface AdamWOptions {
  /** Learning rate. */
  lr?: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
}

/** Parameters that share hyper-parameters; what is left out comes from the optimizer's options. */
export interface ParameterGroup extends AdamWOptions {
  params: readonly Tensor[];
}

/** A group with every hyper-parameter set. Schedulers write `lr`. */
export interface OptimizerGroup {
  readonly params: readonly Tensor[];
  lr: number;
  /** The rate the schedule scales. */
  readonly initialLr: number;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
}

/** The optimizer's state of one parameter, as checkpoints hold it. */
export interface ParameterState {
  step: number;
  expAvg: MomentView;
  expAvgSq: MomentView;
}

const optionNames: OptionNames<AdamWOptions> = { lr: true, betas: true, eps: true, weightDecay: true };
const groupNames: OptionNames<ParameterGroup> = { ...optionNames, params: true };
const stepOptionNames: OptionNames<StepOptions> = { gradScale: true, skipNonFinite: true };
const advice: Advice = {
  learningRate: "the rate is lr, as PyTorch's",
  amsgrad: 'leave it out',
  decoupledWeightDecay: 'leave it out: the decay is decoupled',
};

export interface StepOptions {
  /**
   * [norm, factor] on the GPU, as `clipFactor` gives it: every gradient is multiplied by the factor as it is
   * read.
   */
  gradScale?: Tensor | null;
  /**
   * Leaves weights and moments as they are where that norm is not finite, as torch.amp.GradScaler does. The
   * step is counted all the same.
   */
  skipNonFinite?: boolean;
}

/** Elements to update that lie one after the other, as do their gradients, moments and copies. */
interface Run {
  readonly group: OptimizerGroup;
  readonly step: number;
  count: number;
  /** Where each begins. */
  readonly value: Slot;
  readonly gradient: Slot;
  readonly moments: Slot;
  readonly copy: Slot | null;
}

function check(name: string, value: number, holds: boolean, remedy: string): void {
  if (!holds) throw new ConfigError(`AdamW: ${name} is ${value}`, { remedy });
}

export class AdamW {
  readonly groups: OptimizerGroup[];
  private readonly moments = new MomentStore();
  /** [0, 1], for steps without `gradScale`. */
  private unscaled: Tensor | null = null;

  /**
   * PyTorch's defaults: lr 1e-3, betas (0.9, 0.999), eps 1e-8, weightDecay 0.01. Parameters move next to one
   * another in memory, which goes back when the last of a buffer's is disposed. Throws `ConfigError` for
   * values out of range, for a parameter given twice, for two over the same memory and for parameters of
   * several devices, `DtypeError` for one that is not float32, `DisposedError`.
   */
  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: AdamWOptions = {}) {
    const groups = params.some((item) => 'params' in item)
      ? (params as readonly ParameterGroup[])
      : [{ params: params as readonly Tensor[] }];
    checkOptions('AdamW', options, optionNames, advice);
    this.groups = groups.map((group) => {
      checkOptions('AdamW: a group of parameters', group, groupNames, advice);
      const lr = group.lr ?? options.lr ?? 1e-3;
      const betas = group.betas ?? options.betas ?? [0.9, 0.999];
      const eps = group.eps ?? options.eps ?? 1e-8;
      const weightDecay = group.weightDecay ?? options.weightDecay ?? 0.01;
      check('lr', lr, lr >= 0 && Number.isFinite(lr), 'use a finite number ≥ 0');
      check('the number of betas', betas.length, betas.length === 2, 'pass two');
      for (const beta of betas) check('beta', beta, beta >= 0 && beta < 1, 'use 0 ≤ beta < 1');
      check('eps', eps, eps >= 0, 'use a number ≥ 0');
      check('weightDecay', weightDecay, weightDecay >= 0, 'use a number ≥ 0');
      return { params: group.params, lr, initialLr: lr, betas, eps, weightDecay };
    });
    const all = this.groups.flatMap(({ params: those }) => those);
    if (new Set(all).size !== all.length)
      throw new ConfigError('AdamW: a parameter is given twice', { remedy: 'pass each tensor once' });
    if (new Set(all.map(({ device }) => device)).size > 1)
      throw new ConfigError('AdamW: the parameters are on several devices', {
        remedy: 'make one optimizer for each device',
      });
    const other = all.find(({ dtype }) => dtype !== 'float32');
    if (other !== undefined)
      throw new DtypeError(`AdamW: a parameter is ${other.dtype}`, {
        remedy: 'keep parameters in float32; mixed precision makes its own copies of them',
      });
    // Before there are gradients: these then lie together too. And whatever is frozen, so that a training
    // that goes on from a checkpoint has the same places.
    layTogether(all);
    if (new Set(all.map(({ place }) => place)).size !== all.length)
      throw new ConfigError('AdamW: two parameters have the same memory', {
        remedy: 'pass one of them: detach() makes no copy',
      });
  }

  /** Updates every parameter that has a gradient. Throws `ShapeError` for a `gradScale` that is not [2]. */
  step(options: StepOptions = {}): void {
    checkOptions('AdamW.step', options, stepOptionNames);
    const { gradScale, skipNonFinite = false } = options;
    if (gradScale && gradScale.size !== 2)
      throw new ShapeError(`AdamW: gradScale is ${formatShape(gradScale.shape)}`, {
        remedy: 'pass [norm, factor], as clipFactor gives it',
      });
    const runs = this.countStep();
    const device = runs[0]?.group.params[0]?.device;
    if (device === undefined) return;
    const scale = (gradScale ?? this.noScale(device)).slot;
    for (const batch of batchesOf(device, runs)) {
      const { betas, eps } = batch[0]!.group;
      const [beta1, beta2] = betas;
      adamw(device.gpu, { runs: batch.map(launched), scale, skipNonFinite, beta1, beta2, eps });
    }
  }

  /** Drops the gradients of its parameters. */
  zeroGrad(): void {
    for (const { params } of this.groups) {
      for (const tensor of params) {
        tensor.grad?.dispose();
        tensor.grad = null;
      }
    }
  }

  /** The state of a parameter, or undefined before its first step. */
  state(value: Tensor): ParameterState | undefined {
    const step = this.moments.get(value)?.step ?? 0;
    if (step === 0) return undefined;
    return { step, expAvg: this.moments.view(value, 'first'), expAvgSq: this.moments.view(value, 'second') };
  }

  /**
   * Makes room for the state of some parameters, before `loadState` fills it: they then lie together and are
   * updated together.
   */
  reserve(values: readonly Tensor[]): void {
    this.moments.reserve(values);
  }

  /** Puts back a state read from a checkpoint. Throws `CheckpointError` where the sizes differ. */
  loadState(value: Tensor, state: { step: number; expAvg: Float32Array; expAvgSq: Float32Array }): void {
    this.moments.write(value, state.expAvg, state.expAvgSq);
    this.moments.get(value)!.step = state.step;
  }

  dispose(): void {
    this.moments.dispose();
    this.unscaled?.dispose();
    this.unscaled = null;
  }

  /**
   * Counts the step of every parameter that has a gradient, and tells what there is to update, in the order
   * of the groups.
   */
  private countStep(): Run[] {
    const due = this.groups.map((group) => ({
      group,
      values: group.params.filter(
        ({ grad, requiresGrad, size }) => grad !== null && requiresGrad && size > 0,
      ),
    }));
    this.moments.reserve(due.flatMap(({ values }) => values));
    const runs: Run[] = [];
    const byEnd = new ByEnd<Run>();
    for (const { group, values } of due) {
      for (const value of values) {
        const moments = this.moments.get(value)!;
        moments.step += 1;
        const copies = HalfCopy.overwrite(value, moments.pieces);
        for (const piece of moments.pieces) {
          const run = runOf(value, group, { step: moments.step, piece, copies });
          const before = byEnd.before(run.moments);
          const joint = before !== undefined && continues(run, before) ? before : run;
          if (joint === run) runs.push(run);
          else joint.count = between(joint, run) + run.count;
          byEnd.add(run.moments, piece.room * MOMENT_BYTES, joint);
        }
      }
    }
    return runs;
  }

  private noScale(device: Device): Tensor {
    if (this.unscaled === null) {
      this.unscaled = device.raw([2]);
      this.unscaled.write(Float32Array.of(0, 1));
    }
    return this.unscaled;
  }
}

function runOf(
  value: Tensor,
  group: OptimizerGroup,
  { step, piece, copies }: { step: number; piece: Piece; copies: Slot | null },
): Run {
  const { first, count, moments } = piece;
  const part = { first, count, whole: count === value.size };
  return {
    group,
    step,
    count,
    value: slice(value.slot, part),
    gradient: slice(value.grad!.slot, part),
    moments,
    copy: copies && slice(copies, part),
  };
}

/** Elements from where one run begins to where another does, of which the moments lie in the same buffer. */
function between({ moments }: Run, other: Run): number {
  return (other.moments.offset! - moments.offset!) / MOMENT_BYTES;
}

/** Whether a run, of which the moments come after those of another, comes after it in everything. */
function continues(run: Run, other: Run): boolean {
  if (run.group !== other.group || run.step !== other.step) return false;
  const distance = between(other, run);
  const copies =
    run.copy === null || other.copy === null
      ? run.copy === other.copy
      : liesAfter(run.copy, other.copy, distance);
  return copies && liesAfter(run.gradient, other.gradient, distance);
}

/**
 * What one dispatch updates: as many runs as it takes, that agree in what is the same for all of a dispatch.
 */
function batchesOf({ gpu }: Device, runs: readonly Run[]): Run[][] {
  const batches: Run[][] = [];
  for (const run of runs) {
    const most = adamwRuns(gpu, run.copy !== null);
    const fits = batches.find(
      ([one, ...rest]) =>
        rest.length + 1 < most &&
        (one!.copy === null) === (run.copy === null) &&
        sameMoments(one!.group, run.group),
    );
    if (fits === undefined) batches.push([run]);
    else fits.push(run);
  }
  return batches;
}

function launched({ group, step, count, value, gradient, moments, copy }: Run): AdamWRun {
  const { lr, weightDecay } = group;
  return {
    value: extended(value, count),
    gradient: extended(gradient, count),
    moments: { ...moments, size: padded(count) * MOMENT_BYTES },
    copy: copy && extended(copy, count),
    count,
    lr,
    weightDecay,
    step,
  };
}

/** Whether two groups may share a dispatch: rates and decay are each tensor's own. */
function sameMoments(a: OptimizerGroup, b: OptimizerGroup): boolean {
  return a === b || (a.betas[0] === b.betas[0] && a.betas[1] === b.betas[1] && a.eps === b.eps);
}
