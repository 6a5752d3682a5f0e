/** Trackers by the names of `reportTo`. */
import type { TrainerCallback } from './callbacks.ts';
import { CurvesCallback } from './curves-page.ts';
import { TensorBoardCallback } from './tensorboard.ts';
import type { Tracker } from './tracker-names.ts';

const trackers: Record<Tracker, () => TrainerCallback> = {
  tensorboard: () => new TensorBoardCallback(),
  html: () => new CurvesCallback(),
};

/** The callbacks of the trackers that a training reports to. */
export function trackersOf(names: 'none' | readonly Tracker[]): TrainerCallback[] {
  return names === 'none' ? [] : names.map((name) => trackers[name]());
}
