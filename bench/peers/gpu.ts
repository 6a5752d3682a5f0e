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
    return writeBuffer.call(
      this,
      buffer,
      offset,
      new Uint8Array(data.buffer as ArrayBufferLike, start, bytes).slice(),
    );
  };
}

/**
 * Every library waits for the GPU as this one does: on software adapters with the host asleep, which doubles
 * their speed.
 */
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
 * Hides subgroups of fewer than 16 lanes: of these libraries ONNX Runtime alone uses subgroups, and its
 * attention is wrong there (it sums over 16 keys); without them it takes another path, which is right.
 */
function hideSmallSubgroups(adapter: GPUAdapter): void {
  const { subgroupMinSize } = adapter.info;
  if (subgroupMinSize === undefined || subgroupMinSize >= 16) return;
  const features = new Set([...adapter.features].filter((name) => !name.includes('subgroup')));
  Object.defineProperty(adapter, 'features', { value: features });
}

/** Every `requestAdapter` finds the adapter that the bench uses, anew: an adapter gives one device. */
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
