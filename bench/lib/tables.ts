/** Results as tables for people, and the changes between two runs. */

import type { Timing } from '../../src/gpu/measure.ts';
import { type Ceilings, halfCeiling } from '../ceilings.ts';
import type { HostResult } from '../host.ts';
import { type JobResult, jobName } from '../jobs.ts';
import type { KernelResult } from '../kernels/run.ts';
import type { BenchResult } from '../main.ts';
import type { PeerResult } from '../peers/results.ts';
import type { Section } from './html.ts';
import { type Bar, bar, type TableData } from './table.ts';

/** A rate with a unit prefix: 12.3 G. */
export function scaled(value: number): string {
  const [unit, size] = value >= 1e12 ? ['T', 1e12] : value >= 1e9 ? ['G', 1e9] : ['M', 1e6];
  return `${(value / (size as number)).toFixed(1)} ${unit as string}`;
}

export function time(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return seconds >= 1e-3 ? `${(seconds * 1e3).toFixed(2)} ms` : `${(seconds * 1e6).toFixed(1)} µs`;
}

/** Half the distance between the quartiles, as a share of the median. */
export function spread({ median, low, high }: Timing): number {
  return (high - low) / 2 / median;
}

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

export function ceilingTable(c: Ceilings): TableData {
  return {
    head: ['ceiling of this adapter', ''],
    rows: [
      ['f32 multiply-adds from registers', `${scaled(c.fma)}FLOP/s`],
      ...(c.fmaHalf === null ? [] : [['f16 multiply-adds from registers', `${scaled(c.fmaHalf)}FLOP/s`]]),
      ...c.matrices.map(({ component, rate }) => [
        `${component} products on matrix units`,
        `${scaled(rate)}FLOP/s`,
      ]),
      ['copy, read and written', `${scaled(c.bandwidth)}B/s`],
      ['a dispatch, host', time(c.dispatchHost)],
      ['a dispatch, to its end', time(c.dispatchTotal)],
      ['upload', `${scaled(c.upload)}B/s`],
      ['read-back', `${scaled(c.readback)}B/s`],
    ],
  };
}

/** `withFamily`: the table holds several families. */
export function kernelTable(results: readonly KernelResult[], withFamily = true): TableData {
  return {
    head: ['kernel', 'median', 'spread', 'on the GPU', 'rate', 'of the ceiling', ''],
    rows: results.map(({ family, name, timing, gpu, rate, unit, share }) => [
      withFamily ? `${family} ${name}` : name,
      time(timing.median),
      `± ${percent(spread(timing))}`,
      gpu === null ? '' : time(gpu),
      `${scaled(rate)}${unit === 'flops' ? 'FLOP/s' : 'B/s'}`,
      share === null ? '' : percent(share),
      bar(share ?? 0),
    ]),
  };
}

/** The rate of a job's matrix products, as a share of the ceiling for their type. */
function jobShare({ flops, fp16 }: JobResult, ceilings: Ceilings): number {
  return flops / (fp16 ? halfCeiling(ceilings) : ceilings.fma);
}

/** The speed of each job. */
export function jobTable(results: readonly JobResult[], ceilings: Ceilings | undefined): TableData {
  return {
    head: ['job', 'step', 'spread', 'tokens/s', 'matmul rate', 'of the ceiling', ''],
    rows: results.map((r) => {
      const share = ceilings === undefined ? null : jobShare(r, ceilings);
      return [
        jobName(r),
        time(r.timing.median),
        `± ${percent(spread(r.timing))}`,
        Math.round(r.tokensPerSecond).toLocaleString('en-US'),
        `${scaled(r.flops)}FLOP/s`,
        share === null ? '' : percent(share),
        bar(share ?? 0),
      ];
    }),
  };
}

const PHASES = ['forward', 'backward', 'optimizer'] as const;

function phaseBar({ phases }: JobResult, longest: number): Bar {
  const colors = ['plain', 'own', 'third'] as const;
  if (phases === undefined) return { parts: [] };
  return { parts: PHASES.map((phase, i) => ({ share: phases[phase] / longest, color: colors[i]! })) };
}

/** The composition of each job's step: time by phase, host time, dispatches, memory. */
export function stepTable(results: readonly JobResult[]): TableData {
  const totals = results.map(({ phases }) =>
    phases === undefined ? 0 : phases.forward + phases.backward + phases.optimizer,
  );
  const longest = Math.max(...totals);
  return {
    head: [
      'a step of',
      ...PHASES,
      '',
      'host',
      'dispatches',
      'host a dispatch',
      'peak memory',
      'buffers made',
    ],
    rows: results.map((r) => [
      jobName(r),
      ...PHASES.map((phase) => (r.phases === undefined ? '' : time(r.phases[phase]))),
      phaseBar(r, longest),
      time(r.host.median),
      r.dispatches.toFixed(0),
      time(r.host.median / r.dispatches),
      `${(r.peakBytes / 2 ** 20).toFixed(0)} MiB`,
      String(r.buffersCreated),
    ]),
  };
}

/** The cost on the host when nothing is computed. */
export function hostTable(results: readonly HostResult[]): TableData {
  return {
    head: ['host alone', 'dispatches', 'host', 'a dispatch', 'quartiles', 'buffers made', 'bind groups made'],
    rows: results.map(({ job, dispatches, host, buffersCreated, bindGroupsCreated }) => [
      job,
      dispatches.toFixed(0),
      time(host.median),
      time(host.median / dispatches),
      `${time(host.low / dispatches)} to ${time(host.high / dispatches)}`,
      String(buffersCreated),
      String(bindGroupsCreated),
    ]),
  };
}

