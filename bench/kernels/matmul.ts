/** Matrix multiplication at BERT's own shapes: forward, both backward products, batched, and squares. */
import { matmul } from '../../src/kernels/matmul/matmul.ts';
import { to } from '../../src/tensor/ops/elementwise.ts';
import type { KernelCase } from './cases.ts';

interface Product {
  m: number;
  n: number;
  k: number;
  batch?: number;
  transposeA?: boolean;
  transposeB?: boolean;
  /** Uses float16 matrices, as in mixed precision. */
  half?: boolean;
  label: string;
  quick?: boolean;
}

function product({
  m,
  n,
  k,
  batch = 1,
  transposeA = false,
  transposeB = false,
  half = false,
  label,
  quick,
}: Product): KernelCase {
  return {
    family: 'matmul',
    name: `${label} ${batch > 1 ? `${batch} × ` : ''}${m}×${n}×${k}`,
    work: { flops: 2 * batch * m * n * k, half },
    ...(quick !== undefined && { quick }),
    prepare: (device) => {
      const dtype = half ? 'float16' : 'float32';
      const a = to(device.randn([batch * m * k]), dtype);
      const b = to(device.randn([batch * k * n]), dtype);
      const c = device.empty([batch * m * n], dtype);
      const sides = { a: a.slot, b: b.slot, c: c.slot };
      return () => matmul(device.gpu, { ...sides, m, n, k, batch, transposeA, transposeB });
    },
  };
}

/** y = x·Wᵀ, dx = dy·W, dW = dyᵀ·x of one linear layer. */
function layer(tokens: number, inputs: number, outputs: number, quick: boolean): KernelCase[] {
  return [
    product({ label: 'forward', m: tokens, n: outputs, k: inputs, transposeB: true, quick }),
    product({ label: 'dx', m: tokens, n: inputs, k: outputs }),
    product({ label: 'dW', m: outputs, n: inputs, k: tokens, transposeA: true, quick }),
  ];
}

/**
 * (tokens, in, out) of bert-tiny, TinyBERT, MiniLM, bert-base and bert-large. Software adapters skip the
 * shapes that take seconds. `half`: the adapter supports float16.
 */
export function matmulCases(software: boolean, half: boolean): KernelCase[] {
  const layers: [number, number, number][] = [
    [512, 128, 512],
    [512, 312, 1200],
    [512, 384, 384],
    [512, 384, 1536],
    [512, 1536, 384],
    [512, 768, 768],
    ...(software
      ? []
      : ([
          [4096, 768, 768],
          [4096, 768, 3072],
          [4096, 3072, 768],
          [4096, 1024, 4096],
        ] as [number, number, number][])),
  ];
  const squares = software ? [256, 512, 1024] : [512, 1024, 2048, 4096];
  const halves = half ? squares : [];
  return [
    ...halves.map((n) => product({ label: 'float16 square', m: n, n, k: n, half, quick: n === 1024 })),
    ...squares.map((n) => product({ label: 'square', m: n, n, k: n, quick: n === 512 || n === 1024 })),
    ...layers.flatMap(([tokens, inputs, outputs]) =>
      layer(tokens, inputs, outputs, inputs === 384 && outputs === 1536),
    ),
    product({ label: 'small batch', m: 64, n: 768, k: 768, transposeB: true }),
    product({ label: 'vocabulary', m: 64, n: 30_522, k: software ? 128 : 768, transposeB: true }),
    product({ label: 'batched', batch: 48, m: 128, n: 128, k: 64, transposeB: true }),
  ];
}
