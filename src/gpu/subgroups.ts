/** The size of subgroups that kernels count on: the adapter's only one, or one that they ask for. */
import { assembleShader, type Defines } from './wgsl.ts';

export const SUBGROUP_SIZE_CONTROL = 'subgroup-size-control' as GPUFeatureName;

/** Every vendor's GPUs have it but AMD's before RDNA, and fewer rounds add up 32 numbers than 64. */
const WANTED_SIZE = 32;

export interface Subgroups {
  /** Invocations of a subgroup; 0 if there are none, or of several sizes of which none can be asked for. */
  readonly size: number;
  /** What shaders see of it (`shaders/common/pinned*.wgsl`). */
  readonly pins: Defines;
}

/** Of a device whose adapter may have several sizes. */
export async function subgroupsOf(device: GPUDevice): Promise<Subgroups> {
  // Not every browser provides `adapterInfo`.
  const { subgroupMinSize: least = 0, subgroupMaxSize: most = 0 } = device.adapterInfo ?? {};
  const usable = device.features.has('subgroups');
  if (!usable || least === most) return { size: usable ? least : 0, pins: {} };
  const size = Math.min(Math.max(WANTED_SIZE, least), most);
  if (!device.features.has(SUBGROUP_SIZE_CONTROL) || !(await compiles(device, size)))
    return { size: 0, pins: {} };
  // AMD's choose 64 of 32 and 64, and issue two operations at once for subgroups of 32 only. Intel's choose by
  // the registers that a kernel takes, of which a larger subgroup leaves fewer.
  return { size, pins: { PINNED: true, PINNED_TILES: least === WANTED_SIZE } };
}

/** Whether the adapter takes the size: browsers may report wider bounds than it has. */
async function compiles(device: GPUDevice, size: number): Promise<boolean> {
  const code = assembleShader('common/pinned_trial', { PINNED: true, LANES: size });
  for (const kind of ['validation', 'internal'] as const) device.pushErrorScope(kind);
  const module = device.createShaderModule({ code });
  device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
  return errors.every((error) => error === null);
}
