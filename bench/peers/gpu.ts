/** Provides `navigator.gpu` in Node, so that libraries made for browsers use the benchmark's own adapter. */
import { platform } from '../../src/platform/node.ts';

/** Copies uploads from shared memory, which threaded WebAssembly uses and Dawn's Node binding rejects. */
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
    return writeBuffer.call(
      this,
      buffer,
      offset,
      new Uint8Array(data.buffer as ArrayBufferLike, start, bytes).slice(),
    );
  };
}

/** Lets the host sleep while libraries wait for a software adapter, as dawngrad does: twice the speed. */
function waitAsleep(device: GPUDevice, software: boolean): void {
  const queue = Object.getPrototypeOf(device.queue) as GPUQueue;
  const { onSubmittedWorkDone } = queue;
  queue.onSubmittedWorkDone = function (this: GPUQueue) {
    return platform.waitForGpu(onSubmittedWorkDone.call(this), software);
  };
  const buffer = GPUBuffer.prototype;
  const { mapAsync } = buffer;
  buffer.mapAsync = function (this: GPUBuffer, ...mode: Parameters<GPUBuffer['mapAsync']>) {
    return platform.waitForGpu(mapAsync.apply(this, mode), software);
  };
}

let patched = false;

/**
 * Hides subgroups of fewer than 16 lanes. Of these libraries only ONNX Runtime uses subgroups, and its
 * attention is wrong with small ones (it sums over 16 keys); without them it takes a different path, which is
 * correct.
 */
function hideSmallSubgroups(adapter: GPUAdapter): void {
  const { subgroupMinSize } = adapter.info;
  if (subgroupMinSize === undefined || subgroupMinSize >= 16) return;
  const features = new Set([...adapter.features].filter((name) => !name.includes('subgroup')));
  Object.defineProperty(adapter, 'features', { value: features });
}

/** Makes each `requestAdapter` open the benchmark's adapter anew: an adapter gives only one device. */
export function exposeGpu(name: string | undefined): void {
  const gpu = {
    wgslLanguageFeatures: new Set<string>(),
    getPreferredCanvasFormat: () => 'rgba8unorm',
    requestAdapter: async () => {
      const { adapter, software } = await platform.requestAdapter(
        name === undefined ? {} : { adapter: name },
      );
      hideSmallSubgroups(adapter);
      const requestDevice = adapter.requestDevice.bind(adapter);
      const patchedRequest = async (descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> => {
        const device = await requestDevice(descriptor);
        if (!patched) {
          acceptSharedMemory(device);
          waitAsleep(device, software);
        }
        patched = true;
        return device;
      };
      Object.defineProperty(adapter, 'requestDevice', { value: patchedRequest });
      return adapter;
    },
  };
  if (typeof navigator === 'undefined')
    Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'node' }, configurable: true });
  Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true });
}
