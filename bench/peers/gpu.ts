/** `navigator.gpu` in Node: the libraries that are made for browsers find the bench's own adapter there. */
import { platform } from '../../src/platform/node.ts';

/** Threaded WebAssembly memory is shared, and Dawn's Node binding uploads from memory of its own alone. */
function acceptSharedMemory(device: GPUDevice): void {
  const prototype = Object.getPrototypeOf(device.queue) as GPUQueue;
  const { writeBuffer } = prototype;
  prototype.writeBuffer = function (this: GPUQueue, buffer, offset, data, from, size) {
    if (!ArrayBuffer.isView(data) || !((data.buffer as unknown) instanceof SharedArrayBuffer))
      return writeBuffer.call(this, buffer, offset, data as BufferSource, from, size);
    // `from` and `size` count elements.
    const width = data instanceof DataView ? 1 : (data as Uint8Array).BYTES_PER_ELEMENT;
    const start = data.byteOffset + (from ?? 0) * width;
    const bytes = size === undefined ? data.byteOffset + data.byteLength - start : size * width;
    return writeBuffer.call(this, buffer, offset, new Uint8Array(data.buffer as ArrayBufferLike, start, bytes).slice());
  };
}

let patched = false;

/** Every `requestAdapter` finds the adapter that the bench uses, anew: an adapter gives one device. */
export function exposeGpu(adapter: string | undefined): void {
  const gpu = {
    wgslLanguageFeatures: new Set<string>(),
    getPreferredCanvasFormat: () => 'rgba8unorm',
    requestAdapter: async () => {
      const found = (await platform.requestAdapter(adapter === undefined ? {} : { adapter })).adapter;
      const requestDevice = found.requestDevice.bind(found);
      Object.defineProperty(found, 'requestDevice', {
        value: async (descriptor?: GPUDeviceDescriptor) => {
          const device = await requestDevice(descriptor);
          if (!patched) acceptSharedMemory(device);
          patched = true;
          return device;
        },
      });
      return found;
    },
  };
  if (typeof navigator === 'undefined')
    Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'node' }, configurable: true });
  Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true });
}
