/** Times one kernel at one size, as a share of the ceiling that bounds it. */

import { measure, type Timing } from '../../src/gpu/measure.ts';
import type { Device } from '../../src/tensor/device.ts';
import { type Ceilings, halfCeiling } from '../ceilings.ts';
import { gpuSeconds } from '../lib/gpu-time.ts';
import type { KernelCase } from './cases.ts';

export interface KernelResult {
  family: string;
  name: string;
  timing: Timing;
  /** GPU seconds by timestamps; null if the adapter has none. */
  gpu: number | null;
  /**
   * Floating-point operations or bytes per second, and their share of the adapter's ceiling; null if the
   * ceiling was not measured.
   */
  rate: number;
  unit: 'flops' | 'bytes';
  share: number | null;
}

export async function runKernel(
  device: Device,
  { family, name, work, prepare }: KernelCase,
  ceilings: Ceilings | undefined,
  seconds: number,
): Promise<KernelResult> {
  const scope = device.scope();
  const prepared = prepare(device);
  const record = 'record' in prepared ? prepared.record : prepared;
  const timing = await measure(device, record, { seconds });
  const gpu = await gpuSeconds(device, record);
  if ('dispose' in prepared) prepared.dispose();
  scope.close();
  device.trim();
  const [amount, unit] =
    'flops' in work ? ([work.flops, 'flops'] as const) : ([work.bytes, 'bytes'] as const);
  const rate = amount / timing.median;
  const share = ceilings === undefined ? null : rate / ceilingOf(work, ceilings);
  return { family, name, timing, gpu, rate, unit, share };
}

function ceilingOf(work: KernelCase['work'], ceilings: Ceilings): number {
  if ('bytes' in work) return ceilings.bandwidth;
  return work.half === true ? halfCeiling(ceilings) : ceilings.fma;
}
