/**
 * The techniques of matrix multiplication, the tile of c that a workgroup of each computes, and which suits
 * an adapter and a shape.
 */
import { GpuError } from '../errors.ts';
import type { GpuContext } from '../gpu/context.ts';
import type { Defines } from '../gpu/wgsl.ts';
import { type Activation, activations } from './activations.ts';
import { type KernelVariant, kernel } from './launch.ts';
import { declaredMatrixTechniques, matrixTechniques } from './matmul-subgroup-matrix.ts';

export interface MatmulTechnique {
  readonly shader: string;
  readonly defines: Defines;
  /** Rows and columns of c that a workgroup computes. */
  readonly rows: number;
  readonly columns: number;
  /** Parts of the inner dimension that workgroups of their own take; their results are then added up. */
  readonly splits: number;
}

/** What of an operand or of the epilogue is fixed when the shader is made. */
export interface MatmulSides {
  TRANSPOSE_A: boolean;
  TRANSPOSE_B: boolean;
  /** Every row of the operand begins on a multiple of four elements and is as long. */
  VEC_A: boolean;
  VEC_B: boolean;
  VEC_C: boolean;
  /** The inner dimension is not a multiple of what a round takes, `stepOf`. */
  TAIL_K: boolean;
  /** The sums of op(A)'s rows are wanted too; with TRANSPOSE_A only. */
  SUM_A: boolean;
  /** Adds to what c and the sums hold. */
  ACCUMULATE: boolean;
  ACTIVATION: Activation;
  /** Operands are float16, and c is. */
  HALF: boolean;
  HALF_C: boolean;
  PREACTIVATION: Preactivation;
}

/**
 * What becomes of the activation's input: nothing; it is stored beside c; or it is read, and c multiplied by
 * the slope there.
 */
const preactivations = ['none', 'store', 'slope'] as const;
export type Preactivation = (typeof preactivations)[number];

/** Invocations side by side, with four columns each, and rows of each: without subgroups. */
const PLAIN = { LANES: 8, ROWS: 8 };
const plain: MatmulTechnique = {
  shader: 'matmul',
  defines: PLAIN,
  rows: PLAIN.ROWS,
  columns: 4 * PLAIN.LANES,
  splits: 1,
};

/**
 * Rows, and four-vectors of columns, of one of 16 × 16 invocations; with the next step's operands on their
 * way or not.
 */
function tiled(rows: number, vectors: number, prefetch = false): MatmulTechnique {
  const defines = { ROWS: rows, VECTORS: vectors, PREFETCH: Number(prefetch) };
  return { shader: 'matmul_tiled', defines, rows: 16 * rows, columns: 64 * vectors, splits: 1 };
}

const smallTiles = tiled(4, 1);
const tallTiles = tiled(8, 1);
const largeTiles = tiled(8, 2);
/** Only where it was measured to be faster. */
const prefetchingTiles = tiled(8, 2, true);
/** By size, those that are chosen from without a measurement. */
const usualTiles: readonly MatmulTechnique[] = [smallTiles, largeTiles];

const SUBGROUP_ROWS = [32, 16, 8] as const;

/** A workgroup is one subgroup of eight, with four columns a lane: what ran fastest on lavapipe. */
function broadcast(rows: number): MatmulTechnique {
  const defines = { LANES: 8, ROWS: rows };
  return { shader: 'matmul_broadcast', defines, rows, columns: 32, splits: 1 };
}

const QUADS_STEP = 8;

/**
 * A workgroup is one subgroup of four, with sixteen columns a lane, and takes eight of k a round: what ran
 * fastest on SwiftShader.
 */
function quads(rows: number): MatmulTechnique {
  const defines = { LANES: 4, VECTORS: 4, STEP: QUADS_STEP, ROWS: rows };
  return { shader: 'matmul_quads', defines, rows, columns: 64, splits: 1 };
}

