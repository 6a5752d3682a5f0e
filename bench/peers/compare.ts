/** The same work in each library on the same adapter: first that it gives the same numbers, then how long it takes. */
import { existsSync } from 'node:fs';
import type { Device } from '../../src/tensor/device.ts';
import { measure, type Timing } from '../lib/measure.ts';
import { exposeGpu } from './gpu.ts';
import { makeJob, type PeerModel, randomValues } from './job.ts';
import type { Library, PeerKernel, Work } from './library.ts';
import { ours } from './ours.ts';

export interface PeerResult {
  job: string;
  library: string;
  /** Absent where it failed. */
  timing?: Timing;
  /** Time in units of ours: 2 takes twice as long. */
  ratio?: number;
  /** Largest difference from our numbers. */
  difference?: number;
  error?: string;
}

export interface PeersResult {
  /** Version by library. */
  versions: Record<string, string>;
  results: PeerResult[];
}

export interface PeerOptions {
  device: Device;
  /** As the bench's option. */
  adapter: string | undefined;
  version: string;
  seconds: number;
  quick: boolean;
  wanted: (name: string) => boolean;
  /** Called after each job, with its results. */
  report: (results: readonly PeerResult[]) => void;
}

export const SETUP = 'npm run bench:peers-setup';

export function peersInstalled(): boolean {
  return existsSync(new URL('node_modules', import.meta.url));
}

/** The libraries' files lie outside the root's type check, since their packages may not be there. */
async function openLibraries({
  adapter,
}: PeerOptions): Promise<{ libraries: Library[]; failed: PeerResult[] }> {
  exposeGpu(adapter);
  const libraries: Library[] = [];
  const failed: PeerResult[] = [];
  for (const name of ['tfjs', 'jax', 'onnx-web', 'onnx-node']) {
    try {
      const module = (await import(new URL(`libraries/${name}.ts`, import.meta.url).href)) as {
        open: () => Promise<Library>;
      };
      libraries.push(await module.open());
    } catch (error) {
      failed.push({ job: 'start', library: name, error: messageOf(error) });
    }
  }
  return { libraries, failed };
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n')[0]!.slice(0, 300);
}

const models = {
  tiny: { name: 'bert-tiny', layers: 2, hidden: 128, heads: 2, vocabulary: 30_522 },
  mini: { name: 'bert-mini', layers: 4, hidden: 256, heads: 4, vocabulary: 30_522 },
  miniLm: { name: 'MiniLM', layers: 6, hidden: 384, heads: 12, vocabulary: 30_522 },
  base: { name: 'bert-base', layers: 12, hidden: 768, heads: 12, vocabulary: 30_522 },
} satisfies Record<string, PeerModel>;

/** One thing that is done in every library that can. */
interface Comparison {
  name: string;
  /** Null where the library cannot. */
  prepare: (library: Library) => Promise<Work> | undefined;
  /** Results to compare before timing: one, or a few training steps one after the other. */
  checks: number;
  /** Largest difference allowed, relative to the larger of 1 and the largest number. */
  tolerance: number;
}

function kernelComparison(kernel: PeerKernel): Comparison {
  const [name, inputs] =
    kernel.op === 'matmul'
      ? [`matmul ${kernel.m}×${kernel.n}×${kernel.k}`, [kernel.m * kernel.k, kernel.k * kernel.n]]
      : [
          `${kernel.op} ${kernel.rows}×${kernel.cols}`,
          [kernel.rows * kernel.cols, ...(kernel.op === 'layerNorm' ? [kernel.cols, kernel.cols] : [])],
        ];
  const values = (inputs as number[]).map((count, i) => randomValues(count, i + 1));
  return {
    name: name as string,
    prepare: ({ kernel: run }) => run?.(kernel, values),
    checks: 1,
    tolerance: 1e-4,
  };
}

