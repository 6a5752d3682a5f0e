/**
 * How long a job takes at least on a chip: of each launch, the longer of its multiply-adds at the rate of the
 * kernel's hot loop, and its bytes at the memory's bandwidth.
 *
 * A rough bound. It takes all SIMD units as busy, every load as hidden and each bound byte as moved once; it
 * knows no caches, no start of a launch, no dual issue but the pairs in the code (hardware may issue both halves
 * of a subgroup of 64 at once), and no clock that falls under load.
 * Real times are longer. It tells which part of a job to look at, and what a change of the code can win.
 */
import { type Chip, cyclesASecond } from './chips.ts';
import { type KernelCode, LANES_A_CYCLE } from './kernel-code.ts';
import type { Launch, RecordedJob } from './record.ts';

export interface LaunchWork {
  multiplyAdds: number;
  bytes: number;
}

/** Products of `attention_backward`'s parts for each pair of query and key, of the head's size. */
const BACKWARD_PRODUCTS: Readonly<Record<string, number>> = { query: 3, key: 4 };

function scalar({ kernel, scalars }: Launch, name: string): number {
  const value = scalars[name];
  if (value === undefined) throw new Error(`${kernel} has no scalar '${name}': its work is not known`);
  return value;
}

/** Pairs of query and key, of all heads, times the head's size. */
function attentionPairs(launch: Launch): number {
  const [tokens, length, heads, size] = ['tokens', 'length', 'heads', 'size'].map((name) =>
    scalar(launch, name),
  );
  return tokens! * length! * heads! * size!;
}

/** What a launch computes and moves, by its scalars and bindings. */
export function workOf(launch: Launch): LaunchWork {
  const [shader = ''] = launch.kernel.split(' ');
  const bytes = launch.bytes.reduce((sum, one) => sum + one, 0);
  if (shader === 'matmul_parts') return { multiplyAdds: 0, bytes };
  if (shader.startsWith('matmul')) {
    const [m, n, k] = ['m', 'n', 'k'].map((name) => scalar(launch, name));
    const part = scalar(launch, 'part');
    const batches = part === 0 ? launch.grid[2] : 1;
    return { multiplyAdds: m! * n! * k! * batches, bytes };
  }
  if (shader.startsWith('attention_backward')) {
    const [, part = ''] = /PART=(\w+)/.exec(launch.kernel) ?? [];
    const products = BACKWARD_PRODUCTS[part];
    if (products === undefined) throw new Error(`${launch.kernel}: the work of its part is not known`);
    return { multiplyAdds: attentionPairs(launch) * products, bytes };
  }
  if (shader.startsWith('attention')) return { multiplyAdds: 2 * attentionPairs(launch), bytes };
  // Of a table that is looked up, no more rows than there are tokens.
  if (shader === 'embedding') {
    const rows = 4 * scalar(launch, 'rows') * scalar(launch, 'cols');
    return { multiplyAdds: 0, bytes: launch.bytes.reduce((sum, one) => sum + Math.min(one, rows), 0) };
  }
  return { multiplyAdds: 0, bytes };
}

/** Bytes of workgroup memory that a SIMD unit reads in one cycle: half of its compute unit's 128. */
const WORKGROUP_BYTES_A_CYCLE = 64;

/**
 * Seconds in which the chip makes multiply-adds as the hot loop does, with all SIMD units busy: as fast as it
 * issues them, or as workgroup memory brings what they take.
 */
function arithmeticSeconds(
  { multiplyAdds }: LaunchWork,
  { hot, subgroupSize }: KernelCode,
  chip: Chip,
): number {
  if (multiplyAdds === 0) return 0;
  if (hot === null || hot.multiplyAdds === 0) return Number.NaN;
  const issue = (hot.turns * subgroupSize) / LANES_A_CYCLE;
  const cycles = Math.max(issue, hot.bytes.workgroup / WORKGROUP_BYTES_A_CYCLE);
  return ((multiplyAdds / hot.multiplyAdds) * cycles) / cyclesASecond(chip);
}

export interface JobEstimate {
  job: string;
  launches: number;
  seconds: number;
  /** Seconds of the launches that arithmetic bounds, and of those that memory bounds. */
  arithmetic: number;
  memory: number;
  /** Multiply-adds of the job at the chip's rate for ordinary ones, in seconds. */
  ideal: number;
  /** Seconds by shader, the longest first. */
  shaders: { shader: string; seconds: number }[];
}

/** Adds up a job's launches; every kernel that it launches must be there. */
export function estimateJob(
  job: RecordedJob,
  kernels: ReadonlyMap<string, KernelCode>,
  chip: Chip,
): JobEstimate {
  const estimate = {
    job: job.name,
    launches: job.launches.length,
    seconds: 0,
    arithmetic: 0,
    memory: 0,
    ideal: 0,
  };
  const shaders = new Map<string, number>();
  for (const launch of job.launches) {
    const work = workOf(launch);
    const arithmetic = arithmeticSeconds(work, kernels.get(launch.kernel)!, chip);
    const memory = work.bytes / chip.bandwidth;
    const seconds = Math.max(arithmetic, memory);
    estimate[arithmetic > memory ? 'arithmetic' : 'memory'] += seconds;
    estimate.seconds += seconds;
    estimate.ideal += work.multiplyAdds / (LANES_A_CYCLE * cyclesASecond(chip));
    const [shader = ''] = launch.kernel.split(' ');
    shaders.set(shader, (shaders.get(shader) ?? 0) + seconds);
  }
  const sorted = [...shaders].map(([shader, seconds]) => ({ shader, seconds }));
  return { ...estimate, shaders: sorted.sort((a, b) => b.seconds - a.seconds) };
}
