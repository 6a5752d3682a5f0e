/** The tape: accumulation, sharing, freezing, and what it refuses. */
import { describe, expect, it } from 'vitest';
import { DisposedError } from '../../src/errors.ts';
import { clipGradNorm } from '../../src/optim/clip.ts';
import { defineOp } from '../../src/tensor/op.ts';
import { attention } from '../../src/tensor/ops/attention.ts';
import { add, mul, scale } from '../../src/tensor/ops/elementwise.ts';
import { positionIds } from '../../src/tensor/ops/embedding.ts';
import { mseLoss } from '../../src/tensor/ops/loss.ts';
import { linear } from '../../src/tensor/ops/matmul.ts';
import { layerNorm } from '../../src/tensor/ops/normalize.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import { reshape, select } from '../../src/tensor/ops/view.ts';
import { isGradEnabled, noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();

function leaf(...values: number[]): Tensor {
  const tensor = device.current.tensor(values);
  tensor.requiresGrad = true;
  return tensor;
}
const grad = async (tensor: Tensor): Promise<number[]> => [...(await tensor.grad!.data())];

describe('backward', () => {
  it('adds up over paths, over uses and over calls', async () => {
    using _scope = device.current.scope();
    const x = leaf(2, -3);
    const y = mul(x, x);
    sum(add(add(y, y), scale(x, 5))).backward();
    expect(await grad(x)).toEqual([13, -7]);
    sum(x).backward();
    expect(await grad(x)).toEqual([14, -6]);
  });

  it('does not write through memory that two gradients share', async () => {
    using _scope = device.current.scope();
    const [a, b] = [leaf(1, 2), leaf(3, 4)];
    // Both sides of the inner sum get the same dy; then a gets more.
    sum(add(add(a, b), a)).backward();
    expect(await grad(a)).toEqual([2, 2]);
    expect(await grad(b)).toEqual([1, 1]);
  });

  it('gives each leaf a gradient of its own, and keeps the one it was given', async () => {
    using _scope = device.current.scope();
    const [a, b, c] = [leaf(1, 2), leaf(3, 4), leaf(5, 6)];
    const g = device.current.tensor([30, 40]);
    add(a, b).backward(g);
    reshape(c, [2]).backward(g);
    clipGradNorm([a, b], 1);
    for (const tensor of [a, b])
      for (const [at, value] of (await grad(tensor)).entries())
        expect(value).toBeCloseTo([30, 40][at]! / (50 * Math.SQRT2), 5);
    g.write(Float32Array.of(0, 0));
    expect(await grad(c)).toEqual([30, 40]);
  });

  it('goes over more dimensions than kernels walk', async () => {
    using _scope = device.current.scope();
    const x = device.current.zeros([2, 1, 1, 1, 1, 1, 3]);
    x.requiresGrad = true;
    sum(x, 6).backward(device.current.tensor([1, 2], [2, 1, 1, 1, 1, 1]));
    expect(await grad(x)).toEqual([1, 1, 1, 2, 2, 2]);
  });

  it('goes through views', async () => {
    using _scope = device.current.scope();
    const x = leaf(1, 2, 3, 4);
    const square = reshape(x, [2, -1]);
    sum(mul(square, square)).backward();
    expect(await grad(x)).toEqual([2, 4, 6, 8]);
  });

  it('leaves frozen leaves and detached tensors alone', async () => {
    using _scope = device.current.scope();
    const [a, b] = [leaf(1, 2), leaf(3, 4)];
    b.requiresGrad = false;
    sum(mul(a, b)).backward();
    expect(await grad(a)).toEqual([3, 4]);
    expect(b.grad).toBeNull();
    expect(mul(a, b).detach().requiresGrad).toBe(false);
    expect(mul(b, b).requiresGrad).toBe(false);
  });

  it('takes a gradient for a tensor that is no scalar', async () => {
    using _scope = device.current.scope();
    const x = leaf(1, 2);
    mul(x, x).backward(device.current.tensor([10, 100]));
    expect(await grad(x)).toEqual([20, 400]);
  });

  it('frees saved tensors, even if backward never runs', () => {
    const before = device.current.statistics().live;
    const x = leaf(1, 2);
    const y = mul(x, x);
    const square = mul(y, y);
    const z = sum(square);
    square.dispose();
    y.dispose();
    expect(device.current.statistics().live).toBe(before + 3);
    z.dispose();
    expect(device.current.statistics().live).toBe(before + 1);
    x.dispose();
    expect(device.current.statistics().live).toBe(before);
  });
});

describe('nothing is left behind', () => {
  const live = (): number => device.current.statistics().live;

  it('of gradients that nobody asked for', () => {
    const before = live();
    const q = device.current.zeros([1, 2, 4]);
    const k = device.current.zeros([1, 2, 4]);
    q.requiresGrad = true;
    const y = attention(q, k, k, { heads: 1 });
    y.backward(k);
    for (const tensor of [q, k, y]) tensor.dispose();
    expect(live()).toBe(before);
  });

  it('of a leaf that went before its gradient came', () => {
    const before = live();
    const [a, b] = [leaf(1), leaf(2)];
    const y = mul(a, b);
    a.dispose();
    y.backward();
    for (const tensor of [b, y]) tensor.dispose();
    expect(live()).toBe(before);
  });

  it('of intermediate tensors', () => {
    const before = live();
    const [x, w] = [device.current.zeros([2, 3]), device.current.zeros([3, 3])];
    x.requiresGrad = true;
    const made = [select(x, 0, 1), linear(x, w, undefined, 'gelu')];
    for (const tensor of [x, w, ...made]) tensor.dispose();
    expect(live()).toBe(before);
  });

  it('of an op whose input is gone', () => {
    const before = live();
    const [x, w] = [device.current.zeros([2, 3]), device.current.zeros([3])];
    w.dispose();
    expect(() => layerNorm(x, w, w)).toThrow(DisposedError);
    x.dispose();
    expect(live()).toBe(before);
  });
});

describe('noGrad', () => {
  it('records nothing, nests, and ends with an async body', async () => {
    using _scope = device.current.scope();
    const x = leaf(1);
    expect(noGrad(() => noGrad(() => mul(x, x)).requiresGrad)).toBe(false);
    const pending = noGrad(async () => {
      await Promise.resolve();
      return isGradEnabled();
    });
    expect(isGradEnabled()).toBe(false);
    expect(await pending).toBe(false);
    expect(isGradEnabled()).toBe(true);
    expect(() =>
      noGrad(() => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(isGradEnabled()).toBe(true);
  });
});

describe('what the tape refuses', () => {
  const attempts: Record<string, () => unknown> = {
    'a leaf without gradients': () => device.current.tensor([1]).backward(),
    'no scalar and no gradient': () => mul(leaf(1, 2), leaf(1, 2)).backward(),
    'a gradient of another shape': () => mul(leaf(1, 2), leaf(1, 2)).backward(device.current.tensor([1])),
    'a second backward': () => {
      const y = sum(mul(leaf(1), leaf(2)));
      y.backward();
      y.backward();
    },
    'an op without a backward on an input that needs gradients': () => {
      const oneWay = defineOp({
        name: 'oneWay',
        inputs: { x: 'float32' },
        shape: ({ x }) => ({ shape: x.shape, dtype: 'float32' }),
        forward: () => {},
        nonDifferentiable: 'this is a test',
      });
      return oneWay({ x: leaf(1) });
    },
    'integers that require gradients': () => {
      device.current.tensor(Int32Array.of(1)).requiresGrad = true;
    },
    'a computed tensor to be frozen': () => {
      mul(leaf(1), leaf(1)).requiresGrad = false;
    },
    'a gradient of integers': () =>
      mul(leaf(1, 2), leaf(1, 2)).backward(device.current.tensor(Int32Array.of(1, 2))),
    'targets that want a gradient': () => mseLoss(leaf(1, 2), leaf(1, 2)),
    'a float where integers are wanted': () => positionIds(device.current.zeros([1, 1]), 0),
  };

  it.each(Object.entries(attempts))('%s', (_, attempt) => {
    const before = device.current.statistics().live;
    const scope = device.current.scope();
    expect(attempt).toThrowErrorMatchingSnapshot();
    scope.close();
    expect(device.current.statistics().live).toBe(before);
  });
});