/** By the size of a subgroup. */
const subgroupTechniques: ReadonlyMap<number, readonly MatmulTechnique[]> = new Map([
  [4, SUBGROUP_ROWS.map(quads)],
  [8, SUBGROUP_ROWS.map(broadcast)],
]);

export const matmulTechniques: readonly MatmulTechnique[] = [
  plain,
  smallTiles,
  tallTiles,
  largeTiles,
  prefetchingTiles,
  ...[...subgroupTechniques.values()].flat(),
];

/** Numbers of parts that the inner dimension is split into. */
const SPLITS = [2, 4, 8, 16] as const;

/** By technique and number: they too are compared by identity. */
const splitTechniques = new WeakMap<MatmulTechnique, Map<number, MatmulTechnique>>();

/** The technique, with the inner dimension in one piece or in `splits`. */
export function splitInto(technique: MatmulTechnique, splits: number): MatmulTechnique {
  if (splits === technique.splits) return technique;
  let known = splitTechniques.get(technique);
  if (known === undefined) {
    known = new Map();
    splitTechniques.set(technique, known);
  }
  const split = known.get(splits) ?? { ...technique, splits };
  known.set(splits, split);
  return split;
}

/** Of k that a round of a technique takes without asking for its end, unless TAIL_K says so. */
export function stepOf({ shader }: MatmulTechnique): number {
  return shader === 'matmul_quads' ? QUADS_STEP : 4;
}

/**
 * Adds up what the parts of a split product gave, with the product's epilogue. It has no operands to
 * transpose.
 */
export const addParts: MatmulTechnique = {
  shader: 'matmul_parts',
  defines: {},
  rows: 1,
  columns: 1,
  splits: 1,
};

/** Variants made so far, by `sidesKey`: a step asks for some hundreds of them, and their names are long. */
const made = new Map<object, (KernelVariant | undefined)[]>();

function sidesKey(sides: MatmulSides): number {
  const { TRANSPOSE_A, TRANSPOSE_B, VEC_A, VEC_B, VEC_C, TAIL_K, SUM_A, ACCUMULATE } = sides;
  const aligned = +VEC_A | (+VEC_B << 1) | (+VEC_C << 2) | (+TAIL_K << 3);
  const wanted = +TRANSPOSE_A | (+TRANSPOSE_B << 1) | (+SUM_A << 2) | (+ACCUMULATE << 3);
  const halves = +sides.HALF | (+sides.HALF_C << 1);
  const epilogue = activations.indexOf(sides.ACTIVATION) * 3 + preactivations.indexOf(sides.PREACTIVATION);
  return (epilogue << 10) | (halves << 8) | (wanted << 4) | aligned;
}

/** The variant of a technique. */
export function matmulVariant(technique: MatmulTechnique, sides: MatmulSides): KernelVariant {
  const { shader, defines } = technique;
  // By the defines: those of a split technique are the same object.
  let known = made.get(defines);
  if (known === undefined) {
    known = [];
    made.set(defines, known);
  }
  const key = sidesKey(sides);
  // There an invocation's columns lie apart.
  const scattered = shader === 'matmul_tiled' && sides.TRANSPOSE_B;
  if (defines.COMPONENT === 'f16' && !sides.HALF)
    throw new GpuError(`${shader}: matrices of float16 would round operands of float32`);
  known[key] ??= kernel(shader, { ...defines, ...sides, VEC_C: sides.VEC_C && !scattered });
  return known[key];
}

const flags = [false, true];

/**
 * Variants that stand for all: each pair of transposes with each alignment; those of layers with each
 * activation and use of its input.
 */
