/** Devices: lifetime of tensors, reading and writing, random numbers, errors of the GPU. */
import { describe, expect, it } from 'vitest';
import { GpuOutOfMemoryError } from '../../src/errors.ts';
import { requestDevice } from '../../src/tensor/device.ts';
import { add, mul } from '../../src/tensor/ops/elementwise.ts';
import { embedding } from '../../src/tensor/ops/embedding.ts';
import { reshape } from '../../src/tensor/ops/view.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();
const live = (): number => device.current.statistics().live;

describe('lifetime', () => {
  it('ends with the scope, unless kept', () => {
    const before = live();
    const scope = device.current.scope();
    const [a, b] = [device.current.zeros([4]), device.current.zeros([4])];
    {
      using _inner = device.current.scope();
      device.current.keep(add(a, b));
      mul(a, b);
    }
    expect(live()).toBe(before + 3);
    scope.keep(a);
    scope.close();
    scope.close();
    expect([a.disposed, b.disposed]).toEqual([false, true]);
    expect(live()).toBe(before + 2);
  });

  it('closes inner scopes with the outer one', () => {
    const before = live();
    const outer = device.current.scope();
    device.current.scope();
    device.current.zeros([4]);
    outer.close();
    expect(live()).toBe(before);
  });

  it('tidy hands out what it returns, however deep', () => {
    const before = live();
    const scope = device.current.scope();
    const result = device.current.tidy(() => {
      const a = device.current.zeros([2]);
      const b = add(a, a);
      return { list: [b], more: { c: mul(b, b) }, none: null };
    });
    expect(live()).toBe(before + 2);
    expect(result.list[0]!.disposed).toBe(false);
    scope.close();
    expect(live()).toBe(before);
    expect(() => device.current.tidy(() => Promise.resolve() as never)).toThrowErrorMatchingSnapshot();
  });

  it('tidy frees everything if it throws', () => {
    const before = live();
    expect(() =>
      device.current.tidy(() => {
        device.current.zeros([4]);
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(live()).toBe(before);
  });

  it('shares memory between views until the last one goes', async () => {
    const a = device.current.tensor([1, 2, 3, 4]);
    const b = reshape(a, [2, 2]);
    a.dispose();
    a.dispose();
    expect([...(await b.data())]).toEqual([1, 2, 3, 4]);
    b.dispose();
    expect(() => add(b, b)).toThrowErrorMatchingSnapshot();
    await expect(b.data()).rejects.toThrowErrorMatchingSnapshot();
  });
});

describe('values', () => {
  it('are read back as they were written, whole and in part', async () => {
    using _scope = device.current.scope();
    const floats = device.current.tensor([1.5, -2.25, 3e-38]);
    expect([...(await floats.data())]).toEqual([1.5, -2.25, Math.fround(3e-38)]);
    floats.write(Float32Array.of(7), 1);
    expect([...(await floats.data())]).toEqual([1.5, 7, Math.fround(3e-38)]);
    const ints = device.current.tensor(Int32Array.of(-1, 2 ** 31 - 1));
    expect(await ints.data()).toEqual(Int32Array.of(-1, 2 ** 31 - 1));
    expect(await device.current.full([2], -3, 'int32').data()).toEqual(Int32Array.of(-3, -3));
    expect(await device.current.full([2], 2.5).data()).toEqual(Float32Array.of(2.5, 2.5));
    expect(await device.current.full([], 4).item()).toBe(4);
    expect((await device.current.tensor([], [0, 3]).data()).length).toBe(0);
  });

  it('are written after the work that still needs the old ones', async () => {
    using _scope = device.current.scope();
    const a = device.current.tensor([1]);
    const doubled = add(a, a);
    a.write(Float32Array.of(10));
    expect([await doubled.item(), await a.item()]).toEqual([2, 10]);
  });

  it('are written after the copies that came before', async () => {
    using _scope = device.current.scope();
    const [x, source] = [device.current.zeros([2]), device.current.tensor([1, 2])];
    device.current.assign(x, source);
    x.write(Float32Array.of(7, 8));
    expect([...(await x.data())]).toEqual([7, 8]);
    const y = device.current.zeros([2]);
    device.current.assign(y, source);
    y.dispose();
    // The pool lends the buffer of y again.
    expect([...(await device.current.tensor([5, 6]).data())]).toEqual([5, 6]);
  });

  it('of integers are known where the CPU wrote them, and only there', () => {
    using _scope = device.current.scope();
    const table = device.current.zeros([2, 2]);
    const ids = device.current.tensor(Int32Array.of(0, 9));
    expect(() => embedding(table, ids)).toThrowErrorMatchingSnapshot();
    expect(() => embedding(table, reshape(ids, [2, 1]))).toThrow('id 9');
    device.current.assign(ids, device.current.tensor(Int32Array.of(0, 1)));
    embedding(table, ids);
    device.current.fill(ids, 99);
    expect(ids.integers).toBeNull();
    reshape(ids, [2, 1]).write(Int32Array.of(1, 7));
    expect(() => embedding(table, ids)).toThrow('id 7');
  });

  it('are refused where they do not fit', async () => {
    using _scope = device.current.scope();
    const a = device.current.zeros([2, 2]);
    const attempts = [
      () => device.current.tensor([1, 2, 3], [2, 2]),
      () => device.current.zeros([2, -1]),
      () => a.write(Float32Array.of(1, 2), 3),
      () => a.write(Int32Array.of(1)),
      () => device.current.assign(a, device.current.zeros([3])),
    ];
    for (const attempt of attempts) expect(attempt).toThrowErrorMatchingSnapshot();
    await expect(a.item()).rejects.toThrowErrorMatchingSnapshot();
  });
});

describe('the pool', () => {
  it('serves batches of many lengths from about what the longest needs', async () => {
    const own = await requestDevice();
    for (let length = 128; length >= 16; length -= 1) {
      using _scope = own.scope();
      let x = own.zeros([8, length, 64]);
      for (let i = 0; i < 10; i += 1) x = add(x, x);
      own.submit();
    }
    const { idleBytes, peakLiveBytes, live } = own.statistics();
    expect(live).toBe(0);
    expect(idleBytes).toBeLessThanOrEqual(1.5 * peakLiveBytes);
    own.destroy();
  });

  it('lends no buffer again that was made before the GPU ran out of memory', async () => {
    const own = await requestDevice();
    const make = own.gpu.device.createBuffer.bind(own.gpu.device);
    // An invalid buffer, like one for which there is no memory.
    own.gpu.device.createBuffer = (descriptor) => make({ ...descriptor, usage: 0x4000_0000 });
    expect(() => own.zeros([1000]).dispose()).not.toThrow();
    own.gpu.device.createBuffer = make;
    await expect(own.sync()).rejects.toThrow('the GPU refused an operation');
    await own.sync().catch(() => {});
    const x = own.ones([1000]);
    expect((await x.float32Data()).every((value) => value === 1)).toBe(true);
    own.destroy();
  });
});

describe('random numbers', () => {
  it('are normal and uniform as asked', async () => {
    using _scope = device.current.scope();
    device.current.manualSeed(1);
    const n = 200_000;
    const moments = (values: Float32Array) => {
      const mean = values.reduce((a, b) => a + b, 0) / n;
      return { mean, std: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / n) };
    };
    const normal = moments(await device.current.randn([n], { mean: 3, std: 0.5 }).float32Data());
    expect(Math.abs(normal.mean - 3)).toBeLessThan(0.005);
    expect(Math.abs(normal.std - 0.5)).toBeLessThan(0.005);
    const values = await device.current.rand([n]).float32Data();
    expect(Math.abs(moments(values).mean - 0.5)).toBeLessThan(0.005);
    expect(Math.abs(moments(values).std - Math.sqrt(1 / 12))).toBeLessThan(0.005);
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  });
});

describe('what goes wrong on the GPU', () => {
  it('a buffer beyond the limit is refused by name', () => {
    const before = live();
    expect(() => device.current.zeros([2 ** 40])).toThrow(GpuOutOfMemoryError);
    expect(live()).toBe(before);
  });

  it('an error that the GPU reports is thrown at the next call', async () => {
    const own = await requestDevice();
    own.gpu.device.createBuffer({ size: 4, usage: 0x4000_0000 });
    await expect(own.sync()).rejects.toThrow(/^the GPU refused an operation: /);
    await own.sync();
    own.destroy();
  });

  it('no adapter of that name', async () => {
    await expect(requestDevice({ adapter: 'a card nobody has' })).rejects.toThrow(
      /^no WebGPU adapter 'a card nobody has': found only: .* · install a GPU driver/,
    );
  });
});
