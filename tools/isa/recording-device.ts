/**
 * A `GPUDevice` that computes nothing and holds no memory: the engine records its launches into it as into
 * any other, with the features and limits of an adapter that it stands for. Pipelines keep what they are made
 * of, so that they can be compiled later.
 */

/** What the engine asked a pipeline to be. */
export interface RequestedPipeline {
  label: string;
  code: string;
  /** Binding layouts of group 0. */
  entries: GPUBindGroupLayoutEntry[];
}

/** Pipelines of the recording device, as the engine holds them. */
const requested = new WeakMap<object, RequestedPipeline>();

/** What a pipeline of a recording device is made of. */
export function requestOf(pipeline: GPUComputePipeline): RequestedPipeline {
  const found = requested.get(pipeline);
  if (found === undefined) throw new Error(`${pipeline.label} is no pipeline of a recording device`);
  return found;
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

function pipeline({ label = '', layout, compute }: GPUComputePipelineDescriptor): object {
  const { code } = compute.module as unknown as { code: string };
  const { entries } = layout as unknown as { entries: GPUBindGroupLayoutEntry[] };
  const made = { label };
  requested.set(made, { label, code, entries });
  return made;
}

export interface RecordingAdapter {
  adapter: GPUAdapter;
  /** What the engine asked the last device to have. */
  asked: GPUDeviceDescriptor;
}

/** An adapter that answers as `adapter` does, but for timestamps, and whose devices record. */
export function recordingAdapter({ info, limits, features }: GPUAdapter): RecordingAdapter {
  const made: RecordingAdapter = {
    adapter: {
      info,
      limits,
      // There is nothing to time.
      features: new Set([...features].filter((name) => name !== 'timestamp-query')),
      requestDevice: async (descriptor: GPUDeviceDescriptor) => {
        made.asked = descriptor;
        return recordingDevice(info, limits, new Set(descriptor.requiredFeatures));
      },
    } as unknown as GPUAdapter,
    asked: {},
  };
  return made;
}

function recordingDevice(info: GPUAdapterInfo, limits: GPUSupportedLimits, features: Set<string>): object {
  return {
    features,
    limits,
    adapterInfo: info,
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
}
