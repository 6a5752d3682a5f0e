/**
 * Measures the host's cost of recording a step alone, on Dawn's null backend, which computes nothing and so
 * leaves all cores to the host.
 */
import { requestDevice } from '../src/tensor/device.ts';
import { type JobResult, type JobSize, runJob } from './jobs.ts';

/** Has as many kernels as BERT-base, with weights narrow enough for the backend's memory. */
const size: JobSize = {
  family: 'bert',
  name: '12 layers of 128',
  layers: 12,
  hidden: 128,
  heads: 2,
  vocabulary: 30_522,
};

/** Steps until V8 has compiled the code that they run. */
const WARM_UP = 100;

const shape = { training: true, batch: 8, length: 16 };

/** The results that apply to a step that computes nothing. */
export type HostResult = Pick<
  JobResult,
  'job' | 'dispatches' | 'host' | 'buffersCreated' | 'bindGroupsCreated'
>;

/** Measures training steps in float32 and in mixed precision. */
export async function measureHost(steps: number): Promise<HostResult[]> {
  const results: HostResult[] = [];
  for (const fp16 of [false, true]) {
    const device = await requestDevice({ adapter: 'null' });
    if (!fp16 || device.gpu.float16)
      results.push(hostOf(await runJob(device, size, { ...shape, steps, warmUp: WARM_UP, fp16 })));
    device.destroy();
  }
  return results;
}

function hostOf({ job, dispatches, host, buffersCreated, bindGroupsCreated }: JobResult): HostResult {
  return { job, dispatches, host, buffersCreated, bindGroupsCreated };
}
