/** Caches compute pipelines, one per kernel variant, each compiled once per device. */
import { cached } from '../cached.ts';
import type { CompileProgress } from './options.ts';
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

  /**
   * Compiles variants that are not there yet, all at once, so that the driver may use every core. One that
   * fails is left to `get`, whose error the device tells.
   */
  async compile(
    variants: Iterable<KernelVariant>,
    report: (progress: CompileProgress) => void,
  ): Promise<void> {
    const missing = [...variants].filter(({ key }) => !this.pipelines.has(key));
    const progress = { compiled: 0, total: missing.length };
    if (missing.length === 0) return;
    report({ ...progress });
    await Promise.all(
      missing.map(async (variant) => {
        const { descriptor, ...others } = this.describe(variant, this.assemble(variant));
        const gpu = await this.device.createComputePipelineAsync(descriptor).catch(() => null);
        if (gpu !== null) cached(this.pipelines, variant.key, () => this.numbered({ gpu, ...others }));
        progress.compiled += 1;
        report({ ...progress });
      }),
    );
  }

  private assemble({ shader, defines }: KernelVariant): string {
    return assembleShader(shader, { ...this.pins, ...defines });
  }

  /** `assemble` provides the WGSL of a shader that is not the engine's own (benchmarks have some). */
  get(variant: KernelVariant, assemble: () => string = () => this.assemble(variant)): Pipeline {
    const known = this.byVariant.get(variant);
    if (known !== undefined) return known;
    const made = cached(this.pipelines, variant.key, () => this.make(variant, assemble()));
    this.byVariant.set(variant, made);
    return made;
  }

  private make(variant: KernelVariant, code: string): Pipeline {
    const { descriptor, ...others } = this.describe(variant, code);
    return this.numbered({ gpu: this.device.createComputePipeline(descriptor), ...others });
  }

  private numbered(parts: Omit<Pipeline, 'id'>): Pipeline {
    return { id: this.pipelines.size, ...parts };
  }

  private describe(
    { key: label }: KernelVariant,
    code: string,
  ): Omit<Pipeline, 'id' | 'gpu'> & { descriptor: GPUComputePipelineDescriptor } {
    const access = bindingAccess(code);
    const layout = cached(this.layouts, access, () => this.makeLayout(access));
    const module = this.device.createShaderModule({ code, label });
    return {
      descriptor: { label, layout: layout.pipeline, compute: { module, entryPoint: 'main' } },
      layout: layout.bind,
    };
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

/** Makes no pipelines, and knows which ones were asked for. */
export class AskedPipelines extends PipelineCache {
  readonly asked = new Set<KernelVariant>();

  override get(variant: KernelVariant): Pipeline {
    this.asked.add(variant);
    return NO_PIPELINE;
  }
}

const NO_PIPELINE = { id: 0, gpu: {}, layout: {} } as Pipeline;
