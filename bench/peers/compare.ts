/** Runs the same work in each library on the same adapter: first compares the numbers, then times it. */
import { existsSync } from 'node:fs';
import { measure, summarize, type Timing } from '../../src/gpu/measure.ts';
import type { Device } from '../../src/tensor/device.ts';
import { type Comparison, comparisons, pyTorchCases } from './cases.ts';
import { exposeGpu } from './gpu.ts';
import type { Library, Work } from './library.ts';
import { ours } from './ours.ts';
import { comparePyTorch } from './pytorch.ts';
import { differenceOf, messageOf, type PeerResult, type PeersResult, resultsOf } from './results.ts';

export interface PeerOptions {
  device: Device;
  /** As in the benchmark's option. */
  adapter: string | undefined;
  /** Our version. */
  version: string;
  seconds: number;
  quick: boolean;
  /** Compare with the libraries of bench/peers. */
  libraries: boolean;
  /** A Python with torch and transformers to compare with. */
  pytorch: string | undefined;
  wanted: (name: string) => boolean;
  /** Called after each job with its results. */
  report: (results: readonly PeerResult[]) => void;
}

export function peersInstalled(): boolean {
  return existsSync(new URL('node_modules', import.meta.url));
}

/** The libraries' files are outside the root's type check, because their packages may be missing. */
async function openLibraries(
  adapter: string | undefined,
): Promise<{ libraries: Library[]; failed: PeerResult[] }> {
  exposeGpu(adapter);
  const libraries: Library[] = [];
  const failed: PeerResult[] = [];
  for (const name of ['tfjs', 'jax', 'onnx-web', 'onnx-wasm', 'onnx-node', 'transformers']) {
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

/** Seconds of a run after which it is not repeated. */
const SLOW_SECONDS = 5;

/** Times work that ran once before, and so has compiled. */
async function timed(work: Work, seconds: number): Promise<Timing> {
  const start = performance.now();
  await work.run();
  await work.sync();
  const once = (performance.now() - start) / 1000;
  return once > SLOW_SECONDS ? summarize([once]) : measure(work, work.run, { seconds });
}

async function compare(
  { name, make, checks, tolerance }: Comparison,
  libraries: readonly Library[],
  seconds: number,
): Promise<PeerResult[]> {
  const prepare = make();
  const results: PeerResult[] = [];
  let expected: Float32Array | null = null;
  let own: Timing | null = null;
  for (const library of libraries) {
    let work: Work | undefined;
    try {
      work = await prepare(library);
      if (work === undefined) continue;
      const values = await resultsOf(work, checks);
      expected ??= values;
      const difference = differenceOf(values, expected);
      if (!(difference <= tolerance))
        throw new Error(`its numbers differ from ours by ${difference.toPrecision(2)}`);
      const timing = await timed(work, seconds);
      own ??= timing;
      const ratio = timing.median / own.median;
      results.push({ job: name, library: library.name, timing, ratio, difference });
    } catch (error) {
      results.push({ job: name, library: library.name, error: messageOf(error) });
      // Without our own numbers and time there is nothing to compare with.
      if (own === null) break;
    } finally {
      work?.dispose();
    }
  }
  return results;
}

export async function comparePeers(options: PeerOptions): Promise<PeersResult> {
  const { device, seconds, quick, wanted } = options;
  const results: PeerResult[] = [];
  const add = (made: readonly PeerResult[]): void => {
    if (made.length > 0) options.report(made);
    results.push(...made);
  };
  const versions: Record<string, string> = { dawngrad: options.version };
  if (options.libraries) {
    const { libraries, failed } = await openLibraries(options.adapter);
    add(failed);
    for (const { name, version } of libraries) versions[name] = version;
    const all = [ours(device, options.version), ...libraries];
    for (const comparison of comparisons(device.software, quick))
      if (wanted(comparison.name)) add(await compare(comparison, all, seconds));
  }
  if (options.pytorch !== undefined) {
    const made: PeerResult[] = [];
    const cases = pyTorchCases(device.software, quick)
      .map((one) => ({
        ...one,
        kinds: one.kinds.filter((kind) => wanted(`${one.model} ${kind} ${one.shape}`)),
      }))
      .filter(({ kinds }) => kinds.length > 0);
    await comparePyTorch({
      python: options.pytorch,
      device,
      cases,
      seconds,
      compileSeconds: 0,
      report: (result) => made.push(result),
      note: (version) => {
        versions.PyTorch = version;
      },
    });
    for (const job of new Set(made.map((result) => result.job)))
      add(made.filter((result) => result.job === job));
  }
  return { versions, results };
}
