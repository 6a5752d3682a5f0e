/** Every shader compiles in every variant, on Dawn's null backend: no GPU needed. */
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
  const bytes: Record<string, number> = {
    f32: 4,
    u32: 4,
    vec2f: 8,
    vec4f: 16,
    'vec4<f32>': 16,
    'vec4<f16>': 8,
  };
  const bytesOf = (type: string): number => {
    const [, item, count] = /^array<(.+), (\d+)>$/.exec(type) ?? [];
    if (item !== undefined) return Number(count) * bytesOf(item);
    const [, aliased] = new RegExp(`alias ${type} = (.+);`).exec(code) ?? [];
    return aliased === undefined ? (bytes[type] ?? Number.NaN) : bytesOf(aliased);
  };
  const arrays = code.matchAll(/var<workgroup> \w+: (array<.+>);/g);
  return [...arrays].reduce((sum, [, type]) => sum + bytesOf(type!), 0);
}

/** Kernels ask for their subgroups' size; other tests run them without. */
const PINS = { PINNED: true, PINNED_TILES: true };

const shaders = [...new Set(variants.map(({ shader }) => shader))];

/** The code as its main function and all the rest. */
function mainAndRest(code: string): [string, string] {
  const at = code.indexOf('@compute');
  return [code.slice(at), code.slice(0, at)];
}

it.each(shaders)('compiles every variant of %s', async (shader) => {
  const { gpu } = device.current;
  const { maxStorageBuffersPerShaderStage, maxComputeWorkgroupStorageSize } = gpu.device.limits;
  const failures: string[] = [];
  const compiled = new Set<string>();
  const codes = variants
    .filter((one) => one.shader === shader)
    .map((variant) => ({ variant, code: assembleShader(shader, { ...PINS, ...variant.defines }) }))
    .sort((a, b) => a.code.length - b.code.length);
  // A driver may choose another size for a kernel that does not ask for the one it counts on.
  const unpinned = codes.filter(
    ({ code }) =>
      /\b(subgroup(Add|Max|Shuffle|Broadcast|Matrix)|quadSwap)/.test(code) && !/@subgroup_size\(/.test(code),
  );
  expect(unpinned.map(({ variant }) => variant.key)).toEqual([]);
  for (const { variant, code } of codes) {
    // Unrolled main functions take the compiler 20 to 80 ms. Each is compiled, and all that it calls in each
    // form, but not each pair of them.
    const parts = mainAndRest(code);
    if (shader === 'matmul_quads' && parts.every((part) => compiled.has(part))) continue;
    for (const part of parts) compiled.add(part);
    gpu.device.pushErrorScope('validation');
    // Skips variants that need more buffers or more workgroup memory than this adapter has.
    if (
      code.match(/var<storage/g)!.length > maxStorageBuffersPerShaderStage ||
      workgroupBytes(code) > maxComputeWorkgroupStorageSize
    )
      gpu.device.createShaderModule({ code });
    else gpu.pipelines.get(variant, () => code);
    const error = await gpu.device.popErrorScope();
    if (error !== null) failures.push(`${variant.key}: ${error.message}`);
  }
  expect(failures).toEqual([]);
});
