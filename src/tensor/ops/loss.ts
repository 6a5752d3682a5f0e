/** Losses: means over all that counts. */

import { AutogradError, ShapeError } from '../../errors.ts';
import { crossEntropyGradient, crossEntropy as crossEntropyKernel, pairLoss } from '../../kernels/loss.ts';
import { sum as sumKernel } from '../../kernels/reduce.ts';
import { type Advice, check, checkOptions, type OptionNames } from '../../options.ts';
import { defineOp } from '../op.ts';
import { formatShape, sameShape } from '../shape.ts';
import { isGradEnabled } from '../tape.ts';
import type { Tensor } from '../tensor.ts';

/** The label that a loss ignores: of special tokens and padding. */
export const IGNORED = -100;

export interface CrossEntropyOptions {
  /** Targets with this value do not count. Default −100. */
  ignoreIndex?: number;
  /**
   * Clamp targets to 0 … number of classes first; with that number as `ignoreIndex` this is transformers'
   * rule for answer spans.
   */
  clampTargets?: boolean;
  /** Part of each target that is spread evenly over all classes, from 0 to below 1. Default 0. */
  labelSmoothing?: number;
  /** float32 [classes]: weights of the targets, and in the mean. Gradients do not reach it. */
  weight?: Tensor | undefined;
}

const crossEntropyOptionNames: OptionNames<CrossEntropyOptions> = {
  ignoreIndex: true,
  clampTargets: true,
  labelSmoothing: true,
  weight: true,
};

/** Remedies for options of PyTorch's losses that are missing here. */
const advice: Advice = {
  reduction: 'leave it out: a loss is the mean',
  weight: 'only crossEntropy has weights of classes',
  posWeight: 'only crossEntropy has weights of classes',
  labelSmoothing: 'only crossEntropy has label smoothing',
};

type Launched = Record<'x' | 'targets' | 'stats' | 'valid', Tensor> & { weight?: Tensor | undefined };
type OpOptions = Required<Pick<CrossEntropyOptions, 'ignoreIndex' | 'clampTargets' | 'labelSmoothing'>>;

const launchOf = (
  { x, targets, stats, valid, weight }: Launched,
  { ignoreIndex, clampTargets, labelSmoothing }: OpOptions,
) => ({
  x: x.slot,
  targets: targets.slot,
  stats: stats.slot,
  valid: valid.slot,
  rows: targets.size,
  cols: x.shape.at(-1)!,
  ignoreIndex,
  clampTargets,
  weighting: weight && { weight: weight.slot, smoothing: labelSmoothing },
});

const crossEntropyOp = defineOp({
  name: 'crossEntropy',
  inputs: { x: 'float32', targets: 'int32', weight: 'float32?' },
  shape: ({ x, targets, weight }, { ignoreIndex, clampTargets }: OpOptions) => {
    if (x.rank < 1 || !sameShape(x.shape.slice(0, -1), targets.shape) || x.size === 0) {
      throw new ShapeError(
        `crossEntropy: logits ${formatShape(x.shape)} · targets ${formatShape(targets.shape)}`,
        { remedy: 'logits must be [..., classes] and targets [...]' },
      );
    }
    const classes = x.shape.at(-1)!;
    if (weight !== undefined && !sameShape(weight.shape, [classes]))
      throw new ShapeError(`crossEntropy: weight ${formatShape(weight.shape)} · ${classes} classes`, {
        remedy: 'give a weight for each class',
      });
    const stray = clampTargets
      ? undefined
      : targets.integers?.find((target) => target !== ignoreIndex && (target < 0 || target >= classes));
    if (stray !== undefined) {
      throw new ShapeError(`crossEntropy: target ${stray} is not a class from 0 to ${classes - 1}`, {
        remedy: `check numLabels; ${ignoreIndex} marks what does not count`,
      });
    }
    return { shape: [], dtype: 'float32' };
  },
  forward: ({ x, targets, weight }, y, options) => {
    const extras = { stats: x.device.raw([targets.size, 4]), valid: x.device.raw([1]) };
    crossEntropyKernel(x.device.gpu, {
      ...launchOf({ x, targets, weight, ...extras }, options),
      loss: y.slot,
    });
    return extras;
  },
  saves: ['x', 'targets', 'stats', 'valid', 'weight'],
  backward: ({ dy, saved, options }) => {
    const dx = dy.device.raw(saved.x.shape);
    crossEntropyGradient(dy.device.gpu, { ...launchOf(saved, options), dy: dy.slot, dx: dx.slot });
    return { x: dx };
  },
});

