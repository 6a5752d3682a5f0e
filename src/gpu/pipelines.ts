/** Caches compute pipelines, one per kernel variant, each compiled once per device. */
import { cached } from '../cached.ts';
import { assembleShader, type Defines } from './wgsl.ts';

/** One shader file with one set of defines. Its entry point is `main`; binding 0 holds its scalars. */
export interface KernelVariant {
  readonly shader: string;
  readonly defines: Defines;
  /** Unique; also the pipeline's label. */
  readonly key: string;
}

export interface Pipeline {
  readonly id: number;
  readonly gpu: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly bindingCount: number;
}

interface Layout {
  readonly bind: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

/** Access of the bindings 1, 2, … in order: `r` for read-only storage, `w` for read-write storage. */
function bindingAccess(wgsl: string): string {
  const found: string[] = [];
  for (const match of wgsl.matchAll(/@binding\((\d+)\)\s+var<storage,\s*(read|read_write)>/g)) {
    found[Number(match[1]) - 1] = match[2] === 'read' ? 'r' : 'w';
  }
  return found.join('');
}

export class PipelineCache {
  private readonly device: GPUDevice;
  private readonly pipelines = new Map<string, Pipeline>();
  /** Looked up by identity: keys are long, and every dispatch looks here. */
  private readonly byVariant = new Map<KernelVariant, Pipeline>();
  private readonly layouts = new Map<string, Layout>();
  private readonly uniformBytes: number;
  private readonly pins: Defines;

  /** `pins`: what shaders see beside their variant's defines. */
  constructor(device: GPUDevice, uniformBytes: number, pins: Defines) {
    this.device = device;
    this.uniformBytes = uniformBytes;
    this.pins = pins;
  }

  get size(): number {
    return this.pipelines.size;
  }

  /** `assemble` provides the WGSL of a shader that is not the engine's own (benchmarks have some). */
  get(
    variant: KernelVariant,
    assemble: () => string = () => assembleShader(variant.shader, { ...this.pins, ...variant.defines }),
  ): Pipeline {
    const known = this.byVariant.get(variant);
    if (known !== undefined) return known;
    const made = cached(this.pipelines, variant.key, () => this.make(variant, assemble()));
    this.byVariant.set(variant, made);
    return made;
  }

  private make(variant: KernelVariant, code: string): Pipeline {
    const access = bindingAccess(code);
    const layout = cached(this.layouts, access, () => this.makeLayout(access));
    const module = this.device.createShaderModule({ code, label: variant.key });
    const gpu = this.device.createComputePipeline({
      label: variant.key,
      layout: layout.pipeline,
      compute: { module, entryPoint: 'main' },
    });
    return { id: this.pipelines.size, gpu, layout: layout.bind, bindingCount: access.length };
  }

  private makeLayout(access: string): Layout {
    const visibility = GPUShaderStage.COMPUTE;
    const uniform: GPUBufferBindingLayout = {
      type: 'uniform',
      hasDynamicOffset: true,
      minBindingSize: this.uniformBytes,
    };
    const entries: GPUBindGroupLayoutEntry[] = [{ binding: 0, visibility, buffer: uniform }];
    for (const [index, letter] of [...access].entries()) {
      const type = letter === 'r' ? 'read-only-storage' : 'storage';
      entries.push({ binding: index + 1, visibility, buffer: { type } });
    }
    const bind = this.device.createBindGroupLayout({ entries, label: `uniform + ${access}` });
    return { bind, pipeline: this.device.createPipelineLayout({ bindGroupLayouts: [bind] }) };
  }
}
