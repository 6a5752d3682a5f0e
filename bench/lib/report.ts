/** Results as tables for people, and what moved between two runs. */
import Table from 'cli-table3';
import { type Ceilings, halfCeiling } from '../ceilings.ts';
import type { HostResult } from '../host.ts';
import type { JobResult } from '../jobs.ts';
import type { BenchResult, KernelResult } from '../main.ts';
import type { PeerResult } from '../peers/results.ts';
import type { Timing } from './measure.ts';

const none = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
];
const inner = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'];
const chars = { ...Object.fromEntries([...none, ...inner].map((name) => [name, ''])), middle: '  ' };

function table(head: string[], rows: readonly string[][]): string {
  const made = new Table({
    chars,
    head,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
  });
  made.push(...rows);
  return made.toString();
}

/** A rate with a prefix: 12.3 G. */
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

export function ceilingTable(c: Ceilings): string {
  return table(
    ['ceiling of this adapter', ''],
    [
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
  );
}

export function kernelTable(results: readonly KernelResult[]): string {
  return table(
    ['kernel', 'median', 'spread', 'on the GPU', 'rate', 'of the ceiling'],
    results.map(({ family, name, timing, gpu, rate, unit, share }) => [
      `${family} ${name}`,
      time(timing.median),
      `± ${percent(spread(timing))}`,
      gpu === null ? '' : time(gpu),
      `${scaled(rate)}${unit === 'flops' ? 'FLOP/s' : 'B/s'}`,
      percent(share),
    ]),
  );
}

/** The rate of a job's matrix products as a share of the ceiling for their type. */
export function jobShare({ flops, fp16 }: JobResult, ceilings: Ceilings): number {
  return flops / (fp16 ? halfCeiling(ceilings) : ceilings.fma);
}

export function jobTable(results: readonly JobResult[], ceilings: Ceilings): string {
  return table(
    [
      'job',
      'batch',
      'step',
      'tokens/s',
      'matmul rate',
      'of the ceiling',
      'forward',
      'backward',
      'optimizer',
      'host',
      'dispatches',
      'host a dispatch',
      'peak memory',
      'buffers made',
    ],
    results.map((r) => [
      r.job,
      `${r.batch}×${r.length}`,
      time(r.timing.median),
      Math.round(r.tokensPerSecond).toLocaleString('en-US'),
      `${scaled(r.flops)}FLOP/s`,
      percent(jobShare(r, ceilings)),
      ...(['forward', 'backward', 'optimizer'] as const).map((phase) =>
        r.phases === undefined ? '' : time(r.phases[phase]),
      ),
      time(r.host.median),
      r.dispatches.toFixed(0),
      time(r.host.median / r.dispatches),
      `${(r.peakBytes / 2 ** 20).toFixed(0)} MiB`,
      String(r.buffersCreated),
    ]),
  );
}

/** What the host costs where nothing is computed beside it. */
export function hostTable(results: readonly HostResult[]): string {
  return table(
    ['host alone', 'dispatches', 'host', 'a dispatch', 'quartiles', 'buffers made', 'bind groups made'],
    results.map(({ job, dispatches, host, buffersCreated, bindGroupsCreated }) => [
      job,
      dispatches.toFixed(0),
      time(host.median),
      time(host.median / dispatches),
      `${time(host.low / dispatches)} to ${time(host.high / dispatches)}`,
      String(buffersCreated),
      String(bindGroupsCreated),
    ]),
  );
}

/** Where the GPU's time of a job's step goes: the kernels that take most of it. */
export function timeTable({ job, kernels }: JobResult, most = 12): string {
  const total = kernels.reduce((sum, { seconds }) => sum + seconds, 0);
  return table(
    [`${job}: kernel`, 'dispatches', 'time', 'of the step'],
    kernels
      .slice(0, most)
      .map(({ name, count, seconds }) => [name, String(count), time(seconds), percent(seconds / total)]),
  );
}

/** `ratio` is a library's time in units of ours. */
export function relation(ratio: number): string {
  return ratio >= 1 ? `${ratio.toFixed(2)} × slower` : `${(1 / ratio).toFixed(2)} × faster`;
}

/** One job in several libraries; ours comes first. */
export function peerTable(results: readonly PeerResult[]): string {
  return table(
    [results[0]?.job ?? '', 'median', 'spread', 'against ours'],
    results.map(({ library, timing, ratio, error }, i) =>
      timing === undefined || ratio === undefined
        ? [library, 'failed', '', error ?? '']
        : [library, time(timing.median), `± ${percent(spread(timing))}`, i === 0 ? '' : relation(ratio)],
    ),
  );
}

/** Kernels and jobs by name, with their shares of the ceilings of their own run. */
function sharesOf({ kernels, jobs, ceilings }: BenchResult): Map<string, { share: number; timing: Timing }> {
  return new Map([
    ...kernels.map(({ family, name, share, timing }) => [`${family} ${name}`, { share, timing }] as const),
    ...jobs.map((job) => {
      const share = jobShare(job, ceilings);
      return [`${job.job} ${job.batch}×${job.length}`, { share, timing: job.timing }] as const;
    }),
  ]);
}

/** What moved by more than the spread of both runs; rates as shares of the ceiling, so that a busier machine does not count. */
export function comparison(before: BenchResult, after: BenchResult): string {
  const old = sharesOf(before);
  const rows = [...sharesOf(after)].flatMap(([name, is]) => {
    const was = old.get(name);
    if (was === undefined) return [];
    const ratio = is.share / was.share;
    const noise = spread(is.timing) + spread(was.timing);
    if (Math.abs(ratio - 1) <= Math.max(noise, 0.03)) return [];
    return [[name, percent(was.share), percent(is.share), `${ratio.toFixed(2)} ×`]];
  });
  return rows.length === 0
    ? 'nothing moved by more than the noise'
    : table(['moved', 'before', 'after', ''], rows);
}
