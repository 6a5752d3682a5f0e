/** Every kernel variant that a model may ask for, of any size and on any adapter. */
import type { GpuContext, GpuLimits } from '../../src/gpu/context.ts';
import { type Dtype, floatDtypes } from '../../src/gpu/dtype.ts';
import type { SubgroupMatrix } from '../../src/gpu/subgroup-matrix.ts';
import { activations } from '../../src/kernels/activations.ts';
import { attentionVariants, MAX_HEAD_SIZE } from '../../src/kernels/attention.ts';
import { type KernelVariant, kernelVariants } from '../../src/kernels/launch.ts';
import { techniquesOf } from '../../src/kernels/matmul/subgroup-matrix.ts';
import { type MatmulTechnique, matmulTechniques } from '../../src/kernels/matmul/techniques.ts';
import { type ProductLayout, partsVariant, productVariant } from '../../src/kernels/matmul/variants.ts';

type Epilogue = ProductLayout['epilogue'];

interface Form {
  transposeA: boolean;
  transposeB: boolean;
  /** What becomes of the results. */
  epilogues: readonly Epilogue[];
}

const plain: Epilogue = { accumulate: false, activation: 'none' };
const added: Epilogue = { accumulate: true, activation: 'none' };
const sums = {};

/** The products that layers, and `matmul` with its options, are made of. */
const forms: readonly Form[] = [
  {
    // Forward.
    transposeA: false,
    transposeB: true,
    epilogues: activations.flatMap((activation): Epilogue[] => [
      { ...plain, activation },
      { ...plain, activation, preactivation: { use: 'store' } },
    ]),
  },
  {
    // The gradient of a layer's input.
    transposeA: false,
    transposeB: false,
    epilogues: [
      plain,
      added,
      ...activations.map(
        (activation): Epilogue => ({ ...plain, activation, preactivation: { use: 'slope' } }),
      ),
    ],
  },
  {
    // The gradients of a layer's weight and bias.
    transposeA: true,
    transposeB: false,
    epilogues: [plain, added, { ...plain, sums }, { ...added, sums }],
  },
  { transposeA: true, transposeB: true, epilogues: [plain, added] },
];

/** Types of the operands and of the result. float32 beside float16: a weight's gradient, and parts. */
const types: readonly [Dtype, Dtype][] = [
  ['float32', 'float32'],
  ['float16', 'float16'],
  ['float16', 'float32'],
];

/** Multiples of four or not; k also of what a round takes of quads (8), tiles (16) and matrices (32). */
const sizes = [8, 9].flatMap((m) => [8, 9].flatMap((n) => [32, 12, 9].map((k) => ({ m, n, k }))));

/** Techniques by subgroup matrices: those of other shapes differ in numbers only. */
const matrices: readonly Omit<SubgroupMatrix, 'lanes' | 'maxLanes'>[] = [
  { component: 'f16', M: 16, N: 16, K: 16 },
  { component: 'f16', M: 8, N: 16, K: 16 },
  { component: 'f32', M: 8, N: 8, K: 8 },
];

const most = Number.POSITIVE_INFINITY;
const limits = {
  maxComputeInvocationsPerWorkgroup: most,
  maxComputeWorkgroupSizeX: most,
  maxComputeWorkgroupStorageSize: most,
} as GpuLimits;

/** @internal Also for tests of one technique. */
export const subgroupMatrixTechniques: readonly MatmulTechnique[] = matrices.map((matrix, i) => {
  return techniquesOf({ limits } as GpuContext, { ...matrix, lanes: 32, maxLanes: 32 }).at(i === 0 ? -1 : 0)!;
});

function askForProducts(): void {
  for (const form of forms)
    for (const size of sizes)
      for (const [operands, result] of types)
        for (const epilogue of form.epilogues) {
          const { m, n, k } = size;
          const { activation, preactivation, sums } = epilogue;
          if (operands !== result && (activation !== 'none' || preactivation !== undefined)) continue;
          // Biases are float32, and so are their gradients and those of the weights beside them.
          if (result === 'float16' && sums !== undefined) continue;
          const a = { slot: { dtype: operands }, offset: 0, stride: form.transposeA ? m : k, batch: m * k };
          const b = { slot: { dtype: operands }, offset: 0, stride: form.transposeB ? k : n, batch: k * n };
          const c = { slot: { dtype: result }, offset: 0, stride: n, batch: m * n };
          const product = { ...form, ...size, a, b, c, epilogue };
          partsVariant(product);
          for (const technique of [...matmulTechniques, ...subgroupMatrixTechniques])
            if (technique.defines.COMPONENT !== 'f16' || operands === 'float16')
              productVariant(technique, product);
        }
}

function askForAttention(): void {
  const adapters = [
    { kernels: 'gpu', subgroupSize: 0, subgroupMatrices: [] },
    ...matrices.map((matrix) => {
      const units = { ...matrix, lanes: 32, maxLanes: 32 };
      return { kernels: 'gpu', subgroupSize: 32, subgroupMatrices: [units] } as const;
    }),
    ...[0, 4, 8].map((subgroupSize) => ({ kernels: 'cpu', subgroupSize, subgroupMatrices: [] }) as const),
  ] as const;
  for (const adapter of adapters)
    for (let size = 1; size <= MAX_HEAD_SIZE; size += 1)
      for (const dtype of floatDtypes)
        for (const dropout of [false, true])
          for (const maxComputeWorkgroupStorageSize of [16_384, most]) {
            const allowed = { ...limits, maxComputeWorkgroupStorageSize };
            for (const more of [{}, { window: true }, { bias: true }]) {
              const sides = { size, dropout, dtype, window: false, bias: false, ...more };
              attentionVariants({ ...adapter, limits: allowed }, sides);
            }
          }
}

/** The variants that launchers declare where they are defined, and those that they make on demand. */
export function everyVariant(): readonly KernelVariant[] {
  askForProducts();
  askForAttention();
  return [...kernelVariants.values()];
}
