/** AdamW and clipping against their formulas in double precision. */
import { describe, expect, it } from 'vitest';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipGradNorm } from '../../src/optim/clip.ts';
import { mul } from '../../src/tensor/ops/elementwise.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import { useDevice } from '../support/device.ts';
import { randomArray } from '../support/ndarray.ts';

const device = useDevice();

describe('AdamW', () => {
  it('follows PyTorch’s formula, moments and decay to single precision', async () => {
    const n = 1000;
    const start = Float32Array.from(randomArray([n], 1).data);
    const [lr, beta1, beta2, eps, decay] = [1e-2, 0.9, 0.999, 1e-8, 0.1];
    const weight = device.current.tensor(start);
    weight.requiresGrad = true;
    const optimizer = new AdamW([weight], { lr, betas: [beta1, beta2], eps, weightDecay: decay });
    const value = Float64Array.from(start);
    const [m, v] = [new Float64Array(n), new Float64Array(n)];
    for (let step = 1; step <= 5; step += 1) {
      using _scope = device.current.scope();
      const gradient = Float32Array.from(randomArray([n], 10 + step).data);
      sum(mul(weight, device.current.tensor(gradient))).backward();
      optimizer.step();
      optimizer.zeroGrad();
      for (let i = 0; i < n; i += 1) {
        const g = gradient[i]!;
        value[i]! *= 1 - lr * decay;
        m[i] = beta1 * m[i]! + (1 - beta1) * g;
        v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
        const root = Math.sqrt(v[i]! / (1 - beta2 ** step)) + eps;
        value[i]! -= ((lr / (1 - beta1 ** step)) * m[i]!) / root;
      }
      const got = await weight.float32Data();
      const state = optimizer.state(weight)!;
      const second = await state.expAvgSq.float32Data();
      expect(state.step).toBe(step);
      for (let i = 0; i < n; i += 1) {
        expect(Math.abs(got[i]! - value[i]!), `weight ${i} at step ${step}`).toBeLessThan(3e-7);
        expect(Math.abs(second[i]! - v[i]!), `moment ${i} at step ${step}`).toBeLessThan(
          1e-6 * v[i]! + 1e-12,
        );
      }
    }
    optimizer.dispose();
    weight.dispose();
  });
});

describe('clipGradNorm', () => {
  const norm = async (shapes: readonly number[][], maxNorm: number) => {
    using _scope = device.current.scope();
    const weights = shapes.map((shape) => device.current.zeros(shape));
    const gradients = shapes.map((shape, i) => Float32Array.from(randomArray(shape, 50 + i).data));
    for (const [i, weight] of weights.entries()) {
      weight.requiresGrad = true;
      sum(mul(weight, device.current.tensor(gradients[i]!, shapes[i]!))).backward();
    }
    const expected = Math.hypot(...gradients.flatMap((values) => [...values]));
    const [got, factor] = await clipGradNorm(weights, maxNorm)!.float32Data();
    const clipped = await Promise.all(weights.map((weight) => weight.grad!.float32Data()));
    const after = Math.hypot(...clipped.flatMap((values) => [...values]));
    return { expected, got: got!, factor: factor!, after };
  };

  it('brings the joint norm down', async () => {
    const { expected, got, factor, after } = await norm([[3, 5], [700], [1]], 0.5);
    expect(got / expected).toBeCloseTo(1, 6);
    expect(factor).toBeCloseTo(0.5 / (expected + 1e-6), 6);
    expect(after).toBeCloseTo(0.5, 5);
  });

  it('leaves gradients below it as they are', async () => {
    const { expected, factor, after } = await norm([[3, 5]], 100);
    expect(factor).toBe(1);
    expect(after).toBeCloseTo(expected, 6);
  });

  it('has nothing to do without gradients', () => {
    expect(clipGradNorm([], 1)).toBeNull();
  });
});
