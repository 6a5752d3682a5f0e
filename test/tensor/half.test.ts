/** Tests the op table again, with float16 for every input that may have it. */
import { beforeEach, describe, expect, it } from 'vitest';
import { DtypeError } from '../../src/errors.ts';
import type { GpuOptions } from '../../src/gpu/options.ts';
import { mul, to } from '../../src/tensor/ops/elementwise.ts';
import { feedForward } from '../../src/tensor/ops/feed-forward.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import { float16Copy } from '../../src/tensor/parameters.ts';
import { useDevice } from '../support/device.ts';
import { operations } from './every-op.ts';
import { checkRow } from './op-check.ts';
import { asHalves } from './op-differences.ts';
import type { OpRow } from './op-row.ts';
import { opRows } from './op-rows.ts';

/**
 * float16 has 11 bits: storing a number rounds it by at most 5e-4 of itself, and some results are sums of
 * rounded numbers.
 */
const tolerances = { value: 2e-3, gradient: 2e-3 };

const settings: [string, GpuOptions, typeof tolerances][] = [
  ['kernels for CPU adapters', { kernels: 'cpu' }, tolerances],
  ['kernels for GPUs', { kernels: 'gpu' }, tolerances],
  // A product whose k spans several windows is stored, and rounded, after each of them.
  ['bindings of 512 bytes', { maxBindingBytes: 512 }, { value: 4e-3, gradient: 8e-3 }],
];

const rows = opRows.flatMap((row): [string, OpRow, readonly string[]][] => {
  const { halves, wide } = operations.get(row.op)!;
  const given = halves.filter((name) => name in row.shapes);
  if (given.length === 0) return [];
  const name = `${row.op} ${row.note}`;
  const all: [string, OpRow, readonly string[]] = [name, row, given];
  const narrow = given.filter((one) => !wide.includes(one));
  return wide.length === 0 ? [all] : [all, [`${name}, ${wide} in float32`, row, narrow]];
});

it('covers every op that takes float16', () => {
  const covered = new Set(rows.map(([, { op }]) => op));
  const able = [...operations].filter(([, { halves }]) => halves.length > 0).map(([name]) => name);
  expect(able.filter((name) => !covered.has(name)).sort()).toEqual(['dropout', 'to']);
});

describe.each(settings)('%s', (_, options, accepted) => {
  const device = useDevice(options);
  beforeEach((context) => {
    if (!device.current.gpu.float16) context.skip('this adapter has no float16');
  });

  it('casts there and back', async () => {
    const { current } = device;
    const values = [0, -0, 1, 1 / 3, -65_504, 65_520, -1e6, 6e-8, 1e-9, 2 ** -15, 3, 4, 5];
    using _scope = current.scope();
    const x = current.tensor(values);
    x.requiresGrad = true;
    const half = to(x, 'float16');
    expect(half.dtype).toBe('float16');
    const expected = [...asHalves(values)];
    expect([...(await half.data())]).toEqual(expected);
    const back = to(half, 'float32');
    expect([...(await back.data())]).toEqual(expected);
    sum(mul(back, current.tensor(values.map((_, i) => (i === 1 ? 1e6 : i))))).backward();
    expect([...(await x.grad!.data())]).toEqual([...asHalves(values.map((_, i) => (i === 1 ? 1e6 : i)))]);
  });

  it('fills and reads', async () => {
    const { current } = device;
    using _scope = current.scope();
    // A few elements, and more than the smallest binding holds.
    for (const size of [5, 1501])
      expect([...(await current.full([size], 0.1, 'float16').data())]).toEqual([
        ...asHalves(Array(size).fill(0.1)),
      ]);
    expect([...(await current.zeros([3], 'float16').data())]).toEqual([0, 0, 0]);
  });

  it.each(['inner', 'outer'])(
    'a feed-forward whose %s weight has the wrong type leaves nothing behind',
    (which) => {
      const { current } = device;
      using _scope = current.scope();
      const x = to(current.ones([3, 4]), 'float16');
      const layer = (name: string, shape: number[]) => {
        const leaf = current.ones(shape);
        leaf.requiresGrad = true;
        // Only a leaf may be float32 beside float16, not a computed tensor.
        return { weight: name === which ? mul(leaf, leaf) : leaf, bias: null };
      };
      const [inner, outer] = [layer('inner', [8, 4]), layer('outer', [4, 8])];
      for (const { weight } of [inner, outer]) if (weight.isLeaf) float16Copy(weight);
      const { live } = current.statistics();
      expect(() => feedForward(x, inner, outer, 'gelu')).toThrow(DtypeError);
      expect(current.statistics().live).toBe(live);
    },
  );

  it.each(rows)('%s', async (_name, row, halves) => {
    await checkRow(device.current, row, accepted, halves);
  });
});
