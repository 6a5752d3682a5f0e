/** Finds what `dawngrad tune` would choose for both types, without storing it. */
import { floatDtypes } from '../../../src/gpu/dtype.ts';
import { chooseMatmul } from '../../../src/kernels/matmul/choose.ts';
import { techniqueName } from '../../../src/kernels/matmul/techniques.ts';
import { layerProducts, tuneMatmul } from '../../../src/kernels/matmul/tune.ts';
import type { PartContext } from '../part.ts';

/** BERT-base, then MiniLM; BERT-base would take minutes on software adapters. */
const WIDTHS = { hardware: [768, 384], software: [128, 256] };
const TOKENS = { hardware: 4096, software: 512 };

export async function tuningPart({ found, leaveOut, remaining, openDevice }: PartContext): Promise<void> {
  const device = await openDevice();
  const { gpu } = device;
  const kind = device.software ? 'software' : 'hardware';
  const products = WIDTHS[kind].flatMap((hidden) =>
    floatDtypes
      .filter((dtype) => dtype === 'float32' || gpu.float16)
      .flatMap((dtype) => layerProducts(hidden, TOKENS[kind], dtype)),
  );
  const skipped: string[] = [];
  for (const product of products) {
    const { m, n, k, dtype } = product;
    if (remaining() <= 0) {
      skipped.push(`${m}×${n}×${k}${dtype === 'float32' ? '' : ` of ${dtype}`}`);
      continue;
    }
    const usual = techniqueName(chooseMatmul(gpu, product));
    found({ tuned: [{ ...(await tuneMatmul(gpu, product)), usual }] });
  }
  leaveOut('no time left', skipped);
  device.destroy();
}
