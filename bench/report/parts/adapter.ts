/** Describes the adapter and the machine. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, cpus, release, totalmem, type } from 'node:os';
import { platform } from '#platform';
import type { AdapterFacts } from '../data.ts';
import type { PartContext } from '../part.ts';

/** Names of an object's properties, including its prototypes', because WebGPU objects have getters. */
function namesOf(object: object): string[] {
  const names = new Set<string>();
  for (let at: object | null = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at))
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  return [...names];
}

function entriesOf<T extends string | number | boolean>(
  object: object,
  wanted: readonly string[],
): Record<string, T> {
  const entries = namesOf(object).map((name) => [name, (object as Record<string, unknown>)[name]] as const);
  return Object.fromEntries(entries.filter(([, value]) => wanted.includes(typeof value))) as Record<
    string,
    T
  >;
}

interface MatrixConfig {
  componentType: string;
  resultComponentType: string;
  M: number;
  N: number;
  K: number;
}

function matricesOf(info: GPUAdapterInfo): string[] {
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> };
  return [...subgroupMatrixConfigs].map(({ componentType, resultComponentType, M, N, K }) => {
    return `${componentType} → ${resultComponentType} ${M}×${N}×${K}`;
  });
}

function hostFacts(): Record<string, string> {
  const require = createRequire(import.meta.url);
  const { version } = JSON.parse(readFileSync(require.resolve('webgpu/package.json'), 'utf8')) as {
    version: string;
  };
  const processors = cpus();
  return {
    system: `${type()} ${release()} ${arch()}`,
    processor: `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.version,
    'webgpu (Dawn)': version,
  };
}

export async function adapterPart({ options, found }: PartContext): Promise<void> {
  const { adapter } = options;
  const given = await platform.requestAdapter(adapter === undefined ? {} : { adapter });
  const { info, features, limits } = given.adapter;
  const facts: AdapterFacts = {
    description: given.description,
    device: info.device || info.description || 'unnamed adapter',
    software: given.software,
    info: entriesOf(info, ['string', 'number', 'boolean']),
    features: [...features].sort(),
    limits: entriesOf<number>(limits, ['number']),
    matrices: matricesOf(info),
    host: hostFacts(),
  };
  found({ adapter: facts });
}
