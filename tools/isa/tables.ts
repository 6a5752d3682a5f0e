/** Reports as tables for people, and what moved between two of them. */

import type { TableData } from '../../bench/lib/table.ts';
import { percent, time } from '../../bench/lib/tables.ts';
import type { ChipReport } from './compile.ts';
import type { HotLoop, KernelCode } from './kernel-code.ts';

/** A kernel's name without what it is not: `matmul_tiled ROWS=8 TRANSPOSE_B`. */
export function shortName(kernel: string): string {
  return kernel
    .split(' ')
    .filter((part) => !/=(false|none|0)$/.test(part))
    .map((part) => part.replace(/=true$/, ''))
    .join(' ');
}

const bytes = (count: number): string => (count >= 1024 ? `${(count / 1024).toFixed(1)} K` : `${count}`);

/** Bytes a multiply-add: from memory, and from workgroup memory. */
export function bytesEach({ bytes: loaded, multiplyAdds }: HotLoop): string {
  if (multiplyAdds === 0) return '–';
  return [loaded.memory, loaded.workgroup].map((one) => (one / multiplyAdds).toFixed(2)).join(' + ');
}

const spillsOf = ({ spills }: KernelCode): string =>
  spills.scalar === 0 ? `${spills.vector}` : `${spills.vector} + ${spills.scalar} s`;

export function kernelTable({ kernels }: ChipReport): TableData {
  const head = ['kernel', 'registers', 'spills', 'waves', 'workgroup', 'hot loop', 'mul-add', 'vector'];
  const more = ['LDS', 'memory', 'scalar', 'wait', 'pairs', 'share', 'rate', 'bytes/mul-add'];
  const rows = [...kernels].map(([name, code]) => {
    const { hot } = code;
    const start = [`${code.registers}`, spillsOf(code), `${code.waves}`, bytes(code.workgroupBytes)];
    if (hot === null) return [shortName(name), ...start, ...Array<string>(11).fill('–')];
    const counts = Object.values(hot.counts);
    const all = counts.reduce((sum, count) => sum + count, 0);
    const numbers = [all, ...counts].map(String);
    const shares = [`${hot.pairs}`, percent(hot.share), percent(hot.rate)];
    return [shortName(name), ...start, ...numbers, ...shares, bytesEach(hot)];
  });
  return { head: [...head, ...more], rows };
}

export function jobTable({ jobs }: ChipReport): TableData {
  const head = ['job', 'launches', 'at least', 'multiply-adds', 'memory', 'of the f32 peak', 'most of it'];
  const rows = jobs.map(({ job, launches, seconds, arithmetic, memory, ideal, shaders }) => {
    const most = shaders.slice(0, 3).map((one) => `${one.shader} ${percent(one.seconds / seconds)}`);
    const shares = [percent(arithmetic / seconds), percent(memory / seconds), percent(ideal / seconds)];
    return [job, `${launches}`, time(seconds), ...shares, most.join(', ')];
  });
  return { head, rows };
}

const multiplies = (kernel: string): boolean => /^(matmul(?!_parts)|attention)/.test(kernel);

function overview(code: KernelCode | undefined): string {
  if (code === undefined) return '–';
  const [share, rate] = code.hot === null ? ['–', '–'] : [percent(code.hot.share), percent(code.hot.rate)];
  const more = share === rate ? '' : ` (${rate})`;
  return `${code.registers} / ${spillsOf(code)} / ${code.waves} / ${share}${more}`;
}

/** The most registers and spills of some kernels, and the fewest waves. */
function worst(codes: readonly KernelCode[]): string {
  const most = (of: (code: KernelCode) => number): number => Math.max(...codes.map(of));
  const spills = most(({ spills: { vector, scalar } }) => vector + scalar);
  return `≤ ${most(({ registers }) => registers)} / ${spills} / ≥ ${-most(({ waves }) => -waves)}`;
}

/**
 * Registers, spills, waves, share and rate on each chip: of each kernel that multiplies matrices, and the worst of
 * all others together.
 */
export function overviewTable(reports: readonly ChipReport[]): TableData {
  const names = [...new Set(reports.flatMap(({ kernels }) => [...kernels.keys()]))].filter(multiplies);
  const rest = reports.map(({ kernels }) => [...kernels].filter(([name]) => !multiplies(name)));
  const others = rest.map((some) => (some.length === 0 ? '–' : worst(some.map(([, code]) => code))));
  return {
    head: ['registers / spills / waves / share (rate)', ...reports.map(({ chip }) => chip.name)],
    rows: [
      ...names
        .sort()
        .map((name) => [shortName(name), ...reports.map(({ kernels }) => overview(kernels.get(name)))]),
      [`${Math.max(...rest.map(({ length }) => length))} others`, ...others],
    ],
  };
}

/** Of each job and chip, the least time and the share of the chip's f32 peak that it would be. */
export function jobOverviewTable(reports: readonly ChipReport[]): TableData {
  const names = reports[0]?.jobs.map(({ job }) => job) ?? [];
  const cells = (name: string): string[] =>
    reports.map(({ jobs }) => {
      const { seconds, ideal } = jobs.find(({ job }) => job === name)!;
      return `${time(seconds)} (${percent(ideal / seconds)})`;
    });
  return {
    head: ['at least (of the f32 peak)', ...reports.map(({ chip }) => `${chip.name}, ${chip.card}`)],
    rows: names.map((name) => [name, ...cells(name)]),
  };
}

/** What `--json` writes: reports without the code. */
export interface SavedReport {
  chip: string;
  kernels: Record<string, KernelCode>;
  jobs: { job: string; seconds: number }[];
}

export function savedReport({ chip, kernels, jobs }: ChipReport): SavedReport {
  return { chip: chip.name, kernels: Object.fromEntries(kernels), jobs };
}

/** Kernels and jobs that differ from those saved before; null where none does. */
export function comparison(before: readonly SavedReport[], after: readonly SavedReport[]): TableData | null {
  const rows: string[][] = [];
  const add = (chip: string, name: string, was: string, is: string): void => {
    if (was !== is) rows.push([chip, name, was, is]);
  };
  const summary = (code: KernelCode | undefined): string => {
    if (code === undefined || code.hot === null) return overview(code);
    const all = Object.values(code.hot.counts).reduce((sum, count) => sum + count, 0);
    return `${overview(code)} of ${all}, ${bytesEach(code.hot)} B`;
  };
  for (const { chip, kernels, jobs } of after) {
    const old = before.find((one) => one.chip === chip);
    if (old === undefined) continue;
    for (const name of new Set([...Object.keys(old.kernels), ...Object.keys(kernels)]))
      add(chip, shortName(name), summary(old.kernels[name]), summary(kernels[name]));
    for (const { job, seconds } of jobs) {
      const was = old.jobs.find((one) => one.job === job);
      if (was !== undefined) add(chip, job, time(was.seconds), time(seconds));
    }
  }
  return rows.length === 0 ? null : { head: ['moved', 'name', 'before', 'after'], rows };
}
