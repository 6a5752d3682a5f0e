/** ONNX Runtime's build for browsers, in WebAssembly on the CPU. */
import { cpus } from 'node:os';
import * as ort from 'onnxruntime-web';
import type { Library } from '../library.ts';
import { runtime } from './onnx.ts';

export async function open(): Promise<Library> {
  ort.env.wasm.numThreads = cpus().length;
  return {
    name: 'ONNX Runtime Web, WebAssembly',
    version: ort.env.versions.web!,
    ...runtime(ort, { executionProviders: ['wasm'] }),
  };
}
