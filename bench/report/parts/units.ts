/** Checks whether the adapter's matrix units multiply correctly, with every tile and both operand layouts. */
import { GpuContext } from '../../../src/gpu/context.ts';
import { multipliesRight, WAYS } from '../../../src/kernels/matmul/check.ts';
import { subgroupMatrixTechniques } from '../../../src/kernels/matmul/subgroup-matrix.ts';
import { techniqueName } from '../../../src/kernels/matmul/techniques.ts';
import type { PartContext } from '../part.ts';

export async function unitsPart({ options, found, leaveOut, remaining }: PartContext): Promise<void> {
  const { adapter } = options;
  // Bypasses `requestDevice`, which disables units that multiply incorrectly.
  const gpu = await GpuContext.request({ ...(adapter !== undefined && { adapter }), kernels: 'gpu' });
  const techniques = (['float16', 'float32'] as const)
    .filter((dtype) => dtype === 'float32' || gpu.float16)
    .flatMap((dtype) => subgroupMatrixTechniques(gpu, dtype).map((technique) => ({ technique, dtype })));
  if (techniques.length === 0) leaveOut('the adapter lists no matrix units that the kernels can use');
  const skipped: string[] = [];
  for (const { technique, dtype } of techniques) {
    const name = `${techniqueName(technique)}, of ${dtype}`;
    for (const sides of WAYS) {
      if (remaining() <= 0) {
        skipped.push(name);
        continue;
      }
      const right = await multipliesRight(gpu, technique, { ...sides, dtype });
      const transposed = `${sides.transposeA ? 'Aᵀ' : 'A'} ${sides.transposeB ? 'Bᵀ' : 'B'}`;
      found({ units: [{ technique: name, sides: transposed, right }] });
    }
  }
  leaveOut('no time left', skipped);
  gpu.destroy();
}
