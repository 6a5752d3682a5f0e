/** Measures GPU time by timestamps, with each dispatch in its own pass. Excludes submission and wake-up. */

import { summarize } from '../../src/gpu/measure.ts';
import type { Device } from '../../src/tensor/device.ts';

export interface KernelTime {
  name: string;
  count: number;
  seconds: number;
}

/** GPU time of the work that `run` records, by kernel, longest first; empty without timestamps. */
export async function kernelTimes(device: Device, run: () => void): Promise<KernelTime[]> {
  if (!device.gpu.device.features.has('timestamp-query')) return [];
  const timer = device.gpu.recorder.startTimer();
  run();
  await device.sync();
  const times = await timer.read();
  device.gpu.recorder.stopTimer();
  return [...times]
    .map(([name, { count, seconds }]) => ({ name, count, seconds }))
    .sort((a, b) => b.seconds - a.seconds);
}

const RUNS = 5;

/** Median GPU seconds of everything that one run records, or null without timestamps. */
export async function gpuSeconds(device: Device, run: () => void): Promise<number | null> {
  const totals: number[] = [];
  for (let i = 0; i < RUNS; i += 1) {
    const times = await kernelTimes(device, run);
    if (times.length > 0) totals.push(times.reduce((sum, { seconds }) => sum + seconds, 0));
  }
  return totals.length === 0 ? null : summarize(totals).median;
}
