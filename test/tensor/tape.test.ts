/** The tape: accumulation, sharing, freezing, and what it refuses. */
import { describe, expect, it } from 'vitest';
import { add, mul, scale } from '../../src/tensor/ops/elementwise.ts';
import { positionIds } from '../../src/tensor/ops/embedding.ts';
import { matmulActivation } from '../../src/tensor/ops/matmul.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import { reshape } from '../../src/tensor/ops/view.ts';
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
    // Both sides of the sum get the same dy; then one of them gets more.
    sum(add(add(a, b), a)).backward();
    expect(await grad(a)).toEqual([2, 2]);
    expect(await grad(b)).toEqual([1, 1]);
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

  it('takes a gradient for what is no scalar', async () => {
    using _scope = device.current.scope();
    const x = leaf(1, 2);
    mul(x, x).backward(device.current.tensor([10, 100]));
    expect(await grad(x)).toEqual([20, 400]);
  });

  it('frees what it saved, also where backward never comes', () => {
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
      const weight = reshape(leaf(1), [1, 1]);
      return matmulActivation(weight, weight, undefined, 'gelu');
    },
    'integers that require gradients': () => {
      device.current.tensor(Int32Array.of(1)).requiresGrad = true;
    },
    'a computed tensor to be frozen': () => {
      mul(leaf(1), leaf(1)).requiresGrad = false;
    },
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
