/** Dynamic loss scaling (Micikevicius et al., "Mixed Precision Training", 2018). */

import { updateLossScale } from '../kernels/optimizer.ts';
import { check, checkOptions } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';

export interface GradScalerOptions {
  initScale?: number;
  growthFactor?: number;
  backoffFactor?: number;
  /** Consecutive steps with finite gradients before the scale grows. */
  growthInterval?: number;
}

/** What a checkpoint keeps of a scaler. */
export interface GradScalerState {
  scale: number;
  growthTracker: number;
  /** Steps left out so far because gradients were not finite. */
  skippedSteps: number;
}

/**
 * Keeps float16 gradients from vanishing, as torch.amp.GradScaler and with its defaults: the loss is
 * multiplied by a scale, which halves whenever that made gradients infinite or NaN, and that step is left
 * out; it doubles after 2,000 steps that were finite. All of it happens on the GPU, so that nothing waits:
 *
 *     loss.backward(scaler.scale);
 *     const gradScale = clipFactor(parameters, maxNorm, { lossScale: scaler });
 *     optimizer.step({ gradScale, skipNonFinite: true });
 *     scaler.update(gradScale);
 */
export class GradScaler {
  /** The scale, a scalar on the GPU. */
  readonly scale: Tensor;
  /** [scale, growth tracker, skipped steps]; `scale` is its first number. */
  private readonly values: Tensor;
  private readonly rule: Required<Omit<GradScalerOptions, 'initScale'>>;

  /** Throws `ConfigError` for numbers that cannot work. */
  constructor(device: Device, options: GradScalerOptions = {}) {
    checkOptions<GradScalerOptions>('GradScaler', options, {
      initScale: true,
      growthFactor: true,
      backoffFactor: true,
      growthInterval: true,
    });
    const { initScale = 65_536, growthFactor = 2, backoffFactor = 0.5, growthInterval = 2000 } = options;
    const finite = initScale > 0 && Number.isFinite(initScale);
    const shrinks = backoffFactor > 0 && backoffFactor < 1;
    const counts = Number.isInteger(growthInterval) && growthInterval >= 1;
    check('GradScaler: initScale', initScale, finite, 'use a finite number > 0');
    check('GradScaler: growthFactor', growthFactor, growthFactor > 1, 'use a number > 1');
    check('GradScaler: backoffFactor', backoffFactor, shrinks, 'use a number between 0 and 1');
    check('GradScaler: growthInterval', growthInterval, counts, 'use an integer of 1 or more');
    this.rule = { growthFactor, backoffFactor, growthInterval };
    this.values = device.raw([3]);
    this.scale = this.values.alias([]);
    this.loadState({ scale: initScale, growthTracker: 0, skippedSteps: 0 });
  }

  /**
   * Adapts the scale after a step; `gradScale` is the result of `clipFactor`, null if there were no
   * gradients.
   */
  update(gradScale: Tensor | null): void {
    if (gradScale === null) return;
    updateLossScale(gradScale.device.gpu, { norm: gradScale.slot, state: this.values.slot, ...this.rule });
  }

  async state(): Promise<GradScalerState> {
    const [scale, growthTracker, skippedSteps] = await this.values.float32Data();
    return { scale: scale!, growthTracker: growthTracker!, skippedSteps: skippedSteps! };
  }

  loadState({ scale, growthTracker, skippedSteps }: GradScalerState): void {
    this.values.write(Float32Array.of(scale, growthTracker, skippedSteps));
  }

  dispose(): void {
    this.scale.dispose();
    this.values.dispose();
  }
}
