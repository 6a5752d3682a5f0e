/** Finds what `dawngrad tune` would choose for both types, without storing it. */
import { chooseMatmul, techniqueName } from '../../../src/kernels/matmul-variants.ts';
import { layerProducts, tuneMatmul } from '../../../src/kernels/tune.ts';
import type { PartContext } from '../part.ts';

/** BERT-base, then MiniLM; BERT-base would take minutes on software adapters. */
const WIDTHS = { hardware: [768, 384], software: [128, 256] };
const TOKENS = { hardware: 4096, software: 512 };

export async function tuningPart({ found, leaveOut, remaining, openDevice }: PartContext): Promise<void> {
  const device = await openDevice();
  const { gpu } = device;
  const kind = device.software ? 'software' : 'hardware';
  const products = WIDTHS[kind].flatMap((hidden) =>
    (gpu.float16 ? [false, true] : [false]).flatMap((half) => layerProducts(hidden, TOKENS[kind], half)),
  );
  const skipped: string[] = [];
  for (const product of products) {
    const { m, n, k, half } = product;
    if (remaining() <= 0) {
      skipped.push(`${m}×${n}×${k}${half ? ' of float16' : ''}`);
      continue;
    }
    const usual = techniqueName(chooseMatmul(gpu, product));
    found({ tuned: [{ ...(await tuneMatmul(gpu, product)), usual }] });
  }
  leaveOut('no time left', skipped);
  device.destroy();
}
