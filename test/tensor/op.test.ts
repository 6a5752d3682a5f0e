/** The context that backward gets; see op-types.ts for the names that do not compile. */
import { expect, it } from 'vitest';
import { defineOp } from '../../src/tensor/op.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();

it('gives backward the saved tensors, needs, options, shapes and dtypes by name', async () => {
  const seen: unknown[] = [];
  const op = defineOp({
    name: 'test',
    inputs: { x: 'float', weight: 'float32', mask: 'int32?' },
    shape: ({ x }, _options: { factor: number }) => ({ shape: x.shape, dtype: x.dtype }),
    forward: ({ x }, y) => {
      device.current.fill(y, 3);
      const extra = x.device.raw([1]);
      device.current.fill(extra, 4);
      return { extra, unsaved: x.device.raw([5]) };
    },
    saves: ['x', 'mask', 'extra', 'y'],
    backward: (context) => {
      const { dy, saved, needs, options } = context;
      seen.push(Object.keys(saved), needs, options, context.shape('weight'), context.dtype('mask'));
      seen.push(device.current.keep(saved.extra.detach()), device.current.keep(saved.y.detach()));
      return { x: dy.alias() };
    },
  });
  const before = device.current.statistics().live;
  const [x, weight] = [device.current.tensor([1, 2]), device.current.zeros([7])];
  const mask = device.current.zeros([1], 'int32');
  x.requiresGrad = true;
  const y = op({ x, weight, mask }, { factor: 2 });
  // Its shape and dtype outlive it.
  weight.dispose();
  const total = sum(y);
  total.backward();
  const [extra, result] = seen.splice(5) as (typeof x)[];
  expect(seen).toEqual([
    ['x', 'mask', 'extra', 'y'],
    { x: true, weight: false, mask: false },
    { factor: 2 },
    [7],
    'int32',
  ]);
  expect([...(await extra!.data()), ...(await result!.data())]).toEqual([4, 3, 3]);
  expect([...(await x.grad!.data())]).toEqual([1, 1]);
  for (const tensor of [x, mask, y, total, extra!, result!]) tensor.dispose();
  expect(device.current.statistics().live).toBe(before);
});
