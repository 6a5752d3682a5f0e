/** Launcher for gated linear units, forward and backward. */
import type { GpuContext } from '../gpu/context.ts';
import { floatDtypeOf } from '../gpu/dtype.ts';
import { type Activation, activations } from './activations.ts';
import { family, fitting } from './elements.ts';
import { launch, loopGrid, rowWindows, type Slot, slice } from './launch.ts';

const kernels = (BACKWARD: boolean) =>
  Object.fromEntries(
    activations.map((ACTIVATION) => [ACTIVATION, family('gated', { BACKWARD, ACTIVATION })]),
  ) as Record<Activation, ReturnType<typeof family>>;
const forward = kernels(false);
const backward = kernels(true);

export interface GatedLaunch {
  /** [rows, 2 · width]. */
  x: Slot;
  /** The gradient of the result, [rows, width]; `y` is then that of x. */
  dy?: Slot;
  y: Slot;
  rows: number;
  width: number;
  activation: Activation;
}

/** y = activation(first half of x) · second half; or, if there is a `dy`, the gradient of x. */
export function gated(gpu: GpuContext, { x, dy, y, rows, width, activation }: GatedLaunch): void {
  const variants = (dy === undefined ? forward : backward)[activation];
  const { variant, width: numbers } = fitting(variants[floatDtypeOf(x)], width);
  for (const w of rowWindows(gpu, rows, 2 * width)) {
    const elements = (w.count * width) / numbers;
    const slots =
      dy === undefined
        ? [slice(x, w, 2 * width), slice(y, w, width)]
        : [slice(x, w, 2 * width), slice(dy, w, width), slice(y, w, 2 * width)];
    launch(gpu, variant, slots, { uints: [elements, width / numbers] }, loopGrid(gpu, elements));
  }
}
