/**
 * A `GPUDevice` that computes nothing and holds no memory: the engine records its launches into it as into
 * any other.
 */

/** What a pipeline of a recording device is: what the engine asked it to be. */
export interface RequestedPipeline {
  label: string;
  code: string;
  /** Binding layouts of group 0. */
  entries: GPUBindGroupLayoutEntry[];
}

const nothing = (): void => {};
const atOnce = async (): Promise<void> => {};

function buffer({ size }: GPUBufferDescriptor): object {
  return { size, mapAsync: atOnce, getMappedRange: () => new ArrayBuffer(size), destroy: nothing };
}

function encoder(): object {
  const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing };
  return {
    beginComputePass: () => pass,
    copyBufferToBuffer: nothing,
    clearBuffer: nothing,
    finish: () => ({}),
  };
}

function pipeline({ label = '', layout, compute }: GPUComputePipelineDescriptor): RequestedPipeline {
  const { code } = compute.module as unknown as { code: string };
  const { entries } = layout as unknown as { entries: GPUBindGroupLayoutEntry[] };
  return { label, code, entries };
}

/** Stands for a device with the given features and limits. */
export function recordingDevice(
  facts: Pick<GPUDevice, 'adapterInfo' | 'limits'> & { features: ReadonlySet<string> },
): GPUDevice {
  const { adapterInfo, limits, features } = facts;
  const device = {
    features,
    limits,
    adapterInfo,
    lost: new Promise<never>(nothing),
    queue: { writeBuffer: nothing, submit: nothing, onSubmittedWorkDone: atOnce },
    createBuffer: buffer,
    createBindGroup: () => ({}),
    createBindGroupLayout: ({ entries }: GPUBindGroupLayoutDescriptor) => ({ entries }),
    createPipelineLayout: ({ bindGroupLayouts: [only] }: GPUPipelineLayoutDescriptor) => only,
    createShaderModule: ({ code }: GPUShaderModuleDescriptor) => ({ code }),
    createComputePipeline: pipeline,
    createCommandEncoder: encoder,
    addEventListener: nothing,
    pushErrorScope: nothing,
    popErrorScope: async () => null,
    destroy: nothing,
  };
  return device as unknown as GPUDevice;
}