function declare(
  technique: MatmulTechnique,
  given: Pick<MatmulSides, 'TRANSPOSE_A' | 'TRANSPOSE_B' | 'HALF' | 'HALF_C'>,
): void {
  const usual = { VEC_A: true, VEC_B: true, VEC_C: true, TAIL_K: false, SUM_A: false, ACCUMULATE: false };
  const sides = { ...given, ...usual };
  // Only the weight's gradient transposes A, and it has no activation; parts are added up whatever they are
  // of.
  if (!given.TRANSPOSE_A || technique === addParts) {
    for (const ACTIVATION of activations)
      matmulVariant(technique, { ...sides, ACTIVATION, PREACTIVATION: 'none' });
    for (const PREACTIVATION of preactivations)
      matmulVariant(technique, { ...sides, ACTIVATION: 'gelu', PREACTIVATION });
  }
  const noActivation = { ACTIVATION: 'none', PREACTIVATION: 'none' } as const;
  for (const VEC_A of flags) {
    for (const VEC_B of flags) {
      for (const VEC_C of flags) {
        for (const SUM_A of given.TRANSPOSE_A ? flags : [false]) {
          const alignment = { VEC_A, VEC_B, VEC_C, TAIL_K: !VEC_A };
          matmulVariant(technique, {
            ...sides,
            ...alignment,
            SUM_A,
            ACCUMULATE: SUM_A !== VEC_B,
            ...noActivation,
          });
        }
      }
    }
  }
}

const NO_HALF = { HALF: false, HALF_C: false };
const ACTIVATIONS_HALF = { HALF: true, HALF_C: true };
const WEIGHT_GRADIENT = { HALF: true, HALF_C: false };

// Here and not on first use, so that the test that compiles every variant finds them.
for (const technique of [...matmulTechniques, ...declaredMatrixTechniques]) {
  for (const TRANSPOSE_A of flags) {
    for (const TRANSPOSE_B of flags) {
      for (const halves of [NO_HALF, ACTIVATIONS_HALF, WEIGHT_GRADIENT])
        if (halves.HALF || technique.defines.COMPONENT !== 'f16')
          declare(technique, { TRANSPOSE_A, TRANSPOSE_B, ...halves });
    }
  }
}

for (const halves of [NO_HALF, { HALF: false, HALF_C: true }])
  declare(addParts, { TRANSPOSE_A: true, TRANSPOSE_B: false, ...halves });

/** Rows that a workgroup computes for nothing cost as much as others; fewer rows at once cost more each. */
function costOf({ shader, rows }: MatmulTechnique, { m, n, k }: MatmulShape): number {
  if (shader === 'matmul_quads' && rows > 16 && m * n * k < SLOW_TO_COMPILE) return Number.POSITIVE_INFINITY;
  return Math.ceil(m / rows) * (rows + SUBGROUP_OVERHEAD);
}

/** What loading B costs a workgroup, in rows of multiply-adds. */
const SUBGROUP_OVERHEAD = 12;

/**
 * Products of fewer multiply-adds do without quads of 32 rows: compiling these takes SwiftShader half a
 * second longer than 16 rows do, which some seven hundred products of this size win back.
 */
const SLOW_TO_COMPILE = 2 ** 24;

/** Workgroups that keep a large GPU busy. */
const MANY_TILES = 256;

/**
 * Splitting stops at so many workgroups: a large GPU has some hundred processors, each of which holds four to
 * eight workgroups of small tiles, and with fewer than that some have nothing to do.
 */
const SPLIT_TILES = 512;

/**
 * The least of k that a part may have. What is gained must be worth a second dispatch (5 to 15 µs of the
 * host's time) and the parts' way to memory and back. The tuner measures parts that take about as long as
 * that; unmeasured, only long products are split, so that a training step stays below 400 dispatches.
 */
const LEAST_PART = { tuned: 256, untuned: 1536 };

function tilesOf({ rows, columns }: MatmulTechnique, { m, n }: MatmulShape): number {
  return Math.ceil(m / rows) * Math.ceil(n / columns);
}

/** The numbers of parts that a product may be split into, rising. */
function splitsFor(technique: MatmulTechnique, product: MatmulShape, least: number): readonly number[] {
  const most = Math.min(SPLIT_TILES / tilesOf(technique, product), product.k / least);
  return SPLITS.filter((splits) => splits <= most);
}