function jobComparison(kind: 'training' | 'inference', model: PeerModel, software: boolean): Comparison {
  const [size, length] = software ? [8, 64] : [32, 128];
  const job = makeJob(model, size, length);
  return {
    name: `${model.name} ${kind} ${size}×${length}`,
    prepare: (library) => library[kind]?.(job),
    checks: kind === 'training' ? 3 : 1,
    tolerance: 1e-3,
  };
}

/** Made one by one, so that one job's weights are gone before the next one's are drawn. */
function comparisons(software: boolean, quick: boolean): (() => Comparison)[] {
  const matmuls: [number, number, number][] = [
    [512, 512, 512],
    [1024, 1024, 1024],
    [512, 1536, 384],
    [512, 768, 768],
    ...(software
      ? []
      : ([
          [2048, 2048, 2048],
          [4096, 768, 768],
          [4096, 3072, 768],
        ] as [number, number, number][])),
  ];
  const kernels: PeerKernel[] = [
    ...matmuls.map(([m, n, k]): PeerKernel => ({ op: 'matmul', m, n, k })),
    { op: 'softmax', rows: 2048, cols: 128 },
    { op: 'softmax', rows: 512, cols: 30_522 },
    { op: 'layerNorm', rows: software ? 512 : 4096, cols: 768 },
  ];
  const { tiny, mini, miniLm, base } = models;
  const trained = quick ? [tiny] : software ? [tiny, mini] : [tiny, mini, miniLm, base];
  const inferred = quick ? [mini] : software ? [mini, miniLm] : [mini, miniLm, base];
  return [
    ...(quick ? kernels.slice(0, 1) : kernels).map((kernel) => () => kernelComparison(kernel)),
    ...trained.map((model) => () => jobComparison('training', model, software)),
    ...inferred.map((model) => () => jobComparison('inference', model, software)),
  ];
}

async function resultsOf(work: Work, count: number): Promise<number[]> {
  const values: number[] = [];
  for (let i = 0; i < count; i += 1) for (const value of await work.result()) values.push(value);
  return values;
}

function differenceOf(values: readonly number[], expected: readonly number[]): number {
  if (values.length !== expected.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  let scale = 1;
  for (const [i, value] of values.entries()) {
    const distance = Math.abs(value - expected[i]!);
    if (!(distance <= most)) most = distance;
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return most / scale;
}

async function compare(
  comparison: Comparison,
  libraries: readonly Library[],
  seconds: number,
): Promise<PeerResult[]> {
  const results: PeerResult[] = [];
  let expected: number[] | null = null;
  let own: Timing | null = null;
  for (const library of libraries) {
    const base = { job: comparison.name, library: library.name };
    let work: Work | undefined;
    try {
      work = await comparison.prepare(library);
      if (work === undefined) continue;
      const values = await resultsOf(work, comparison.checks);
      expected ??= values;
      const difference = differenceOf(values, expected);
      if (!(difference <= comparison.tolerance))
        throw new Error(`its numbers differ from ours by ${difference.toPrecision(2)}`);
      const timing = await measure(work, work.run, { seconds });
      own ??= timing;
      results.push({ ...base, timing, ratio: timing.median / own.median, difference });
    } catch (error) {
      results.push({ ...base, error: messageOf(error) });
      // Without our own numbers and time there is nothing to compare with.
      if (expected === null || own === null) break;
    } finally {
      work?.dispose();
    }
  }
  return results;
}

export async function comparePeers(options: PeerOptions): Promise<PeersResult> {
  const { device, seconds, quick, wanted, report } = options;
  const { libraries, failed } = await openLibraries(options);
  const all = [ours(device, options.version), ...libraries];
  if (failed.length > 0) report(failed);
  const results = [...failed];
  for (const make of comparisons(device.software, quick)) {
    const comparison = make();
    if (!wanted(comparison.name)) continue;
    const done = await compare(comparison, all, seconds);
    report(done);
    results.push(...done);
  }
  return { versions: Object.fromEntries(all.map(({ name, version }) => [name, version])), results };
}
