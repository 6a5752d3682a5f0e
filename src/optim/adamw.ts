/** AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019). */

import { ConfigError, DtypeError, ShapeError } from '../errors.ts';
import { type AdamWRun, adamw, adamwRuns, padded } from '../kernels/optimizer.ts';
import { type Advice, check, checkOptions, type OptionNames } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import {
  gatherGradients,
  inOrder,
  layParameters,
  overwriteParameter,
  type Place,
} from '../tensor/parameters.ts';
import { formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { MomentStore, type MomentView, type Piece } from './moments.ts';
import type { Optimizer } from './optimizer.ts';

export interface AdamWOptions {
  /** Learning rate. */
  lr?: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
}

/** Parameters that share hyper-parameters; the optimizer's options fill in absent ones. */
export interface ParameterGroup extends AdamWOptions {
  params: readonly Tensor[];
}

/** A group with every hyper-parameter set. Schedulers write `lr`. */
export interface OptimizerGroup extends Required<ParameterGroup> {
  /** The rate the schedule scales. */
  readonly initialLr: number;
}

/** The optimizer's state of one parameter, as checkpoints hold it. */
export interface ParameterState {
  step: number;
  expAvg: MomentView;
  expAvgSq: MomentView;
}

const optionNames: OptionNames<AdamWOptions> = { lr: true, betas: true, eps: true, weightDecay: true };
const groupNames: OptionNames<ParameterGroup> = { ...optionNames, params: true };
const advice: Advice = {
  learningRate: "the rate is lr, as PyTorch's",
  amsgrad: 'leave it out',
  decoupledWeightDecay: 'leave it out: the decay is decoupled',
};

export interface StepOptions {
  /**
   * [norm, factor] on the GPU, as `clipFactor` gives it: every gradient is multiplied by the factor when it is
   * read.
   */
  gradScale?: Tensor | null;
  /**
   * Leaves weights and moments as they are if that norm is not finite, as torch.amp.GradScaler does. The step
   * counts nevertheless.
   */
  skipNonFinite?: boolean;
}

/** A parameter of the optimizer. */
interface Entry {
  readonly value: Tensor;
  readonly group: OptimizerGroup;
  readonly place: Place;
  /** Steps taken. */
  step: number;
  /** Whether the current step stores its float16 copy too. */
  copied: boolean;
}

/** Adjacent elements that are updated alike: of one parameter or of several, of one group and step. */
interface Run extends Pick<Entry, 'group' | 'copied'> {
  /** The first parameter, whose count of steps is that of all. */
  readonly first: Entry;
  /** Of the moments. */
  readonly plane: Piece['plane'];
  /** First element in the chunk, and how many, gaps included. */
  readonly at: number;
  count: number;
  /** Where the next parameter may begin. */
  end: number;
}

export class AdamW implements Optimizer {
  readonly readsGradScale = true;
  readonly groups: OptimizerGroup[];
  private readonly entries = new Map<Tensor, Entry>();
  private readonly moments = new MomentStore();
  /** The parameters that the last step updated, and their runs. */
  private due: readonly Entry[] = [];
  private runs: readonly Run[] = [];
  /** [0, 1], for steps without `gradScale`. */
  private unscaled: Tensor | null = null;

  /**
   * PyTorch's defaults: lr 1e-3, betas (0.9, 0.999), eps 1e-8, weightDecay 0.01. Moves the parameters into a
   * few buffers, each of which is freed with the last parameter in it. Throws `ConfigError` for values out of
   * range, for a parameter given twice, for two over the same memory and for parameters of several devices,
   * `DtypeError` for one that is not float32, `DisposedError`.
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
      check('AdamW: lr', lr, lr >= 0 && Number.isFinite(lr), 'use a finite number ≥ 0');
      check('AdamW: the number of betas', betas.length, betas.length === 2, 'pass two');
      for (const beta of betas) check('AdamW: beta', beta, beta >= 0 && beta < 1, 'use 0 ≤ beta < 1');
      check('AdamW: eps', eps, eps >= 0, 'use a number ≥ 0');
      check('AdamW: weightDecay', weightDecay, weightDecay >= 0, 'use a number ≥ 0');
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
    // Frozen parameters too, so that a training that goes on from a checkpoint has the same places.
    layParameters(all);
    if (new Set(all.map(({ place }) => place)).size !== all.length)
      throw new ConfigError('AdamW: two parameters have the same memory', {
        remedy: 'pass one of them: detach() makes no copy',
      });
    for (const group of this.groups) {
      for (const value of group.params)
        this.entries.set(value, { value, group, place: value.place!, step: 0, copied: false });
    }
  }

  /**
   * Updates every parameter that has a gradient. Gradients that were assigned move next to the others. Throws
   * `ShapeError` for a `gradScale` that is not [2] or a gradient of another size than its parameter.
   */
  step(options: StepOptions = {}): void {
    checkOptions<StepOptions>('AdamW.step', options, { gradScale: true, skipNonFinite: true });
    const { gradScale, skipNonFinite = false } = options;
    if (gradScale && gradScale.size !== 2)
      throw new ShapeError(`AdamW: gradScale is ${formatShape(gradScale.shape)}`, {
        remedy: 'pass [norm, factor], as clipFactor gives it',
      });
    const due = [...this.entries.values()].filter(
      ({ value: { grad, requiresGrad, size } }) => grad !== null && requiresGrad && size > 0,
    );
    if (due.length === 0) return;
    const { device } = due[0]!.value;
    const scale = (gradScale ?? this.noScale(device)).slot;
    gatherGradients(due.map(({ value }) => value));
    if (this.count(device, due)) this.runs = this.runsOf(device, due);
    for (const batch of batchesOf(device, this.runs)) {
      const { betas, eps } = batch[0]!.group;
      const [beta1, beta2] = betas;
      adamw(device.gpu, { runs: batch.map(launched), scale, skipNonFinite, beta1, beta2, eps });
    }
  }

  /** Drops the gradients of its parameters. */
  zeroGrad(): void {
    for (const { params } of this.groups) for (const tensor of params) tensor.dropGradient();
  }

  /** The state of a parameter, or undefined before its first step. */
  state(value: Tensor): ParameterState | undefined {
    const { step, place } = this.entries.get(value) ?? { step: 0 };
    if (step === 0) return undefined;
    return {
      step,
      expAvg: this.moments.view(value, place!, 'first'),
      expAvgSq: this.moments.view(value, place!, 'second'),
    };
  }

  /**
   * Makes room for the state of some parameters, before `loadState` fills it, so that it is in few buffers.
   */
  reserve(values: readonly Tensor[]): void {
    const places = values.map((value) => this.entry(value).place);
    if (places.length > 0) this.moments.reserve(values[0]!.device, places);
  }

  /**
   * Puts back a state read from a checkpoint. Throws `CheckpointError` if the sizes differ, `ConfigError` for
   * a parameter that is not the optimizer's.
   */
  loadState(value: Tensor, state: { step: number; expAvg: Float32Array; expAvgSq: Float32Array }): void {
    const entry = this.entry(value);
    this.moments.write(value, entry.place, state.expAvg, state.expAvgSq);
    entry.step = state.step;
    this.due = [];
  }

  dispose(): void {
    this.moments.dispose();
    for (const entry of this.entries.values()) entry.step = 0;
    this.due = [];
    this.unscaled?.dispose();
    this.unscaled = null;
  }

  private entry(value: Tensor): Entry {
    const found = this.entries.get(value);
    if (found === undefined)
      throw new ConfigError(`AdamW: ${value} is none of its parameters`, {
        remedy: 'pass a tensor that the optimizer was made with',
      });
    return found;
  }

  /** Counts a step of the parameters that are due. Returns whether their runs differ from the last step's. */
  private count(device: Device, due: readonly Entry[]): boolean {
    const storing = this.moments.storesCopies(device);
    let changed = due.length !== this.due.length;
    for (const [at, entry] of due.entries()) {
      entry.step += 1;
      const copied = overwriteParameter(entry.value, storing);
      changed ||= entry !== this.due[at] || copied !== entry.copied;
      entry.copied = copied;
    }
    this.due = due;
    return changed;
  }

  /** Joins parameters that are adjacent and updated alike. */
  private runsOf(device: Device, due: readonly Entry[]): Run[] {
    this.moments.reserve(
      device,
      due.map(({ place }) => place),
    );
    const runs: Run[] = [];
    for (const first of [...due].sort((a, b) => inOrder(a.place, b.place))) {
      const { group, copied, place } = first;
      for (const { plane, at, count } of this.moments.pieces(place)) {
        const end = at + count === place.at + place.size ? place.end : at + count;
        const last = runs.at(-1);
        const joins =
          last?.plane === plane &&
          last.end === at &&
          last.group === group &&
          last.copied === copied &&
          last.first.step === first.step;
        if (joins) Object.assign(last, { count: at + count - last.at, end });
        else runs.push({ first, group, copied, plane, at, count, end });
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

/**
 * Groups runs into dispatches: each takes as many as it can bind, and only runs that agree in what a dispatch
 * has once.
 */
function batchesOf({ gpu }: Device, runs: readonly Run[]): Run[][] {
  const batches: Run[][] = [];
  for (const run of runs) {
    const most = adamwRuns(gpu, run.copied);
    const fits = batches.find(
      ([one, ...rest]) =>
        rest.length + 1 < most && one!.copied === run.copied && sameMoments(one!.group, run.group),
    );
    if (fits === undefined) batches.push([run]);
    else fits.push(run);
  }
  return batches;
}

function launched({ first, group: { lr, weightDecay }, plane, at, count, copied }: Run): AdamWRun {
  const { values, gradients, halves } = first.place.chunk;
  return {
    value: values.slot(at, count),
    gradient: gradients!.slot(at, count),
    moments: plane.slot(at, padded(count)),
    copy: copied ? halves!.slot(at, count) : null,
    count,
    lr,
    weightDecay,
    step: first.step,
  };
}

/** Whether two groups may share a dispatch: only rates and decay are per run. */
function sameMoments(a: OptimizerGroup, b: OptimizerGroup): boolean {
  return a === b || (a.betas[0] === b.betas[0] && a.betas[1] === b.betas[1] && a.eps === b.eps);
}
