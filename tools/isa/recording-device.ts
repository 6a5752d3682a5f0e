/** An adapter that stands for another one, whose devices record: pipelines can be compiled later. */
import { type RequestedPipeline, recordingDevice } from '../../src/gpu/recording-device.ts';

export type { RequestedPipeline } from '../../src/gpu/recording-device.ts';

/** What a pipeline of a recording device is made of. */
export function requestOf(pipeline: GPUComputePipeline): RequestedPipeline {
  const found = pipeline as unknown as Partial<RequestedPipeline>;
  if (found.code === undefined) throw new Error(`${found.label} is no pipeline of a recording device`);
  return found as RequestedPipeline;
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
        const allowed = new Set<string>(descriptor.requiredFeatures);
        return recordingDevice({ adapterInfo: info, limits, features: allowed });
      },
    } as unknown as GPUAdapter,
    asked: {},
  };
  return made;
}
