/**
 * Special values and equal numbers, as PyTorch 2.13 treats them: functions, comparisons, extremes. The op table
 * has the rest.
 */
import { describe, expect, it } from 'vitest';
import { DtypeError } from '../../src/errors.ts';
import { eq, ge, gt, le, lt, maximum, minimum, ne, where } from '../../src/tensor/ops/compare.ts';
import { mul, to } from '../../src/tensor/ops/elementwise.ts';
import { amax, argmax, argmin, max, min } from '../../src/tensor/ops/extremes.ts';
import { abs, clamp, log, pow, sqrt } from '../../src/tensor/ops/functions.ts';
import { cat, stack } from '../../src/tensor/ops/join.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();
const nan = Number.NaN;
const inf = Number.POSITIVE_INFINITY;

/** The values of f, and its gradient by each input. */
async function both(f: (...inputs: Tensor[]) => Tensor, ...values: number[][]): Promise<number[][]> {
  using _scope = device.current.scope();
  const inputs = values.map((one) => device.current.tensor(one));
  for (const input of inputs) input.requiresGrad = true;
  const y = f(...inputs);
  sum(y).backward();
  const read = async (x: Tensor): Promise<number[]> => [...(await x.data())].map((v) => v + 0);
  return [await read(y), ...(await Promise.all(inputs.map(({ grad }) => read(grad!))))];
}

describe('functions of special values', () => {
  it.each<[string, (x: Tensor) => Tensor, number[], number[], number[]]>([
    ['log', log, [-1, 0, 1, nan, inf], [nan, -inf, 0, nan, inf], [-1, inf, 1, nan, 0]],
    ['sqrt', sqrt, [-1, 0, 4, nan, inf], [nan, 0, 2, nan, inf], [nan, inf, 0.25, nan, 0]],
    ['abs', abs, [-1, 0, 3, nan, -inf], [1, 0, 3, nan, inf], [-1, 0, 1, 0, -1]],
    [
      'clamp',
      (x) => clamp(x, { min: 0, max: 1 }),
      [-1, 0, 0.5, 1, 2, nan, inf, -inf],
      [0, 0, 0.5, 1, 1, nan, 1, 0],
      [0, 1, 1, 1, 0, 0, 0, 0],
    ],
    ['clamp to a minimum', (x) => clamp(x, { min: 0 }), [-1, inf], [0, inf], [0, 1]],
    ['clamp to crossed limits', (x) => clamp(x, { min: 2, max: 1 }), [-1, 1.5, 3], [1, 1, 1], [0, 0, 0]],
    ['x^0', (x) => pow(x, 0), [-2, 0, nan, inf], [1, 1, 1, 1], [0, 0, 0, 0]],
    ['x^1', (x) => pow(x, 1), [-2, 0, nan, inf], [-2, 0, nan, inf], [1, 1, 1, 1]],
    ['x^2', (x) => pow(x, 2), [-2, 0, 3, nan, -inf], [4, 0, 9, nan, inf], [-4, 0, 6, nan, -inf]],
    ['x^3', (x) => pow(x, 3), [-2, 0, 3, -inf], [-8, 0, 27, -inf], [12, 0, 27, inf]],
    ['x^−2', (x) => pow(x, -2), [-2, 0, 4, -inf], [0.25, inf, 0.0625, 0], [0.25, -inf, -0.03125, 0]],
    ['x^½', (x) => pow(x, 0.5), [-2, 0, 4, inf], [nan, 0, 2, inf], [nan, inf, 0.25, 0]],
    [
      'x^40',
      (x) => pow(x, 40),
      [-2, 0, 1e9, -inf],
      [2 ** 40, 0, inf, inf],
      [-(2 ** 44.321928094887), 0, inf, -inf],
    ],
    ['x^41', (x) => pow(x, 41), [-1, -inf], [-1, -inf], [41, inf]],
  ])('%s', async (_, f, x, values, gradient) => {
    const got = await both(f, x);
    for (const [at, expected] of [values, gradient].entries())
      for (const [i, value] of expected.entries())
        if (Math.abs(value) > 1e9 && Number.isFinite(value)) expect(got[at]![i]! / value).toBeCloseTo(1, 5);
        else expect(got[at]![i], `${x[i]}: ${got[at]}`).toBe(value);
  });

  it('a^b of tensors, by either', async () => {
    const got = await both(pow, [2, 0, 0, -2, 0, nan, 1], [3, 0, 2, 2, -1, 0, nan]);
    expect(got[0]).toEqual([8, 1, 0, 4, inf, 1, 1]);
    expect(got[1]).toEqual([12, 0, 0, -4, -inf, 0, nan]);
    expect(got[2]![0]).toBeCloseTo(8 * Math.LN2, 5);
    expect(got[2]!.slice(1)).toEqual([0, 0, nan, -inf, nan, 0]);
  });

  it.each([
    ['maximum', maximum, [1, 3, 3, nan, nan], [0.5, 0, 1, 1, 1], [0.5, 1, 0, 1, 1]],
    ['minimum', minimum, [1, 2, 2, nan, nan], [0.5, 1, 0, 1, 1], [0.5, 0, 1, 1, 1]],
  ] as const)('%s', async (_, f, ...expected) => {
    expect(await both(f as typeof maximum, [1, 2, 3, nan, 1], [1, 3, 2, 1, nan])).toEqual(expected);
  });
});

