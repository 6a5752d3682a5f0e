/**
 * What AdamW and Lion share: groups, moments beside the parameters, and dispatches over adjacent parameters.
 */
import { CheckpointError, ConfigError, DtypeError, ShapeError } from '../errors.ts';
import { type OptimizerLaunch, optimizerRuns, padded, type UpdateRun } from '../kernels/optimizer.ts';
import { checkOptions } from '../options.ts';
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
import type { Optimizer, SavedState } from './optimizer.ts';

/** A group with every hyper-parameter that all optimizers have. Schedulers write `lr`. */
export interface UpdatedGroup {
  params: readonly Tensor[];
  lr: number;
  /** The rate the schedule scales. */
  readonly initialLr: number;
  weightDecay: number;
}

/** The optimizer's state of one parameter, as checkpoints hold it. */
export interface ParameterState {
  step: number;
  expAvg: MomentView;
  /** Only of an optimizer that has second moments. */
  expAvgSq?: MomentView;
}

export interface StepOptions {
  /**
   * [norm, factor] on the GPU, as `clipFactor` gives it: every gradient is multiplied by the factor when it
   * is read.
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
  readonly group: UpdatedGroup;
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

/** An optimizer that keeps one or two moments of each weight. */
export abstract class MomentOptimizer<Group extends UpdatedGroup> implements Optimizer {
  readonly readsGradScale = true;
  private readonly entries = new Map<Tensor, Entry>();
  private readonly moments: MomentStore;
  /** The parameters that the last step updated, and their runs. */
  private due: readonly Entry[] = [];
  private runs: readonly Run[] = [];
  /** [0, 1], for steps without `gradScale`. */
  private unscaled: Tensor | null = null;

  /** `each`: moments of an element. */
  constructor(
    private readonly name: string,
    readonly groups: Group[],
    private readonly each: 1 | 2,
  ) {
    this.moments = new MomentStore(each);
    const all = this.groups.flatMap(({ params: those }) => those);
    if (new Set(all).size !== all.length)
      throw new ConfigError(`${name}: a parameter is given twice`, { remedy: 'pass each tensor once' });
    if (new Set(all.map(({ device }) => device)).size > 1)
      throw new ConfigError(`${name}: the parameters are on several devices`, {
        remedy: 'make one optimizer for each device',
      });
    const other = all.find(({ dtype }) => dtype !== 'float32');
    if (other !== undefined)
      throw new DtypeError(`${name}: a parameter is ${other.dtype}`, {
        remedy: 'keep parameters in float32; mixed precision makes its own copies of them',
      });
    // Frozen parameters too, so that a training that goes on from a checkpoint has the same places.
    layParameters(all);
    if (new Set(all.map(({ place }) => place)).size !== all.length)
      throw new ConfigError(`${name}: two parameters have the same memory`, {
        remedy: 'pass one of them: detach() makes no copy',
      });
    for (const group of this.groups) {
      for (const value of group.params)
        this.entries.set(value, { value, group, place: value.place!, step: 0, copied: false });
    }
  }

  /** @internal Whether two groups may share a dispatch: only rates and decay are per run. */
  protected abstract alike(a: Group, b: Group): boolean;

  /** @internal Updates runs of groups that are alike; `group` is one of them. */
  protected abstract update(device: Device, launch: OptimizerLaunch, group: Group): void;

  /**
   * Updates every parameter that has a gradient. Gradients that were assigned move next to the others. Throws
   * `ShapeError` for a `gradScale` that is not [2] or a gradient of another size than its parameter.
   */
  step(options: StepOptions = {}): void {
    checkOptions<StepOptions>(`${this.name}.step`, options, { gradScale: true, skipNonFinite: true });
    const { gradScale, skipNonFinite = false } = options;
    if (gradScale && gradScale.size !== 2)
      throw new ShapeError(`${this.name}: gradScale is ${formatShape(gradScale.shape)}`, {
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
    const alike = (a: Run, b: Run): boolean =>
      a.group === b.group || this.alike(a.group as Group, b.group as Group);
    for (const batch of batchesOf(device, this.runs, alike))
      this.update(device, { runs: batch.map(launched), scale, skipNonFinite }, batch[0]!.group as Group);
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
      expAvg: this.moments.view(value, place!, 0),
      ...(this.each === 2 && { expAvgSq: this.moments.view(value, place!, 1) }),
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
   * Puts back a state read from a checkpoint. Throws `CheckpointError` if sizes or kinds differ,
   * `ConfigError` for a parameter that is not the optimizer's.
   */
  loadState(value: Tensor, { step, expAvg, expAvgSq, ...others }: SavedState): void {
    const entry = this.entry(value);
    const given = [expAvg, expAvgSq].filter((one) => one !== undefined);
    const known = Object.values(others).every((one) => one === undefined) && expAvg !== undefined;
    if (!known || given.length !== this.each || given.some(({ length }) => length !== value.size))
      throw new CheckpointError(
        `${this.name}: moments of ${given.map(({ length }) => length).join(' and ') || 'no'} elements for a parameter of ${value.size}`,
        { remedy: `give ${this.each === 1 ? 'expAvg' : 'expAvg and expAvgSq'}` },
      );
    this.moments.write(value, entry.place, given);
    entry.step = step;
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
      throw new ConfigError(`${this.name}: ${value} is none of its parameters`, {
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
function batchesOf({ gpu }: Device, runs: readonly Run[], alike: (a: Run, b: Run) => boolean): Run[][] {
  const batches: Run[][] = [];
  for (const run of runs) {
    const most = optimizerRuns(gpu, run.copied);
    const fits = batches.find(
      ([one, ...rest]) => rest.length + 1 < most && one!.copied === run.copied && alike(one!, run),
    );
    if (fits === undefined) batches.push([run]);
    else fits.push(run);
  }
  return batches;
}

function launched({ first, group: { lr, weightDecay }, plane, at, count, copied }: Run): UpdateRun {
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
