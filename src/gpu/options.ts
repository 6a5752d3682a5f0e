/**
 * What may be asked of a device. Declarations that users see name no type of WebGPU, which not every
 * TypeScript has.
 */
import type { OptionNames } from '../options.ts';
import type { AdapterRequest } from '../platform/contract.ts';

export interface GpuOptions extends AdapterRequest {
  /**
   * Bytes a kernel may bind of one buffer; the adapter's limit unless lowered (tests do, to walk tensors in
   * windows).
   */
  maxBindingBytes?: number;
  /**
   * The kernels made for adapters that compute on the CPU, or those for GPUs; by the adapter unless given
   * (tests run both).
   */
  kernels?: KernelFamily;
  /** `false`: kernels do without subgroups even where the adapter has them (tests run both). */
  subgroups?: false;
  /** `false`: does without the adapter's matrix units, and does not ask for the experimental feature. */
  matrixUnits?: false;
}

export const gpuOptionNames: OptionNames<GpuOptions> = {
  adapter: true,
  maxBindingBytes: true,
  kernels: true,
  subgroups: true,
  matrixUnits: true,
};

export type KernelFamily = 'cpu' | 'gpu';
