/** Which technique multiplies a product: the one measured on the adapter, or the one its shape suggests. */
import { cached } from '../../cached.ts';
import type { GpuContext } from '../../gpu/context.ts';
import type { FloatDtype } from '../../gpu/dtype.ts';
import { subgroupMatrixTechniques } from './subgroup-matrix.ts';
import {
  type MatmulTechnique,
  SPLITS,
  splitInto,
  tablesFor,
  techniqueName,
  techniquesFor,
  usualTiles,
} from './techniques.ts';

/** op(A) [m, k] times op(B) [k, n]. */
export interface Sizes {
  m: number;
  n: number;
  k: number;
  transposeA: boolean;
  transposeB: boolean;
}

export interface MatmulShape extends Sizes {
  /** Of the operands. */
  dtype: FloatDtype;
}

/** Cost of a product; rows past the edge cost as much as others, and few rows at once cost more each. */
function costOf({ shader, rows }: MatmulTechnique, { m, n, k }: MatmulShape): number {
  if (shader === 'matmul_quads' && rows > 16 && m * n * k < SLOW_TO_COMPILE) return Number.POSITIVE_INFINITY;
  return Math.ceil(m / rows) * (rows + SUBGROUP_OVERHEAD);
}

/** Cost of loading B in a workgroup, in rows of multiply-adds. */
const SUBGROUP_OVERHEAD = 12;

/**
 * Products of fewer multiply-adds do without quads of 32 rows: compiling these takes SwiftShader half a
 * second longer than 16 rows do, which some seven hundred products of this size win back.
 */
const SLOW_TO_COMPILE = 2 ** 24;

/** Workgroups that keep a large GPU busy. */
const MANY_TILES = 256;

/**
 * Most workgroups that splitting aims for: a large GPU has some hundred processors, each of which holds four
 * to eight workgroups of small tiles; with fewer than that, some are idle.
 */
const SPLIT_TILES = 512;

/**
 * The least of k that a part may have. Splitting must gain more than a second dispatch (5 to 15 µs of the
 * host's time) and writing and reading the parts cost. The tuner measures parts that take about as long as
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

/**
 * The techniques that an adapter can run and that may suit it, whole and split. On CPU adapters none is
 * split: even if a single workgroup did the whole product (32×32×4096), parts were no faster.
 */
export function candidates(gpu: GpuContext, product: MatmulShape): readonly MatmulTechnique[] {
  const whole = techniquesFor(gpu, product.dtype);
  if (gpu.kernels === 'cpu') return whole;
  return whole.flatMap((technique) => [
    technique,
    ...splitsFor(technique, product, LEAST_PART.tuned).map((splits) => splitInto(technique, splits)),
  ]);
}

/** Key of a tuning: sizes and sides as far as they decide which technique is fastest. */
export function matmulClass(product: MatmulShape): string {
  const magnitude = (size: number): number => Math.ceil(Math.log2(size));
  const { m, n, k, transposeA, transposeB, dtype } = product;
  const type = dtype === 'float32' ? '' : ` ${dtype}`;
  const sides = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}${type}`;
  return `matmul ${sides} ${magnitude(m)} ${magnitude(n)} ${magnitude(k)}`;
}

/** The technique of a measured name. */
interface Found {
  readonly name: string;
  readonly matrices: GpuContext['subgroupMatrices'];
  readonly technique: MatmulTechnique | undefined;
}
/** By context and class: names are long to make, and every launch asks. */
const found = new WeakMap<GpuContext, Map<string, Found>>();

/** The technique measured for products of this class, if it can run here. */
function measuredTechnique(gpu: GpuContext, product: MatmulShape): MatmulTechnique | undefined {
  const { choices } = gpu.tuning;
  if (choices.size === 0) return undefined;
  const key = matmulClass(product);
  const name = choices.get(key);
  if (name === undefined) return undefined;
  const known = cached(found, gpu, () => new Map());
  const before = known.get(key);
  if (before?.name === name && before.matrices === gpu.subgroupMatrices) return before.technique;
  const technique = techniquesFor(gpu, product.dtype)
    .flatMap((one) => [one, ...SPLITS.map((splits) => splitInto(one, splits))])
    .find((one) => techniqueName(one) === name);
  known.set(key, { name, matrices: gpu.subgroupMatrices, technique });
  return technique;
}

/** Elements of k that matrix units take at once, and lines that are few for them. */
const NARROW = 16;

/**
 * Whether a product has so little of k, or so few lines that are not whole four-vectors, that loading them costs
 * more than multiplying: one of the gradients of a head of few classes. Its bytes bound it on tiles, too, or it
 * takes a few microseconds.
 */
function isNarrow({ m, n, k, transposeA, transposeB }: MatmulShape): boolean {
  const few = (lines: number): boolean => lines < NARROW && lines % 4 !== 0;
  return k <= NARROW || (transposeA && few(m)) || (!transposeB && few(n));
}

/** The technique for a product. */
export function chooseMatmul(gpu: GpuContext, product: MatmulShape): MatmulTechnique {
  const measured = measuredTechnique(gpu, product);
  if (measured !== undefined) return measured;
  if (gpu.kernels === 'gpu') {
    // float32 gets subgroup matrices only if they were measured: they may be no faster.
    const suited = product.dtype === 'float16' && !isNarrow(product);
    const matrices = suited ? subgroupMatrixTechniques(gpu, 'float16') : [];
    const tiles = matrices.length > 0 ? matrices : usualTiles;
    const many = tiles.findLast((technique, i) => i > 0 && tilesOf(technique, product) >= MANY_TILES);
    return many ?? splitInto(tiles[0]!, splitsFor(tiles[0]!, product, LEAST_PART.untuned).at(-1) ?? 1);
  }
  const tables = tablesFor(gpu);
  const table = tables.find(([first]) => first?.step === gpu.tuning.step) ?? tables[0];
  return table.reduce((best, next) => (costOf(next, product) < costOf(best, product) ? next : best));
}
