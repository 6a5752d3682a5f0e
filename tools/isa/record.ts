/** The launches of BERTs' inference and training, as the engine makes them on a given adapter. */
import { type JobKind, jobKind, jobSizes, runJob } from '../../bench/jobs.ts';
import { GpuContext } from '../../src/gpu/context.ts';
import { Device } from '../../src/tensor/device.ts';
import { type RequestedPipeline, requestOf } from './recording-device.ts';

export interface Launch {
  /** The kernel's name, a key of the recording's pipelines. */
  kernel: string;
  /** Scalars by the names that the shader gives them. */
  scalars: Record<string, number>;
  /** Bytes that each binding shows of its buffer, in the shader's order. */
  bytes: number[];
  grid: [number, number, number];
}

export interface RecordedJob {
  name: string;
  launches: Launch[];
}

export interface Recording {
  jobs: RecordedJob[];
  pipelines: Map<string, RequestedPipeline>;
}

/** Batch and length of every job. */
export const JOB_SHAPE = { batch: 32, length: 128 } as const;
const MODELS = ['MiniLM', 'bert-base'];

/** Names of the shader's scalars, in the order in which `Params` declares them. */
export function scalarNames(code: string): string[] {
  const [, body = ''] = /struct Params \{([^}]*)\}/.exec(code) ?? [];
  const plain = body.replace(/\/\/.*/g, '');
  return [...plain.matchAll(/(\w+)\s*:\s*[uif]32/g)].map(([, name]) => name!);
}

/** Calls `use` with a context's launches from now on. */
function watchLaunches(gpu: GpuContext, use: (launch: Launch, pipeline: RequestedPipeline) => void): void {
  const needed = new WeakMap<object, number>();
  const { pool, recorder } = gpu;
  const acquire = pool.acquire.bind(pool);
  pool.acquire = (bytes) => {
    const buffer = acquire(bytes);
    needed.set(buffer, bytes);
    return buffer;
  };
  const dispatch = recorder.dispatch.bind(recorder);
  recorder.dispatch = (pipeline, slots, scalars, x, y, z) => {
    const request = requestOf(pipeline.gpu);
    const values = [...(scalars.uints ?? []), ...(scalars.floats ?? [])];
    const names = scalarNames(request.code);
    use(
      {
        kernel: request.label,
        scalars: Object.fromEntries(names.map((name, i) => [name, values[i] ?? 0])),
        bytes: slots.map(({ buffer, offset = 0, size }) =>
          Math.max(0, Math.min(size ?? Number.POSITIVE_INFINITY, needed.get(buffer)! - offset)),
        ),
        grid: [x, y, z],
      },
      request,
    );
    dispatch(pipeline, slots, scalars, x, y, z);
  };
}

/** One step of each job on the adapter that `GpuContext.request` finds, which must be a recording one. */
export async function recordJobs(): Promise<Recording> {
  // Not by `requestDevice`, which tries matrix units and would find that they give nothing.
  const gpu = await GpuContext.request({ kernels: 'gpu' });
  const device = new Device(gpu);
  const pipelines = new Map<string, RequestedPipeline>();
  let launches: Launch[] = [];
  watchLaunches(gpu, (launch, pipeline) => {
    launches.push(launch);
    pipelines.set(launch.kernel, pipeline);
  });
  // `runJob` waits for the warm-up, then for each step.
  let steps: Launch[][] = [];
  device.sync = async () => {
    steps.push(launches);
    launches = [];
  };
  const jobs: RecordedJob[] = [];
  const kinds: JobKind[] = [false, true].flatMap((training) =>
    (gpu.float16 ? [false, true] : [false]).map((fp16) => ({ training, fp16 })),
  );
  for (const size of jobSizes.filter(({ name }) => MODELS.includes(name))) {
    for (const kind of kinds) {
      steps = [];
      await runJob(device, size, { ...kind, ...JOB_SHAPE, steps: 1, warmUp: 1 });
      jobs.push({ name: jobKind(size, kind), launches: steps[1]! });
    }
  }
  const launched = new Set(jobs.flatMap((job) => job.launches.map(({ kernel }) => kernel)));
  for (const name of pipelines.keys()) if (!launched.has(name)) pipelines.delete(name);
  return { jobs, pipelines };
}
