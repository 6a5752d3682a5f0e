/** Inference in ONNX Runtime, for any build. */
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import type { PeerJob } from '../job.ts';
import type { Library, Work } from '../library.ts';
import { onnxModel } from '../onnx.ts';

interface Runtime {
  InferenceSession: typeof InferenceSession;
  Tensor: typeof Tensor;
}

/** Work whose result is that of `run`, which gives a batch's logits on the host, over all batches. */
export function overBatches(
  { batches }: PeerJob,
  run: (batch: PeerJob['batch']) => Promise<Float32Array>,
  dispose: () => void,
): Work {
  const result = async (): Promise<Float32Array> => {
    const logits: number[] = [];
    for (const batch of batches) logits.push(...(await run(batch)));
    return Float32Array.from(logits);
  };
  return { run: async () => void (await result()), sync: async () => {}, result, dispose };
}

export function runtime(
  ort: Runtime,
  options: InferenceSession.SessionOptions,
): Pick<Library, 'inference' | 'texts'> {
  const inference = async (job: PeerJob): Promise<Work> => {
    const session = await ort.InferenceSession.create(onnxModel(job), options);
    return overBatches(
      job,
      async ({ size, length, ids, mask }) => {
        const outputs = await session.run({
          ids: new ort.Tensor('int32', ids, [size, length]),
          mask: new ort.Tensor('int32', mask, [size, length]),
        });
        return outputs.logits!.data as Float32Array;
      },
      () => void session.release(),
    );
  };
  return { inference, texts: inference };
}
