/** Values come as promises; using one as if it were the value throws an error that names the remedy. */
import { describe, expect, it } from 'vitest';
import { DawngradError } from '../../src/errors.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();

describe.each(['item', 'data', 'float32Data'] as const)('%s()', (name) => {
  const uses: Record<string, (promise: Promise<unknown>) => unknown> = {
    'in a text': (promise) => `loss ${promise}`,
    'added up': (promise) => (promise as unknown as number) + 1,
    compared: (promise) => (promise as unknown as number) < 1,
    'as JSON': (promise) => JSON.stringify({ loss: promise }),
    'as a number': (promise) => Number(promise),
  };
  it.each(Object.entries(uses))('%s', async (_, use) => {
    using _scope = device.current.scope();
    const promise = device.current.tensor([2.5])[name]();
    expect(() => use(promise)).toThrow(DawngradError);
    expect(() => use(promise)).toThrow(`${name}() is a promise · await it: await tensor.${name}()`);
    await promise;
  });

  it('is otherwise a promise like any other', async () => {
    using _scope = device.current.scope();
    const tensor = device.current.tensor([2.5]);
    const values = [await tensor[name](), ...(await Promise.all([tensor[name]()]))];
    expect(values.map((value) => (typeof value === 'number' ? value : value[0]))).toEqual([2.5, 2.5]);
    expect(Object.keys(tensor[name]())).toEqual([]);
  });
});

it('rejects, and does not throw, if there is no such value', async () => {
  using _scope = device.current.scope();
  const [pair, integers] = [device.current.ones([2]), device.current.zeros([2], 'int32')];
  await expect(pair.item()).rejects.toThrow('item: [2] has 2 elements · use data()');
  await expect(integers.float32Data()).rejects.toThrow('float32Data: the tensor is int32 · use data()');
  pair.dispose();
  await expect(pair.data()).rejects.toThrow('was disposed');
});
