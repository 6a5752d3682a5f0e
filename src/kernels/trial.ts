/** Whether kernels compute right on an adapter that nobody tried them on. */
import { DeviceLostError, GpuError } from '../errors.ts';
import type { GpuContext } from '../gpu/context.ts';
import type { FloatDtype } from '../gpu/dtype.ts';
import type { PooledBuffer } from '../gpu/pool.ts';
import type { Slot } from './launch.ts';
import { cast } from './pointwise.ts';

/** Memory with these numbers, of float32 unless a type is given. */
export type Fill = (values: Float32Array<ArrayBuffer>, dtype?: FloatDtype) => Slot;

/**
 * What `check` finds; false if the adapter refuses what it launches. The memory that it fills is given back.
 * Throws `DeviceLostError`, and what `check` throws beside GPU errors.
 */
export async function trial(gpu: GpuContext, check: (fill: Fill) => Promise<boolean>): Promise<boolean> {
  const buffers: PooledBuffer[] = [];
  const acquire = (elements: number): Slot => {
    const buffer = gpu.pool.acquire(elements * 4);
    buffers.push(buffer);
    return { buffer };
  };
  try {
    return await check((values, dtype = 'float32') => {
      const x = acquire(values.length);
      gpu.recorder.write(x.buffer, 0, values);
      if (dtype === 'float32') return x;
      const y: Slot = { ...acquire(values.length), dtype };
      cast(gpu, { x, y, count: values.length });
      return y;
    });
  } catch (error) {
    if (error instanceof DeviceLostError || !(error instanceof GpuError)) throw error;
    return false;
  } finally {
    for (const buffer of buffers) gpu.pool.release(buffer);
  }
}
