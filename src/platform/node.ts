// placeholder for the engine's first tests; the platform floor replaces this file
import type { Platform } from './contract.ts';
let gpu: GPU;
export const platform = {
  name: 'node',
  async requestAdapter(request: { adapter?: string }) {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    gpu = create(request.adapter === 'null' ? ['backend=null'] : []);
    const adapter = (await gpu.requestAdapter())!;
    return { adapter, description: adapter.info.description, software: true };
  },
} as unknown as Platform;
