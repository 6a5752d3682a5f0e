/** ONNX Runtime's build for browsers, on WebGPU. */
import * as ort from 'onnxruntime-web/webgpu';
import type { Library } from '../library.ts';
import { runtime } from './onnx.ts';

export async function open(): Promise<Library> {
  // WebAssembly only prepares and records here; its threads would need web workers.
  ort.env.wasm.numThreads = 1;
  return {
    name: 'ONNX Runtime Web, WebGPU',
    version: ort.env.versions.web!,
    ...runtime(ort, { executionProviders: ['webgpu'] }),
  };
}
