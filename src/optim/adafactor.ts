/** Adafactor (Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018). */
import { CheckpointError, ConfigError, DtypeError, ShapeError } from '../errors.ts';
import { type AdafactorLaunch, adafactorMatrix, adafactorVector } from '../kernels/adafactor.ts';
import { type Advice, check, checkOptions, type OptionNames } from '../options.ts';
import { gatherGradients, layParameters, overwriteParameter } from '../tensor/parameters.ts';
import { formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { StepOptions } from './moment-optimizer.ts';
import type { Optimizer, OptimizerState, SavedState } from './optimizer.ts';

export interface AdafactorOptions {
  /** Learning rate. */
  lr?: number;
  /** Added to squared gradients. */
  eps?: number;
  /** Most root mean square of an update, before the learning rate. */
  clipThreshold?: number;
  /** Exponent by which the means of the squares come to forget less and less. */
  decayRate?: number;
  weightDecay?: number;
}

/** Parameters that share hyper-parameters; the optimizer's options fill in absent ones. */
export interface AdafactorGroup extends AdafactorOptions {
  params: readonly Tensor[];
}

interface FilledGroup extends Required<AdafactorGroup> {
  readonly initialLr: number;
}

const optionNames: OptionNames<AdafactorOptions> = {
  lr: true,
  eps: true,
  clipThreshold: true,
  decayRate: true,
  weightDecay: true,
};
const groupNames: OptionNames<AdafactorGroup> = { ...optionNames, params: true };
const fixed = 'leave it out: the rate is lr, as the Trainer of transformers has it';
const advice: Advice = {
  learningRate: "the rate is lr, as PyTorch's",
  scaleParameter: fixed,
  relativeStep: fixed,
  warmupInit: fixed,
  beta1: 'leave it out: there is no first moment',
};

/** A parameter, its equal parts, and what is known of them. */
interface Entry {
  readonly value: Tensor;
  readonly group: FilledGroup;
  readonly parts: number;
  /** Of a part; null for a vector. */
  readonly matrix: { rows: number; cols: number } | null;
  step: number;
  /** Means of squares: of rows and columns, or of elements; null before the first step. */
  squares: { row: Tensor; col: Tensor | null } | null;
}

function entryOf(value: Tensor, group: FilledGroup): Entry {
  const { shape, size } = value;
  const [rows = 1, cols = 1] = shape.slice(-2);
  const matrix = shape.length < 2 ? null : { rows: shape.length === 2 ? rows / value.parts : rows, cols };
  const parts = matrix === null ? value.parts : size / (matrix.rows * matrix.cols);
  return { value, group, parts, matrix, step: 0, squares: null };
}

/**
 * Keeps of a matrix the means of its rows' and columns' squared gradients, of a vector those of its elements, and
 * no first moments: of a matrix [n, m] n + m numbers, where AdamW keeps 2nm. It is transformers' `Adafactor` with
 * what its Trainer sets: `scale_parameter` and `relative_step` are false. Each part of a weight that files keep
 * in parts is a matrix of its own.
 */
export class Adafactor implements Optimizer {
  readonly readsGradScale = true;
  readonly groups: FilledGroup[];
  private readonly entries = new Map<Tensor, Entry>();
  /** [0, 1], for steps without `gradScale`. */
  private unscaled: Tensor | null = null;

  /**
   * transformers' defaults: lr 1e-3, eps 1e-30, clipThreshold 1, decayRate −0.8, weightDecay 0. Moves the parameters
   * into a few buffers. Throws `ConfigError` for values out of range, for a parameter given twice and for parameters
   * of several devices, `DtypeError` for one that is not float32.
   */
  constructor(params: readonly Tensor[] | readonly AdafactorGroup[], options: AdafactorOptions = {}) {
    const groups = params.some((item) => 'params' in item)
      ? (params as readonly AdafactorGroup[])
      : [{ params: params as readonly Tensor[] }];
    checkOptions('Adafactor', options, optionNames, advice);
    this.groups = groups.map((group: AdafactorGroup) => filled(group, options));
    const all = this.groups.flatMap(({ params: those }) => those);
    if (new Set(all).size !== all.length)
      throw new ConfigError('Adafactor: a parameter is given twice', { remedy: 'pass each tensor once' });
    if (new Set(all.map(({ device }) => device)).size > 1)
      throw new ConfigError('Adafactor: the parameters are on several devices', {
        remedy: 'make one optimizer for each device',
      });
    const other = all.find(({ dtype }) => dtype !== 'float32');
    if (other !== undefined)
      throw new DtypeError(`Adafactor: a parameter is ${other.dtype}`, {
        remedy: 'keep parameters in float32',
      });
    layParameters(all);
    for (const group of this.groups)
      for (const value of group.params) this.entries.set(value, entryOf(value, group));
  }

  /**
   * Updates every parameter that has a gradient. Throws `ShapeError` for a `gradScale` that is not [2] or a gradient
   * of another size than its parameter.
   */
  step(options: StepOptions = {}): void {
    checkOptions<StepOptions>('Adafactor.step', options, { gradScale: true, skipNonFinite: true });
    const { gradScale, skipNonFinite = false } = options;
    if (gradScale && gradScale.size !== 2)
      throw new ShapeError(`Adafactor: gradScale is ${formatShape(gradScale.shape)}`, {
        remedy: 'pass [norm, factor], as clipFactor gives it',
      });
    const due = [...this.entries.values()].filter(
      ({ value: { grad, requiresGrad, size } }) => grad !== null && requiresGrad && size > 0,
    );
    if (due.length === 0) return;
    const { slot: scale } = gradScale ?? this.noScale(due[0]!.value);
    gatherGradients(due.map(({ value }) => value));
    for (const entry of due) this.update(entry, { scale, skipNonFinite });
  }

  private update(entry: Entry, shared: Pick<AdafactorLaunch, 'scale' | 'skipNonFinite'>): void {
    const { value, group, parts, matrix } = entry;
    const { gpu } = value.device;
    entry.step += 1;
    entry.squares ??= squaresOf(entry);
    const { row, col } = entry.squares;
    overwriteParameter(value, false);
    const size = value.size / parts;
    for (let part = 0; part < parts; part += 1) {
      const launched: AdafactorLaunch = {
        ...shared,
        value: value.slot,
        gradient: value.grad!.slot,
        at: part * size,
        beta: 1 - entry.step ** group.decayRate,
        eps: group.eps,
        clipThreshold: group.clipThreshold,
        lr: group.lr,
        weightDecay: group.weightDecay,
      };
      if (matrix === null)
        adafactorVector(gpu, { ...launched, count: size, square: row.slot, squareAt: part * size });
      else {
        const places = { rowAt: part * matrix.rows, colAt: part * matrix.cols };
        adafactorMatrix(gpu, { ...launched, ...matrix, row: row.slot, col: col!.slot, ...places });
      }
    }
  }

  /** Drops the gradients of its parameters. */
  zeroGrad(): void {
    for (const { params } of this.groups) for (const tensor of params) tensor.dropGradient();
  }

  /** The state of a parameter, or undefined before its first step. */
  state(value: Tensor): OptimizerState | undefined {
    const { step, squares } = this.entries.get(value) ?? { step: 0, squares: null };
    if (step === 0 || squares === null) return undefined;
    const { row, col } = squares;
    return col === null ? { step, expAvgSq: row } : { step, expAvgSqRow: row, expAvgSqCol: col };
  }

  /**
   * Puts back a state read from a checkpoint. Throws `CheckpointError` if sizes or kinds differ, `ConfigError` for
   * a parameter that is not the optimizer's.
   */
  loadState(value: Tensor, { step, expAvg, expAvgSq, expAvgSqRow, expAvgSqCol }: SavedState): void {
    const entry = this.entries.get(value);
    if (entry === undefined)
      throw new ConfigError(`Adafactor: ${value} is none of its parameters`, {
        remedy: 'pass a tensor that the optimizer was made with',
      });
    const [row, col] = entry.matrix === null ? [expAvgSq] : [expAvgSqRow, expAvgSqCol];
    const squares = squaresOf(entry);
    const fits =
      expAvg === undefined && row?.length === squares.row.size && col?.length === squares.col?.size;
    entry.squares?.row.dispose();
    entry.squares?.col?.dispose();
    entry.squares = squares;
    if (!fits)
      throw new CheckpointError(
        `Adafactor: the state is not that of a parameter ${formatShape(value.shape)}`,
        {
          remedy: `give ${entry.matrix === null ? 'expAvgSq' : 'expAvgSqRow and expAvgSqCol'}`,
        },
      );
    squares.row.write(row!);
    if (col !== undefined) squares.col?.write(col);
    entry.step = step;
  }

  dispose(): void {
    for (const entry of this.entries.values()) {
      entry.squares?.row.dispose();
      entry.squares?.col?.dispose();
      entry.squares = null;
      entry.step = 0;
    }
    this.unscaled?.dispose();
    this.unscaled = null;
  }

  private noScale({ device }: Tensor): Tensor {
    if (this.unscaled === null) {
      this.unscaled = device.raw([2]);
      this.unscaled.write(Float32Array.of(0, 1));
    }
    return this.unscaled;
  }
}

function filled(group: AdafactorGroup, options: AdafactorOptions): FilledGroup {
  checkOptions('Adafactor: a group of parameters', group, groupNames, advice);
  const lr = group.lr ?? options.lr ?? 1e-3;
  const eps = group.eps ?? options.eps ?? 1e-30;
  const clipThreshold = group.clipThreshold ?? options.clipThreshold ?? 1;
  const decayRate = group.decayRate ?? options.decayRate ?? -0.8;
  const weightDecay = group.weightDecay ?? options.weightDecay ?? 0;
  check('Adafactor: lr', lr, lr >= 0 && Number.isFinite(lr), 'use a finite number ≥ 0');
  check('Adafactor: eps', eps, eps >= 0, 'use a number ≥ 0');
  check('Adafactor: clipThreshold', clipThreshold, clipThreshold > 0, 'use a number > 0');
  check('Adafactor: decayRate', decayRate, decayRate <= 0, 'use a number ≤ 0');
  check('Adafactor: weightDecay', weightDecay, weightDecay >= 0, 'use a number ≥ 0');
  return { params: group.params, lr, initialLr: lr, eps, clipThreshold, decayRate, weightDecay };
}

/** Memory for the means, filled with zeros. */
function squaresOf({ value, parts, matrix }: Entry): NonNullable<Entry['squares']> {
  const { device, size } = value;
  const zeros = (count: number): Tensor => {
    const made = device.raw([count]);
    device.fill(made, 0);
    return made;
  };
  if (matrix === null) return { row: zeros(size), col: null };
  return { row: zeros(parts * matrix.rows), col: zeros(parts * matrix.cols) };
}