/**
 * −log softmax(logits)[target], averaged over the targets that are not `ignoreIndex`; 0 if all are ignored
 * (PyTorch gives NaN). With `weight` and `labelSmoothing` as in PyTorch: a target counts its class's weight.
 * logits float32 [..., classes], targets int32 [...] → []. Throws `ShapeError` if shapes do not fit, or for a
 * target outside the classes if the host knows the targets; `ConfigError` for a smoothing that is no part.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  checkOptions('crossEntropy', options, crossEntropyOptionNames, advice);
  const { ignoreIndex = IGNORED, clampTargets = false, labelSmoothing = 0 } = options;
  const part = labelSmoothing >= 0 && labelSmoothing < 1;
  check('crossEntropy: labelSmoothing', labelSmoothing, part, 'use a number from 0 to below 1');
  const plain = labelSmoothing === 0 ? undefined : logits.device.ones([logits.shape.at(-1) ?? 1]);
  const { weight = plain } = options;
  return crossEntropyOp(
    { x: logits, targets, weight: weight?.detach() },
    { ignoreIndex, clampTargets, labelSmoothing },
  );
}

function definePairLoss(
  name: 'mseLoss' | 'bceWithLogits',
  loss: 'mse' | 'bce',
): (x: Tensor, targets: Tensor, options?: Record<string, never>) => Tensor {
  const pair = (x: Tensor, targets: Tensor) => ({ loss, x: x.slot, targets: targets.slot, count: x.size });
  const op = defineOp({
    name,
    inputs: { x: 'float32', targets: 'float32' },
    shape: ({ x, targets }) => {
      if (isGradEnabled() && targets.requiresGrad)
        throw new AutogradError(`${name}: the targets require a gradient, and get none`, {
          remedy: 'detach() them',
        });
      if (!sameShape(x.shape, targets.shape) || x.size === 0) {
        throw new ShapeError(
          `${name}: input ${formatShape(x.shape)} · targets ${formatShape(targets.shape)}`,
          { remedy: 'both must have the same shape' },
        );
      }
      return { shape: [], dtype: 'float32' };
    },
    forward: ({ x, targets }, y) => {
      const { device } = x;
      const losses = device.raw(x.shape);
      pairLoss(device.gpu, { ...pair(x, targets), y: losses.slot });
      sumKernel(device.gpu, { x: losses.slot, y: y.slot, outer: 1, n: x.size, inner: 1 });
      losses.dispose();
    },
    saves: ['x', 'targets'],
    backward: ({ dy, saved: { x, targets } }) => {
      const dx = dy.device.raw(x.shape);
      pairLoss(dy.device.gpu, { ...pair(x, targets), dy: dy.slot, y: dx.slot });
      return { x: dx };
    },
  });
  return (x, targets, options) => {
    checkOptions(name, options, {}, advice);
    return op({ x, targets });
  };
}

/** mean (x − target)². Gradients reach x only. */
export const mseLoss = definePairLoss('mseLoss', 'mse');
/**
 * Binary cross-entropy of sigmoid(x) against targets in [0, 1], averaged over all elements. Gradients reach x
 * only.
 */
export const bceWithLogits = definePairLoss('bceWithLogits', 'bce');