describe('comparisons', () => {
  const results = async (a: Tensor, b: Tensor | number): Promise<Record<string, readonly number[]>> => {
    const all = Object.entries({ eq, ne, lt, le, gt, ge });
    return Object.fromEntries(
      await Promise.all(all.map(async ([name, f]) => [name, [...(await f(a, b).data())]] as const)),
    );
  };

  it('with NaN are false, but for ne; any length', async () => {
    using _scope = device.current.scope();
    const [x, y] = [device.current.tensor([nan, 1, 2, inf]), device.current.tensor([nan, nan, 2, inf])];
    for (const [a, b] of [
      [x, y],
      [device.current.tensor([nan, 1, 2, inf, 3]), device.current.tensor([nan, nan, 2, inf, 3])],
    ] as const) {
      const rest = Array(a.size - 2).fill(1);
      const none = Array(a.size - 2).fill(0);
      expect(await results(a, b)).toEqual({
        eq: [0, 0, ...rest],
        ne: [1, 1, ...none],
        lt: [0, 0, ...none],
        le: [0, 0, ...rest],
        gt: [0, 0, ...none],
        ge: [0, 0, ...rest],
      });
    }
  });

  it('take a number, and tensors that require a gradient', async () => {
    using _scope = device.current.scope();
    const x = device.current.tensor([-1, 0, 2.5]);
    x.requiresGrad = true;
    const y = gt(x, 0);
    expect([y.dtype, y.requiresGrad, [...(await y.data())]]).toEqual(['int32', false, [0, 0, 1]]);
    const ids = device.current.tensor(Int32Array.of(16_777_217, 0, -1));
    expect([...(await eq(ids, 16_777_217).data())]).toEqual([1, 0, 0]);
    expect(() => eq(ids, 0.5)).toThrow(DtypeError);
    expect(() => eq(ids, x)).toThrow(/a is int32, b is float32/);
  });

  it('of float16, and a choice', async (context) => {
    if (!device.current.gpu.float16) context.skip('this adapter has no float16');
    using _scope = device.current.scope();
    for (const count of [3, 4]) {
      const [x, y] = [
        [0.1, nan, 2, 3],
        [0.1, 1, -2, 5],
      ].map((row) => to(device.current.tensor(row.slice(0, count)), 'float16'));
      expect((await results(x!, y!)).eq).toEqual([1, 0, 0, 0].slice(0, count));
      expect((await results(x!, 0.1)).ge).toEqual([1, 0, 1, 1].slice(0, count));
      const chosen = where(lt(x!, y!), x!, y!);
      expect([chosen.dtype, [...(await to(mul(chosen, chosen), 'float32').data())].map(Math.round)]).toEqual([
        'float16',
        [0, 1, 4, 9].slice(0, count),
      ]);
    }
  });

  it('choose by where, integers and numbers too, and split the gradient', async () => {
    using _scope = device.current.scope();
    const x = device.current.tensor([-1, nan, 2.5]);
    x.requiresGrad = true;
    const chosen = where(ne(x, x), 0, x);
    expect([...(await chosen.data())]).toEqual([-1, 0, 2.5]);
    sum(mul(chosen, device.current.tensor([1, 2, 3]))).backward();
    expect([...(await x.grad!.data())]).toEqual([1, 0, 3]);
    const ids = device.current.tensor(Int32Array.of(0x7fa00001, 7, -2));
    expect([...(await where(gt(ids, 0), ids, -100).data())]).toEqual([0x7fa00001, 7, -100]);
    expect(() => where(ids, 1, 2 as never)).toThrow(DtypeError);
    expect(() => where(x, x, x)).toThrow(DtypeError);
  });
});