/** A variant's name without defines that are false or none: `matmul_tiled TRANSPOSE_B VEC_A ROWS=64`. */
export function shortVariant(name: string): string {
  return name
    .split(' ')
    .filter((part) => !/=(false|none)$/.test(part))
    .map((part) => part.replace(/=true$/, ''))
    .join(' ');
}

/** The kernels that take most of the GPU time of a job's step. */
export function timeTable(job: JobResult, most = 12): TableData {
  const total = job.kernels.reduce((sum, { seconds }) => sum + seconds, 0);
  return {
    head: [`${jobName(job)}: kernel`, 'dispatches', 'time', 'of the step', ''],
    rows: job.kernels
      .slice(0, most)
      .map(({ name, count, seconds }) => [
        shortVariant(name),
        String(count),
        time(seconds),
        percent(seconds / total),
        bar(seconds / total),
      ]),
  };
}

/** `ratio`: the library's time divided by ours. */
export function relation(ratio: number): string {
  return ratio >= 1 ? `${ratio.toFixed(2)} × slower` : `${(1 / ratio).toFixed(2)} × faster`;
}

/** One job in several libraries, ours first. `named`: for a table without a title. */
export function peerTable(results: readonly PeerResult[], named = true): TableData {
  const longest = Math.max(...results.map(({ timing }) => timing?.median ?? 0));
  return {
    head: [(named && results[0]?.job) || '', 'median', 'spread', 'against ours', ''],
    rows: results.map(({ library, timing, ratio, error }, i) =>
      timing === undefined || ratio === undefined
        ? [library, 'failed', '', error ?? '', { parts: [] }]
        : [
            library,
            time(timing.median),
            timing.samples === 1 ? 'one run' : `± ${percent(spread(timing))}`,
            i === 0 ? '' : relation(ratio),
            bar(timing.median / longest, i === 0 ? 'own' : 'plain'),
          ],
    ),
  };
}

/** One table for each value of `key`, in order of first appearance. */
export function grouped<T>(
  items: readonly T[],
  key: (item: T) => string,
  table: (items: readonly T[]) => TableData,
): { title: string; data: TableData }[] {
  return [...new Set(items.map(key))].map((title) => ({
    title,
    data: table(items.filter((item) => key(item) === title)),
  }));
}

export function ceilingSection(ceilings: Ceilings): Section {
  return { title: 'What the adapter can do at most', tables: [{ data: ceilingTable(ceilings) }] };
}

export function kernelSection(results: readonly KernelResult[]): Section {
  return {
    title: 'Kernels, as shares of the ceiling that bounds them',
    tables: grouped(
      results,
      ({ family }) => family,
      (some) => kernelTable(some, false),
    ),
  };
}

export function jobSections(results: readonly JobResult[], ceilings: Ceilings | undefined): Section[] {
  if (results.length === 0) return [];
  return [
    {
      title: 'Jobs; the rate of their matrix products as a share of the ceiling',
      tables: [{ data: jobTable(results, ceilings) }],
    },
    { title: 'What a step is made of', tables: [{ data: stepTable(results) }] },
    {
      title: 'GPU time of a step by kernel',
      tables: results.filter(({ kernels }) => kernels.length > 0).map((job) => ({ data: timeTable(job) })),
    },
  ];
}

export function peerSection(
  title: string,
  results: readonly PeerResult[],
  versions: Readonly<Record<string, string>>,
): Section {
  const known = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return {
    title,
    notes: known.length === 0 ? [] : [known.join(' · ')],
    tables: grouped(
      results,
      ({ job }) => job,
      (some) => peerTable(some, false),
    ),
  };
}

export function benchSections({ ceilings, kernels, host, jobs, peers }: BenchResult): Section[] {
  const hostSection = {
    title: 'What recording a step costs the host, where nothing is computed',
    tables: host.length === 0 ? [] : [{ data: hostTable(host) }],
  };
  const work = 'The same work in other libraries: time, shorter is better';
  return [
    ceilingSection(ceilings),
    kernelSection(kernels),
    hostSection,
    ...jobSections(jobs, ceilings),
    ...(peers === undefined || peers.results.length === 0
      ? []
      : [peerSection(work, peers.results, peers.versions)]),
  ];
}

/** Kernels and jobs by name, with their shares of the ceilings measured in the same run. */
function sharesOf({ kernels, jobs, ceilings }: BenchResult): Map<string, { share: number; timing: Timing }> {
  return new Map([
    ...kernels.flatMap(({ family, name, share, timing }) =>
      share === null ? [] : [[`${family} ${name}`, { share, timing }] as const],
    ),
    ...jobs.map((job) => [jobName(job), { share: jobShare(job, ceilings), timing: job.timing }] as const),
  ]);
}

/**
 * The results that changed by more than the spread of both runs, or null if none did. Compares shares of the
 * ceiling, so that a busier machine does not count as a change.
 */
export function comparison(before: BenchResult, after: BenchResult): TableData | null {
  const old = sharesOf(before);
  const rows = [...sharesOf(after)].flatMap(([name, is]) => {
    const was = old.get(name);
    if (was === undefined) return [];
    const ratio = is.share / was.share;
    const noise = spread(is.timing) + spread(was.timing);
    if (Math.abs(ratio - 1) <= Math.max(noise, 0.03)) return [];
    return [[name, percent(was.share), percent(is.share), `${ratio.toFixed(2)} ×`]];
  });
  return rows.length === 0 ? null : { head: ['moved', 'before', 'after', ''], rows };
}
