/** Every shader in every variant compiles, on Dawn's null backend: no GPU needed. */
import { expect, it } from 'vitest';
import '../../src/index.ts';
import { shaderSources } from '../../src/gpu/shaders.generated.ts';
import { assembleShader } from '../../src/gpu/wgsl.ts';
import { useDevice } from '../support/device.ts';
import { everyVariant } from '../support/variants.ts';

const device = useDevice({ adapter: 'null' });
const variants = everyVariant();

it('has a variant of every shader file', () => {
  const used = new Set(variants.map((variant) => variant.shader));
  const files = Object.keys(shaderSources).filter((name) => !name.startsWith('common/'));
  expect(files.filter((name) => !used.has(name))).toEqual([]);
});

/** Bytes of a shader's arrays in workgroup memory. */
function workgroupBytes(code: string): number {
  const bytes: Record<string, number> = { f32: 4, u32: 4, vec4f: 16, 'vec4<f32>': 16, 'vec4<f16>': 8 };
  const arrays = code.matchAll(/var<workgroup> \w+: array<([\w<>]+), (\d+)>/g);
  return [...arrays].reduce((sum, [, type, count]) => sum + (bytes[type!] ?? Number.NaN) * Number(count), 0);
}

const shaders = [...new Set(variants.map(({ shader }) => shader))];

it.each(shaders)('compiles every variant of %s', async (shader) => {
  const { gpu } = device.current;
  const failures: string[] = [];
  for (const variant of variants.filter((one) => one.shader === shader)) {
    gpu.device.pushErrorScope('validation');
    const code = assembleShader(variant.shader, variant.defines);
    const { maxStorageBuffersPerShaderStage, maxComputeWorkgroupStorageSize } = gpu.device.limits;
    // Variants for adapters that bind more buffers than this one, or have more workgroup memory.
    if (
      code.match(/var<storage/g)!.length > maxStorageBuffersPerShaderStage ||
      workgroupBytes(code) > maxComputeWorkgroupStorageSize
    )
      gpu.device.createShaderModule({ code });
    else gpu.pipelines.get(variant);
    const error = await gpu.device.popErrorScope();
    if (error !== null) failures.push(`${variant.key}: ${error.message}`);
  }
  expect(failures).toEqual([]);
});