describe('extremes', () => {
  it('share a gradient as PyTorch: max over a dimension to the first, amax and max of all evenly', async () => {
    const values = [1, 3, 3, 2];
    expect(await both((x) => max(x, 0).values, values)).toEqual([[3], [0, 1, 0, 0]]);
    expect(await both((x) => amax(x, 0), values)).toEqual([[3], [0, 0.5, 0.5, 0]]);
    expect(await both((x) => max(x), values)).toEqual([[3], [0, 0.5, 0.5, 0]]);
    expect(await both((x) => min(x), [2, 1, 1, 1, 1])).toEqual([[1], [0, 0.25, 0.25, 0.25, 0.25]]);
  });

  it('are NaN if there is one, also beyond the first chunk', async () => {
    expect(await both((x) => max(x, 0).values, [1, nan, 3, nan])).toEqual([[nan], [0, 1, 0, 0]]);
    expect(await both((x) => amax(x, 0), [1, nan, 3, nan])).toEqual([[nan], [0, 0.5, 0, 0.5]]);
    using _scope = device.current.scope();
    const values = Float32Array.from({ length: 300 }, (_, i) => i % 7);
    const x = device.current.tensor(values);
    expect([await argmax(x).item(), await argmin(x).item()]).toEqual([6, 0]);
    values[201] = nan;
    const y = device.current.tensor(values);
    expect([await argmax(y).item(), await argmin(y).item()]).toEqual([201, 201]);
    expect(await argmax(device.current.full([9], -inf)).item()).toBe(0);
  });

  it('give indices of int32 beside values of the type of x', async () => {
    using _scope = device.current.scope();
    const { values, indices } = max(device.current.tensor([1, 5, 4, 2], [2, 2]), 1, true);
    expect([values.shape, values.dtype, indices.shape, indices.dtype]).toEqual([
      [2, 1],
      'float32',
      [2, 1],
      'int32',
    ]);
    expect([[...(await values.data())], [...(await indices.data())]]).toEqual([
      [5, 4],
      [1, 0],
    ]);
    expect(max(device.current.zeros([0, 3]), 1).values.shape).toEqual([0]);
  });
});

describe('cat', () => {
  it('joins integers and float16, and leaves out tensors of shape [0]', async () => {
    using _scope = device.current.scope();
    const ids = [Int32Array.of(1, 2), Int32Array.of(3)].map((one) => device.current.tensor(one));
    const all = cat([device.current.zeros([0], 'int32'), ...ids]);
    expect([all.dtype, [...(await all.data())]]).toEqual(['int32', [1, 2, 3]]);
    expect(cat([device.current.zeros([0]), device.current.ones([2, 2])]).shape).toEqual([2, 2]);
    expect(() => cat([])).toThrow(/cat: there are no tensors/);
    expect(() => stack([])).toThrow(/stack: there are no tensors/);
    expect(() => cat([device.current.ones([2]), ids[0]!])).toThrow(/tensor 0 is float32, tensor 1 int32/);
    if (!device.current.gpu.float16) return;
    const halves = [
      [1, 0.1, 3],
      [4, 5, 6],
    ].map((row) => to(device.current.tensor(row), 'float16'));
    halves[0]!.requiresGrad = true;
    const rows = stack(halves, 1);
    expect([...(await rows.data())].map((v) => Math.round(v * 1000) / 1000)).toEqual([1, 4, 0.1, 5, 3, 6]);
    sum(to(rows, 'float32')).backward();
    expect([...(await halves[0]!.grad!.data())]).toEqual([1, 1, 1]);
  });
});