/** Those that an adapter can run and that may suit it, none of them split. */
function techniquesFor(gpu: GpuContext, half: boolean): readonly MatmulTechnique[] {
  if (gpu.kernels === 'cpu') return subgroupTechniques.get(gpu.subgroupSize) ?? [plain];
  return [...matrixTechniques(gpu, half), smallTiles, tallTiles, largeTiles, prefetchingTiles];
}

/**
 * The same, and those of them that split the product. On CPU adapters none does: even where a single
 * workgroup did the whole product (32×32×4096), parts were no faster.
 */
export function candidates(gpu: GpuContext, product: MatmulShape): readonly MatmulTechnique[] {
  const whole = techniquesFor(gpu, product.half);
  if (gpu.kernels === 'cpu') return whole;
  return whole.flatMap((technique) => [
    technique,
    ...splitsFor(technique, product, LEAST_PART.tuned).map((splits) => splitInto(technique, splits)),
  ]);
}

export function techniqueName({ shader, defines, splits }: MatmulTechnique): string {
  const parts = splits === 1 ? [] : [`${splits} parts`];
  return [shader, ...Object.entries(defines).map(([name, value]) => `${name}=${value}`), ...parts].join(' ');
}

/**
 * A product's sizes and sides, as far as they decide which technique is fastest: products of one class share
 * the choice.
 */
export function matmulClass(product: MatmulShape): string {
  const magnitude = (size: number): number => Math.ceil(Math.log2(size));
  const { m, n, k, transposeA, transposeB, half } = product;
  const sides = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}${half ? ' float16' : ''}`;
  return `matmul ${sides} ${magnitude(m)} ${magnitude(n)} ${magnitude(k)}`;
}

export interface MatmulShape {
  m: number;
  n: number;
  k: number;
  transposeA: boolean;
  transposeB: boolean;
  /** Operands are float16. */
  half: boolean;
}

/** A measured choice found again: names are long to make, and every launch asks. */
interface Found {
  readonly name: string;
  readonly units: GpuContext['subgroupMatrices'];
  readonly technique: MatmulTechnique | undefined;
}
const found = new WeakMap<GpuContext, Map<string, Found>>();

/** What was measured for products of this class, if it can run here. */
function measuredTechnique(gpu: GpuContext, product: MatmulShape): MatmulTechnique | undefined {
  if (gpu.tuning.size === 0) return undefined;
  const key = matmulClass(product);
  const name = gpu.tuning.get(key);
  if (name === undefined) return undefined;
  let known = found.get(gpu);
  if (known === undefined) {
    known = new Map();
    found.set(gpu, known);
  }
  const before = known.get(key);
  if (before?.name === name && before.units === gpu.subgroupMatrices) return before.technique;
  const technique = techniquesFor(gpu, product.half)
    .flatMap((one) => [one, ...SPLITS.map((splits) => splitInto(one, splits))])
    .find((one) => techniqueName(one) === name);
  known.set(key, { name, units: gpu.subgroupMatrices, technique });
  return technique;
}

/** The technique for a product: as measured on this adapter, or by what is known of it. */
export function chooseMatmul(gpu: GpuContext, product: MatmulShape): MatmulTechnique {
  const measured = measuredTechnique(gpu, product);
  if (measured !== undefined) return measured;
  if (gpu.kernels === 'gpu') {
    // Matrices of float32 only where they were measured: they may be no faster.
    const matrices = product.half ? matrixTechniques(gpu, true) : [];
    const tiles = matrices.length > 0 ? matrices : usualTiles;
    const many = tiles.findLast((technique, i) => i > 0 && tilesOf(technique, product) >= MANY_TILES);
    return many ?? splitInto(tiles[0]!, splitsFor(tiles[0]!, product, LEAST_PART.untuned).at(-1) ?? 1);
  }
  const fitting = subgroupTechniques.get(gpu.subgroupSize);
  if (fitting === undefined) return plain;
  return fitting.reduce((best, next) => (costOf(next, product) < costOf(best, product) ? next : best));
}
