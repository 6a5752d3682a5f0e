/**
 * Run as a process of its own for each chip, because the driver takes the chip from the environment: records
 * the jobs, compiles the kernels they launch and sends both to the parent.
 */
import { platform } from '#platform';
import { type RecordedJob, recordJobs } from './record.ts';
import { type RequestedPipeline, recordingAdapter } from './recording-device.ts';
import { watchPipelines, withoutCommands } from './redirect.ts';
import { type CompiledPipeline, Vulkan } from './vulkan.ts';

/** A kernel as the driver compiled it, and the invocations of its workgroups. */
export type CompiledKernel = CompiledPipeline & { invocations: number };

export interface ChipResult {
  adapter: string;
  jobs: RecordedJob[];
  /** By kernel, those whose names fit the filter. */
  compiled: Record<string, CompiledKernel>;
}

/** Throws where Dawn or the driver refuses. */
async function makePipeline(device: GPUDevice, { label, code, entries }: RequestedPipeline): Promise<void> {
  const lost = device.lost.then(({ message }) => ({ message }));
  for (const kind of ['validation', 'internal'] as const) device.pushErrorScope(kind);
  const bindGroupLayouts = [device.createBindGroupLayout({ entries })];
  // Not the asynchronous way, by which Dawn would call the driver in another thread.
  device.createComputePipeline({
    label,
    layout: device.createPipelineLayout({ bindGroupLayouts }),
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  });
  for (const error of [device.popErrorScope(), device.popErrorScope()]) {
    const found = await Promise.race([error, lost]);
    if (found !== null) throw new Error(`${label}: ${found.message}`);
  }
}

/** The invocations of a workgroup of a shader, whose sizes are numbers or constants. */
function invocationsOf(code: string): number {
  const [, sizes = ''] = /@workgroup_size\((.+?)\)/.exec(code) ?? [];
  const numbers = sizes.split(',').map((size) => {
    const [, value = size] = new RegExp(`const ${size.trim()}(?:: u32)? = (\\d+)u?;`).exec(code) ?? [];
    return Number(value);
  });
  const product = numbers.reduce((all, size) => all * size, 1);
  if (!(product > 0)) throw new Error(`cannot read the workgroup's size '${sizes}'`);
  return product;
}

async function compileChip(filter: string): Promise<ChipResult> {
  const vulkan = new Vulkan();
  withoutCommands(vulkan);
  let last: CompiledPipeline | undefined;
  watchPipelines(vulkan, (device, pipeline) => {
    last = vulkan.describe(device, pipeline);
  });
  const found = await platform.requestAdapter({});
  const recording = recordingAdapter(found.adapter);
  platform.requestAdapter = async () => ({ ...found, adapter: recording.adapter });
  const { jobs, pipelines } = await recordJobs();
  const device = await found.adapter.requestDevice(recording.asked);
  const compiled: Record<string, CompiledKernel> = {};
  const byCode = new Map<string, CompiledPipeline>();
  for (const [name, request] of pipelines) {
    if (!name.includes(filter)) continue;
    last = byCode.get(request.code);
    if (last === undefined) await makePipeline(device, request);
    if (last === undefined) throw new Error(`${name}: the driver was not asked to compile it`);
    byCode.set(request.code, last);
    compiled[name] = { ...last, invocations: invocationsOf(request.code) };
  }
  return { adapter: found.description, jobs, compiled };
}

const result = await compileChip(process.argv[2] ?? '');
process.send!(result, () => process.exit(0));
