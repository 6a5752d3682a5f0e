/** The techniques of matrix multiplication, and the tile of c that a workgroup of each computes. */
import { cached } from '../../cached.ts';
import type { GpuContext } from '../../gpu/context.ts';
import type { FloatDtype } from '../../gpu/dtype.ts';
import type { Defines } from '../../gpu/wgsl.ts';
import { subgroupMatrixTechniques } from './subgroup-matrix.ts';

export interface MatmulTechnique {
  readonly shader: string;
  readonly defines: Defines;
  /** Rows and columns of c that a workgroup computes. */
  readonly rows: number;
  readonly columns: number;
  /** Elements of k that a round takes without checks, unless TAIL_K asks for them. */
  readonly step: number;
  /**
   * Parts of the inner dimension that workgroups of their own take; a second kernel adds up their results.
   */
  readonly splits: number;
}

/** Most techniques take four-vectors of k. */
const STEP = 4;

/** Without subgroups: LANES invocations of ROWS rows and four columns each. */
const PLAIN = { LANES: 8, ROWS: 8 };
export const plain: MatmulTechnique = {
  shader: 'matmul',
  defines: PLAIN,
  rows: PLAIN.ROWS,
  columns: 4 * PLAIN.LANES,
  step: STEP,
  splits: 1,
};

/** Elements of k in workgroup memory at once. */
const TILED_STEP = 16;

/**
 * `down` × `across` invocations of `rows` rows and `vectors` four-vectors of columns each. `prefetch`: they
 * load the next step's operands while they multiply.
 */
function tiled(
  [down, across]: readonly [number, number],
  [rows, vectors]: readonly [number, number],
  prefetch = false,
): MatmulTechnique {
  return {
    shader: 'matmul_tiled',
    defines: { DOWN: down, ACROSS: across, ROWS: rows, VECTORS: vectors, PREFETCH: Number(prefetch) },
    rows: down * rows,
    columns: across * 4 * vectors,
    step: TILED_STEP,
    splits: 1,
  };
}

const smallTiles = tiled([8, 16], [8, 1]);
const tallTiles = tiled([16, 16], [8, 1]);
const largeTiles = tiled([16, 16], [8, 2]);
/** Used only if it was measured to be faster. */
const prefetchingTiles = tiled([16, 16], [8, 2], true);
const tiles: readonly MatmulTechnique[] = [smallTiles, tallTiles, largeTiles, prefetchingTiles];
/** The tiles that are used without a measurement, smallest first. */
export const usualTiles: readonly MatmulTechnique[] = [smallTiles, largeTiles];

const SUBGROUP_ROWS = [32, 16, 8] as const;

/**
 * A workgroup is one subgroup of eight lanes of four columns each, and takes two or four of k a round: the
 * fastest on lavapipe.
 */
function broadcast(rows: number, step: 2 | 4): MatmulTechnique {
  const defines = { LANES: 8, ROWS: rows, STEP: step };
  return { shader: 'matmul_broadcast', defines, rows, columns: 32, step, splits: 1 };
}

const QUADS_STEP = 8;

/**
 * A workgroup is one subgroup of four lanes of sixteen columns each, and takes eight of k a round: the
 * fastest on SwiftShader.
 */
function quads(rows: number): MatmulTechnique {
  const defines = { LANES: 4, VECTORS: 4, STEP: QUADS_STEP, ROWS: rows };
  return { shader: 'matmul_quads', defines, rows, columns: 64, step: QUADS_STEP, splits: 1 };
}

/** Techniques of the same step, most rows first. */
type Table = readonly MatmulTechnique[];

/**
 * By the size of a subgroup, the usual table first. All of them sum in the order of k, so which one is used
 * never changes a result.
 */
const subgroupTables: ReadonlyMap<number, readonly [Table, ...Table[]]> = new Map([
  [4, [SUBGROUP_ROWS.map(quads)]],
  [8, [SUBGROUP_ROWS.map((rows) => broadcast(rows, 4)), SUBGROUP_ROWS.map((rows) => broadcast(rows, 2))]],
]);

const plainTables: readonly [Table, ...Table[]] = [[plain]];

/** The tables that a CPU adapter can run. */
export const tablesFor = ({ subgroupSize }: GpuContext): readonly [Table, ...Table[]] =>
  subgroupTables.get(subgroupSize) ?? plainTables;

/** All but those of subgroup matrices, of which each adapter has its own. */
export const matmulTechniques: readonly MatmulTechnique[] = [
  plain,
  ...tiles,
  ...[...subgroupTables.values()].flat(2),
];

/**
 * Adds up the results of a split product's parts, with the product's epilogue. Its operands are not
 * transposed.
 */
export const addParts: MatmulTechnique = {
  shader: 'matmul_parts',
  defines: {},
  rows: 1,
  columns: 1,
  step: 1,
  splits: 1,
};

/** The techniques that an adapter can run and that may suit it, none of them split. */
export function techniquesFor(gpu: GpuContext, dtype: FloatDtype): readonly MatmulTechnique[] {
  if (gpu.kernels === 'cpu') return tablesFor(gpu).flat();
  return [...subgroupMatrixTechniques(gpu, dtype), ...tiles];
}

/** Parts that the inner dimension may be split into. */
export const SPLITS = [2, 4, 8, 16] as const;

/** By technique and number of parts: techniques are compared by identity. */
const splitTechniques = new WeakMap<MatmulTechnique, Map<number, MatmulTechnique>>();

/** The technique, with the inner dimension in one piece or in `splits`. */
export function splitInto(technique: MatmulTechnique, splits: number): MatmulTechnique {
  if (splits === technique.splits) return technique;
  const known = cached(splitTechniques, technique, () => new Map());
  return cached(known, splits, () => ({ ...technique, splits }));
}

/** The name under which a tuning keeps it. */
export function techniqueName({ shader, defines, splits }: MatmulTechnique): string {
  const parts = splits === 1 ? [] : [`${splits} parts`];
  return [shader, ...Object.entries(defines).map(([name, value]) => `${name}=${value}`), ...parts].join(' ');
}
