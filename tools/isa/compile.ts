/** Compiles the engine's kernels for chips that are not there, each in a process of its own. */
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ChipResult } from './chip.ts';
import type { Chip } from './chips.ts';
import { type KernelCode, readKernelCode } from './kernel-code.ts';
import { estimateJob, type JobEstimate } from './roofline.ts';

/** The places where distributions put RADV's manifest. */
const MANIFESTS = ['radeon_icd.json', 'radeon_icd.x86_64.json'].flatMap((name) =>
  ['/usr/share', '/usr/local/share', '/etc'].map((folder) => `${folder}/vulkan/icd.d/${name}`),
);

/** What is missing on this machine to compile for AMD's chips, and how to get it; null where nothing is. */
export function whatIsMissing(isThere: (path: string) => boolean = existsSync): string | null {
  const { arch, platform } = process;
  if (platform !== 'linux' || arch !== 'x64') return `this needs Linux on x86-64, not ${platform} on ${arch}`;
  if (!MANIFESTS.some(isThere))
    return "Mesa's RADV driver is missing: apt-get install mesa-vulkan-drivers (25 or newer, in Debian 12 from its backports; tools/install-lavapipe.sh does that)";
  return null;
}

export interface ChipReport {
  chip: Chip;
  /** As the driver describes itself. */
  adapter: string;
  kernels: Map<string, KernelCode>;
  /** The machine code by kernel. */
  disassembly: Map<string, string>;
  /** Empty where a filter left kernels out. */
  jobs: JobEstimate[];
}

/**
 * Compiles the kernels that the jobs launch and whose names have `filter` for one chip. Throws where the
 * driver or the compiler fails.
 */
export async function compileFor(chip: Chip, filter = ''): Promise<ChipReport> {
  const { adapter, jobs, compiled } = await runChip(chip, filter);
  const kernels = new Map(
    Object.entries(compiled).map(([name, one]) => [name, readKernelCode(one, chip)] as const),
  );
  const disassembly = new Map(Object.entries(compiled).map(([name, one]) => [name, one.disassembly]));
  const whole = filter === '';
  return {
    chip,
    adapter,
    kernels,
    disassembly,
    jobs: whole ? jobs.map((job) => estimateJob(job, kernels, chip)) : [],
  };
}

function runChip(chip: Chip, filter: string): Promise<ChipResult> {
  const child = fork(fileURLToPath(new URL('chip.ts', import.meta.url)), [filter], {
    execArgv: ['--import', 'tsx'],
    // Where Node looks for tsx.
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: {
      ...process.env,
      RADV_FORCE_FAMILY: chip.name,
      RADV_DEBUG: 'nocache',
      VK_DRIVER_FILES: MANIFESTS.find((path) => existsSync(path)),
      // Layers would stand between Dawn and the functions that are replaced.
      VK_LOADER_LAYERS_DISABLE: '~all~',
      DAWNGRAD_ADAPTER: 'auto',
    },
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000);
  });
  return new Promise((resolve, reject) => {
    child.on('message', (message) => resolve(message as ChipResult));
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      // Where a result came, the promise is settled.
      const fail = (): void =>
        reject(new Error(`compiling for ${chip.name} ended with ${signal ?? code}\n${said.trimEnd()}`));
      // It may end before its message is read.
      if (child.connected) child.once('disconnect', fail);
      else fail();
    });
  });
}
