/** ONNX Runtime's native build for Node, on the CPU. */
import ort from 'onnxruntime-node';
import type { Library } from '../library.ts';
import { runtime } from './onnx.ts';

export async function open(): Promise<Library> {
  return {
    name: 'ONNX Runtime, CPU',
    version: ort.env.versions.node!,
    ...runtime(ort, { executionProviders: ['cpu'] }),
  };
}
