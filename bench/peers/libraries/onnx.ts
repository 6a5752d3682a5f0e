/** Inference in ONNX Runtime, for either build. */
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import type { PeerJob } from '../job.ts';
import type { Work } from '../library.ts';
import { onnxModel } from '../onnx.ts';

interface Runtime {
  InferenceSession: typeof InferenceSession;
  Tensor: typeof Tensor;
}

export async function inference(
  ort: Runtime,
  job: PeerJob,
  options: InferenceSession.SessionOptions,
): Promise<Work> {
  const session = await ort.InferenceSession.create(onnxModel(job), options);
  const { size, length, ids, mask } = job.batch;
  const result = async (): Promise<Float32Array> => {
    const outputs = await session.run({
      ids: new ort.Tensor('int32', ids, [size, length]),
      mask: new ort.Tensor('int32', mask, [size, length]),
    });
    return outputs.logits!.data as Float32Array;
  };
  return {
    // `run` resolves once the logits are on the host.
    run: async () => void (await result()),
    sync: async () => {},
    result,
    dispose: () => void session.release(),
  };
}
