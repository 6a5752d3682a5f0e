/** Options for requesting a device. They avoid WebGPU types, which not every TypeScript setup has. */
import type { OptionNames } from '../options.ts';
import type { AdapterRequest } from '../platform/contract.ts';

/** How far a compilation ahead of use is. */
export interface CompileProgress {
  /** Kernels that are ready. */
  compiled: number;
  total: number;
}

export interface GpuOptions extends AdapterRequest {
  /** Bytes of one buffer that a kernel may bind. Default: the adapter's limit (tests lower it). */
  maxBindingBytes?: number;
  /** Bytes that buffers may take together; more throws `GpuOutOfMemoryError`. Default: what the adapter has. */
  maxMemoryBytes?: number;
  /**
   * The kernel family: kernels for adapters that compute on the CPU, or for GPUs. Defaults to what suits the
   * adapter; tests run both.
   */
  kernels?: KernelFamily;
  /** `false`: kernels do not use subgroups even if the adapter has them (tests run both ways). */
  subgroups?: false;
  /** `false`: does not use the adapter's matrix units, nor request the experimental feature. */
  matrixUnits?: false;
  /** Called while kernels are compiled ahead of a model's first step or prediction. */
  onCompile?: (progress: CompileProgress) => void;
}

export const gpuOptionNames: OptionNames<GpuOptions> = {
  adapter: true,
  maxBindingBytes: true,
  maxMemoryBytes: true,
  kernels: true,
  subgroups: true,
  matrixUnits: true,
  onCompile: true,
};

export type KernelFamily = 'cpu' | 'gpu';
