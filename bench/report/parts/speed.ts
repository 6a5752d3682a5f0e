/** Measures the adapter's ceilings, and how close kernels and whole jobs come to them. */
import type { Device } from '../../../src/tensor/device.ts';
import { type Ceilings, halfCeiling, measureCeilings } from '../../ceilings.ts';
import {
  type JobOptions,
  type JobResult,
  type JobSize,
  jobFlops,
  jobKind,
  jobName,
  jobSizes,
  runJob,
} from '../../jobs.ts';
import type { KernelCase } from '../../kernels/cases.ts';
import { matmulCases } from '../../kernels/matmul.ts';
import { otherCases } from '../../kernels/others.ts';
import { runKernel } from '../../kernels/run.ts';
import type { TunedClass } from '../data.ts';
import type { PartContext } from '../part.ts';

export async function ceilingsPart({ found, openDevice, remaining }: PartContext): Promise<void> {
  const device = await openDevice();
  const seconds = Math.min(1, remaining() / 12);
  // Measures matrix units last: a failure of this experimental feature must not lose the other ceilings.
  const plain = await measureCeilings(device, seconds, { matrixUnits: false });
  found({ ceilings: plain });
  if (device.gpu.subgroupMatrices.length > 0) found({ ceilings: await measureCeilings(device, seconds) });
  device.destroy();
}

export async function kernelsPart({
  results,
  found,
  leaveOut,
  remaining,
  openDevice,
}: PartContext): Promise<void> {
  const { ceilings } = results;
  if (ceilings === undefined) leaveOut('shares: there are no ceilings');
  const device = await openDevice();
  const cases = [...matmulCases(device.software, device.gpu.float16), ...otherCases(device.software)];
  const ordered = [true, false].flatMap((quick) => cases.filter((one) => (one.quick === true) === quick));
  const nameOf = ({ family, name }: KernelCase): string => `${family} ${name}`;
  const skipped: string[] = [];
  for (const one of ordered) {
    if (remaining() <= 0) skipped.push(nameOf(one));
    else found({ kernels: [await runKernel(device, one, ceilings, 0.25)] });
  }
  leaveOut('no time left', skipped);
  device.destroy();
}

interface Job extends Pick<JobOptions, 'training' | 'batch' | 'length' | 'fp16'> {
  size: JobSize;
}

/** The name that the job's result will have. */
function plannedName({ size, ...job }: Job): string {
  return jobName({ ...job, job: jobKind(size, job) });
}

/** Most informative first; software adapters start with models that they can handle. */
function jobList(software: boolean, able: boolean): Job[] {
  const named = (name: string): JobSize => jobSizes.find((size) => size.name === name)!;
  const order: [name: string, batch: number, length: number][] = [
    ...(software
      ? ([
          ['bert-tiny', 8, 64],
          ['bert-mini', 8, 64],
        ] as [string, number, number][])
      : []),
    ['bert-base', 32, 128],
    ['MiniLM', 32, 128],
    ['bert-base', 8, 512],
    ['roberta-base', 32, 128],
    ['MiniLM', 8, 512],
    ['roberta-base', 8, 512],
  ];
  return order.flatMap(([name, batch, length]) =>
    [true, false].flatMap((training) =>
      (able ? [false, true] : [false]).map((fp16) => ({ size: named(name), training, batch, length, fp16 })),
    ),
  );
}

/** Minimum number of steps in a job: warm-up, timed, by phase, by kernel. */
const LEAST_STEPS = 10;
/** Seconds to compile a job's kernels and draw its weights. */
const START_SECONDS = 2;
/** The assumed share of the ceiling, until a job has been measured. */
const GUESS = 0.1;

/** Estimates the minimum seconds of a job from the rate of earlier ones. */
function estimate(job: Job, ceilings: Ceilings | undefined, before: readonly JobResult[]): number {
  const flops = jobFlops(job.size, job, job.batch * job.length);
  const rates = before.filter(({ fp16 }) => fp16 === job.fp16).map((result) => result.flops);
  const most = ceilings === undefined ? null : job.fp16 ? halfCeiling(ceilings) : ceilings.fma;
  const rate = rates.length > 0 ? Math.max(...rates) : most === null ? null : GUESS * most;
  return rate === null ? 0 : START_SECONDS + (LEAST_STEPS * flops) / rate;
}

async function runJobs(
  jobs: readonly Job[],
  device: Device,
  { results, leaveOut, remaining }: PartContext,
  tell: (result: JobResult) => void,
): Promise<void> {
  const done: JobResult[] = [];
  const skipped: string[] = [];
  for (const job of jobs) {
    const name = plannedName(job);
    const needed = estimate(job, results.ceilings, done);
    if (needed > remaining()) {
      skipped.push(`${name}, ${needed.toFixed(0)} s`);
      continue;
    }
    try {
      const { size, ...options } = job;
      const result = await runJob(device, size, { ...options, steps: 20, seconds: 2 });
      done.push(result);
      tell(result);
    } catch (error) {
      // Other jobs may fit even if this one does not.
      leaveOut(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      device.trim();
    }
  }
  leaveOut('would take longer than was left', skipped);
}

export async function jobsPart(context: PartContext): Promise<void> {
  const device = await context.openDevice();
  if (!device.gpu.float16) context.leaveOut('mixed precision: the adapter has no float16 (shader-f16)');
  const list = jobList(device.software, device.gpu.float16);
  await runJobs(list, device, context, (result) => context.found({ jobs: [result] }));
  device.destroy();
}

/** The measured choices, in the form that `dawngrad tune` stores. */
function choices(tuned: readonly TunedClass[]): Map<string, string> {
  return new Map(
    tuned.flatMap(({ class: key, times: [best] }) => (best === undefined ? [] : [[key, best.technique]])),
  );
}

export async function tunedJobsPart(context: PartContext): Promise<void> {
  const { results, found, leaveOut, openDevice } = context;
  if (results.tuned.length === 0 || results.jobs.length === 0) {
    leaveOut(results.tuned.length === 0 ? 'nothing was tuned' : 'no job was measured before');
    return;
  }
  const device = await openDevice();
  for (const [key, technique] of choices(results.tuned)) device.gpu.tuning.choose(key, technique);
  const before = new Set(results.jobs.map(jobName));
  const again = jobList(device.software, device.gpu.float16).filter((job) => before.has(plannedName(job)));
  await runJobs(again, device, context, (result) => found({ tunedJobs: [result] }));
  device.destroy();
}
