/** `dawngrad info`: prints the adapter, its limits and features, and versions. */

import type { Command } from 'commander';
import { platform } from '#platform';
import type { GpuContext } from '../gpu/context.ts';
import { requestDevice } from '../tensor/device.ts';
import { adapterOf, addAdapterOption, type CommonOptions } from './options.ts';

const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const;

export async function packageVersion(): Promise<string> {
  const { version } = JSON.parse(await platform.readText(platform.packagePath('package.json'))) as {
    version: string;
  };
  return version;
}

export function addInfo(program: Command): void {
  const command = program
    .command('info')
    .description('show the adapter, its limits and features, and versions')
    .option('--json', 'print JSON');
  addAdapterOption(command).action(info);
}

/** The matrix units in use, largest shape of each kind; kernels for CPUs use none. */
function matricesInUse({ kernels, subgroupMatrices }: GpuContext): string[] {
  return kernels === 'cpu'
    ? []
    : subgroupMatrices.map(({ component, M, N, K }) => `${component} ${M}×${N}×${K}`);
}

/** The runtime and its version. Deno, Bun and Electron name the Node that they are like, too. */
export function runtimeName(
  versions: Readonly<Record<string, string | undefined>> = process.versions,
): string {
  for (const name of ['deno', 'bun', 'electron'])
    if (versions[name] !== undefined) return `${name} ${versions[name]}`;
  return `node ${versions.node}`;
}

async function info(options: CommonOptions & { json?: boolean }): Promise<void> {
  const device = await requestDevice(adapterOf(options));
  const { limits, features } = device.gpu.device;
  const report = {
    dawngrad: await packageVersion(),
    runtime: runtimeName(),
    platform: `${process.platform} ${process.arch}`,
    adapter: device.description,
    software: device.software,
    features: [...features].sort(),
    matrices: matricesInUse(device.gpu),
    limits: Object.fromEntries(LIMITS.map((name) => [name, limits[name]])),
  };
  device.destroy();
  if (options.json === true) {
    console.log(JSON.stringify(report, null, 2));
    return;
  }
  const { limits: shown, features: names, matrices, ...lines } = report;
  for (const [name, value] of Object.entries(lines)) console.log(`${name.padEnd(12)}${String(value)}`);
  console.log(`${'features'.padEnd(12)}${names.join(', ')}`);
  console.log(`${'matrices'.padEnd(12)}${matrices.join(', ') || 'none'}\nlimits`);
  for (const [name, value] of Object.entries(shown))
    console.log(`  ${name.padEnd(36)}${value.toLocaleString('en-US')}`);
}
