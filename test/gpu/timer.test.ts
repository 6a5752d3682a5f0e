/** GPU time by kernel. */
import { describe, expect, it } from 'vitest';
import { add } from '../../src/tensor/ops/elementwise.ts';
import { matmul } from '../../src/tensor/ops/matmul.ts';
import { useDevice } from '../support/device.ts';

const device = useDevice();

describe('the timer', () => {
  it('counts each kernel’s dispatches and their time, and changes no result', async ({ skip }) => {
    if (!device.current.gpu.device.features.has('timestamp-query')) skip();
    using _scope = device.current.scope();
    const { recorder } = device.current.gpu;
    const [a, b] = [device.current.ones([64, 64]), device.current.ones([64, 64])];
    await device.current.sync();
    const timer = recorder.startTimer();
    const sum = add(matmul(a, b), matmul(b, a));
    const values = await sum.data();
    const times = await timer.read();
    recorder.stopTimer();
    expect(values.every((value) => value === 128)).toBe(true);
    const counts = [...times].map(([label, { count }]) => [label.split(' ')[0], count]);
    expect(counts.sort()).toEqual([
      ['binary', 1],
      [expect.stringMatching(/^matmul/), 2],
    ]);
    for (const { seconds } of times.values()) expect(seconds).toBeGreaterThan(0);
    expect((await timer.read()).size).toBe(0);
    expect((await add(a, b).data())[0]).toBe(2);
  });
});
