/** AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019). */
import { ConfigError, ShapeError } from '../errors.ts';
import { slice } from '../kernels/launch.ts';
import { type AdamWTensor, adamw, adamwTensors } from '../kernels/optimizer.ts';
import type { Device } from '../tensor/device.ts';
import { HalfCopy } from '../tensor/half-copy.ts';
import { formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { MomentStore, type MomentView } from './moments.ts';

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

export interface StepOptions {
  /** [norm, factor] on the GPU, as `clipFactor` gives it: every gradient is multiplied by the factor as it is read. */
  gradScale?: Tensor | null;
  /** Leaves weights and moments as they are where that norm is not finite, as torch.amp.GradScaler does. The step is counted all the same. */
  skipNonFinite?: boolean;
}

/** What one dispatch updates: parameters whose moments share a buffer. */
interface Batch {
  arena: Tensor;
  group: OptimizerGroup;
  tensors: AdamWTensor[];
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
   * PyTorch's defaults: lr 1e-3, betas (0.9, 0.999), eps 1e-8, weightDecay 0.01. Throws `ConfigError` for values out of range, for a
   * parameter given twice and for parameters of several devices.
   */
  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: AdamWOptions = {}) {
    const groups = params.some((item) => 'params' in item)
      ? (params as readonly ParameterGroup[])
      : [{ params: params as readonly Tensor[] }];
    this.groups = groups.map((group) => {
      const lr = group.lr ?? options.lr ?? 1e-3;
      const betas = group.betas ?? options.betas ?? [0.9, 0.999];
      const eps = group.eps ?? options.eps ?? 1e-8;
      const weightDecay = group.weightDecay ?? options.weightDecay ?? 0.01;
      check('lr', lr, lr >= 0 && Number.isFinite(lr), 'use a finite number ≥ 0');
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
  }

  /** Updates every parameter that has a gradient. Throws `ShapeError` for a `gradScale` that is not [2]. */
  step({ gradScale, skipNonFinite = false }: StepOptions = {}): void {
    if (gradScale && gradScale.size !== 2)
      throw new ShapeError(`AdamW: gradScale is ${formatShape(gradScale.shape)}`, {
        remedy: 'pass [norm, factor], as clipFactor gives it',
      });
    const batches = this.batches();
    const device = batches[0]?.arena.device;
    if (device === undefined) return;
    const scale = (gradScale ?? this.noScale(device)).slot;
    for (const { arena, group, tensors } of batches) {
      const [beta1, beta2] = group.betas;
      const { eps } = group;
      adamw(device.gpu, { tensors, moments: arena.slot, scale, skipNonFinite, beta1, beta2, eps });
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

  /** Makes room for the state of some parameters, before `loadState` fills it: they then lie together and are updated together. */
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

  /** Counts the step of every parameter that has a gradient, and packs them into dispatches, in the order of the groups. */
  private batches(): Batch[] {
    const due = this.groups.map((group) => ({
      group,
      values: group.params.filter((value) => value.grad !== null && value.requiresGrad),
    }));
    this.moments.reserve(due.flatMap(({ values }) => values));
    const batches: Batch[] = [];
    for (const { group, values } of due) {
      for (const value of values) {
        const moments = this.moments.get(value)!;
        moments.step += 1;
        const copy = HalfCopy.overwrite(value, moments.segments);
        const most = adamwTensors(value.device.gpu, copy !== null);
        for (const { arena, at, first, count } of moments.segments) {
          const window = { first, count, whole: count === value.size };
          const tensor = {
            value: slice(value.slot, window),
            gradient: slice(value.grad!.slot, window),
            copy: copy && slice(copy, window),
            count,
            at,
            lr: group.lr,
            weightDecay: group.weightDecay,
            step: moments.step,
          };
          // A launch writes copies of all its tensors or of none.
          const last = batches.findLast((batch) => (batch.tensors[0]!.copy === null) === (copy === null));
          if (last?.arena === arena && last.tensors.length < most && sameMoments(last.group, group))
            last.tensors.push(tensor);
          else batches.push({ arena, group, tensors: [tensor] });
        }
      }
    }
    return batches;
  }

  private noScale(device: Device): Tensor {
    if (this.unscaled === null) {
      this.unscaled = device.raw([2]);
      this.unscaled.write(Float32Array.of(0, 1));
    }
    return this.unscaled;
  }
}

/** Whether two groups may share a dispatch: rates and decay are each tensor's own. */
function sameMoments(a: OptimizerGroup, b: OptimizerGroup): boolean {
  return a === b || (a.betas[0] === b.betas[0] && a.betas[1] === b.betas[1] && a.eps === b.eps);
}
