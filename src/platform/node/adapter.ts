/** Finds a WebGPU adapter through Dawn. */
import { cpus } from 'node:os';
import { NoAdapterError } from '../../errors.ts';
import type { AdapterRequest, AdapterResult } from '../contract.ts';
import { withoutNotices } from './notices.ts';
import { withPackagedDriver } from './packaged-adapter.ts';

/** Keeps Dawn's instances alive: an instance that is garbage-collected takes its adapters with it. */
const instances: GPU[] = [];

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|warp|basic render/i;

type AdapterInfo = Pick<GPUAdapterInfo, 'vendor' | 'architecture' | 'device' | 'description'>;

/**
 * A one-line description, which also identifies the adapter: tuning results are stored under it. A card's
 * `description` is only its driver's name and version, so `device` comes first; a software driver's
 * `description` says everything.
 */
export function describeAdapter(info: AdapterInfo): string {
  const { description, vendor, architecture } = info;
  // Dawn writes names in lower case, with dashes in place of other characters.
  const device = info.device.replace(/-+$/, '');
  const names = isSoftware(info) && description !== '' ? [description] : [device, description];
  const known = names.filter((name) => name !== '');
  return known.join(' · ') || `${vendor} ${architecture}`.trim() || 'unnamed adapter';
}

const describe = ({ info }: GPUAdapter): string => describeAdapter(info);

function isSoftware({ vendor, architecture, device, description }: AdapterInfo): boolean {
  return SOFTWARE.test(`${vendor} ${architecture} ${device} ${description}`);
}

async function loadDawn(): Promise<typeof import('webgpu')> {
  try {
    return await import('webgpu');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NoAdapterError(`the package 'webgpu' cannot be loaded: ${reason}`, {
      remedy: 'install it again, on a platform it has a build for',
      cause,
    });
  }
}

/** Opens a new Dawn instance, so that it sees drivers configured since the last one. */
async function openDawn(flags: string[]): Promise<GPU> {
  const { create, globals } = await loadDawn();
  for (const [name, value] of Object.entries(globals)) {
    if (!(name in globalThis))
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  // Dawn exposes matrix units, an experimental feature, only with unsafe APIs allowed; the engine requests
  // none of the other features that this exposes. Timestamp quantization (to 65.5 µs, a defense against
  // timing attacks by web pages) is off: nothing here needs that protection.
  const gpu = create([
    'enable-dawn-features=allow_unsafe_apis',
    'disable-dawn-features=timestamp_quantization',
    ...flags,
  ]);
  instances.push(gpu);
  return gpu;
}

async function query(flags: string[] = []): Promise<GPUAdapter | null> {
  try {
    const gpu = await openDawn(flags);
    const request = (options?: GPURequestAdapterOptions) => withoutNotices(() => gpu.requestAdapter(options));
    return (await request({ powerPreference: 'high-performance' })) ?? (await request());
  } catch (error) {
    if (error instanceof NoAdapterError) throw error;
    // The binding throws if no adapter matches the name in `flags`; the caller tries others or reports them.
    return null;
  }
}

function result(adapter: GPUAdapter): AdapterResult {
  const software = isSoftware(adapter.info);
  // What is fast on a CPU adapter depends on the processor.
  const processor = cpus()[0]?.model.trim() || 'an unnamed processor';
  const where = software ? ` on ${processor} (software)` : '';
  return { adapter, software, description: `${describe(adapter)}${where}` };
}

/** The last request. Requests run in sequence, because each may change the environment. */
let before: Promise<unknown> = Promise.resolve();

/** See `Platform.requestAdapter`. */
export async function requestAdapter(request: AdapterRequest): Promise<AdapterResult> {
  const found = before.then(() => findAdapter(request));
  before = found.catch(() => {});
  return found;
}

async function findAdapter(request: AdapterRequest): Promise<AdapterResult> {
  const wanted = request.adapter ?? process.env.DAWNGRAD_ADAPTER ?? 'auto';
  const name = wanted.toLowerCase();
  const tried: string[] = [];
  const accept = (
    adapter: GPUAdapter | null,
    fits: (adapter: GPUAdapter) => boolean,
  ): AdapterResult | null => {
    if (adapter === null) return null;
    if (fits(adapter)) return result(adapter);
    tried.push(describe(adapter));
    return null;
  };
  if (name === 'null') {
    const adapter = await query(['backend=null']);
    if (adapter !== null) return result(adapter);
  } else if (name === 'swiftshader') {
    const found = accept(await withPackagedDriver(query), () => true);
    if (found !== null) return found;
  } else {
    const rules: Record<string, (adapter: GPUAdapter) => boolean> = {
      auto: () => true,
      gpu: ({ info }) => !isSoftware(info),
      software: ({ info }) => isSoftware(info),
    };
    const fits = rules[name] ?? ((adapter) => describe(adapter).toLowerCase().includes(name));
    const flags = rules[name] === undefined ? [`adapter=${wanted}`] : [];
    const found = accept(await query(flags), fits) ?? (flags.length > 0 ? accept(await query(), fits) : null);
    if (found !== null) return found;
    const fallback = name === 'gpu' ? null : accept(await withPackagedDriver(query), fits);
    if (fallback !== null) return fallback;
  }
  throw noAdapter(wanted, tried);
}

function noAdapter(wanted: string, tried: string[]): NoAdapterError {
  const seen = tried.length === 0 ? 'none was found' : `found only: ${[...new Set(tried)].join(', ')}`;
  const what = wanted === 'auto' ? 'no WebGPU adapter' : `no WebGPU adapter '${wanted}'`;
  return new NoAdapterError(`${what}: ${seen}`, {
    remedy:
      "install a GPU driver with Vulkan, Metal or D3D12, or let npm install optional dependencies for the packaged software adapter ('swiftshader', Linux x64)",
  });
}
