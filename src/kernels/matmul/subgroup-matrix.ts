/** Matrix multiplication by subgroup matrices: the tiles that an adapter's limits allow. */
import { cached } from '../../cached.ts';
import type { GpuContext } from '../../gpu/context.ts';
import { byDtype, type FloatDtype, type WgslType } from '../../gpu/dtype.ts';
import type { SubgroupMatrix } from '../../gpu/subgroup-matrix.ts';
import type { MatmulTechnique } from './techniques.ts';

/** Blocks of a workgroup, one a subgroup, and elements of a block. */
interface Tile {
  readonly down: number;
  readonly across: number;
  readonly rows: number;
  readonly columns: number;
}

/** From the tile that keeps most subgroups busy to the one that reads each operand least often. */
export const subgroupMatrixTiles = {
  small: { down: 2, across: 2, rows: 32, columns: 32 },
  tall: { down: 2, across: 2, rows: 64, columns: 32 },
  large: { down: 2, across: 4, rows: 64, columns: 32 },
} as const satisfies Record<string, Tile>;

export type SubgroupMatrixTile = keyof typeof subgroupMatrixTiles;
const tileNames = Object.keys(subgroupMatrixTiles) as SubgroupMatrixTile[];

const SHADER = 'matmul_subgroup_matrix';

/** 64 bytes of k at a time; 16 bytes of padding between the lines of a tile. */
const STEP = { f16: 32, f32: 16 };
const PAD = { f16: 2, f32: 1 };
const VECTOR_BYTES = { f16: 8, f32: 16 };

/** By tile and matrix: techniques are compared by identity. */
const made = new Map<string, MatmulTechnique>();

function techniqueOf(
  { component, M, N, K, lanes }: SubgroupMatrix,
  name: SubgroupMatrixTile,
): MatmulTechnique {
  const key = [name, component, M, N, K, lanes].join(' ');
  const { down, across, rows, columns } = subgroupMatrixTiles[name];
  return cached(made, key, () => ({
    shader: SHADER,
    defines: {
      COMPONENT: component,
      M,
      N,
      K,
      ROWS: rows / M,
      COLUMNS: columns / N,
      DOWN: down,
      ACROSS: across,
      LANES: lanes,
      STEP: STEP[component],
      PAD: PAD[component],
    },
    rows: down * rows,
    columns: across * columns,
    step: STEP[component],
    splits: 1,
  }));
}

export function usesSubgroupMatrices({ shader }: MatmulTechnique): boolean {
  return shader === SHADER;
}

/** Bytes of workgroup memory, at most: an operand takes the most if it is stored along k. */
function workgroupBytes({ component, M }: SubgroupMatrix, { down, across, rows, columns }: Tile): number {
  const operand = (lines: number): number => {
    const alongK = lines * (STEP[component] / 4 + PAD[component]);
    const acrossK = STEP[component] * (lines / 4 + PAD[component]);
    return Math.max(alongK, acrossK) * VECTOR_BYTES[component];
  };
  return operand(down * rows) + operand(across * columns) + 4 * down * across * M * columns;
}

/** Whether a tile is within the adapter's limits and has the sizes that the shader takes for granted. */
function fits({ limits }: GpuContext, matrix: SubgroupMatrix, tile: Tile): boolean {
  const { component, M, lanes, maxLanes } = matrix;
  const { down, across, rows, columns } = tile;
  const invocations = down * across * lanes;
  const whole = (elements: number): boolean => ((elements * STEP[component]) / 4) % invocations === 0;
  return (
    invocations % maxLanes === 0 &&
    invocations <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX) &&
    workgroupBytes(matrix, tile) <= limits.maxComputeWorkgroupStorageSize &&
    whole(down * rows) &&
    whole(across * columns) &&
    // The sums of rows: every invocation brings the same rows each time, and has room for its sum.
    invocations % ((down * rows) / 4) === 0 &&
    M * columns >= 4 * lanes
  );
}

/** The techniques that `matrix` and the adapter's limits allow, smallest tiles first. */
export function techniquesOf(gpu: GpuContext, matrix: SubgroupMatrix): readonly MatmulTechnique[] {
  return tileNames
    .filter((name) => fits(gpu, matrix, subgroupMatrixTiles[name]))
    .map((name) => techniqueOf(matrix, name));
}

type ByDtype = Readonly<Record<FloatDtype, readonly MatmulTechnique[]>>;

/** By a context's matrices: every launch asks. */
const known = new WeakMap<readonly SubgroupMatrix[], ByDtype>();

/** The techniques for operands of this type; none if the adapter has no fitting matrices. */
export function subgroupMatrixTechniques(gpu: GpuContext, dtype: FloatDtype): readonly MatmulTechnique[] {
  const matrices = gpu.subgroupMatrices;
  const ofType = (type: WgslType): readonly MatmulTechnique[] => {
    // Matrices of float16 would round operands of float32; those of float32 hold either.
    const matrix = matrices.find(({ component }) => component === type || component === 'f32');
    return matrix === undefined ? [] : techniquesOf(gpu, matrix);
  };
  return cached(known, matrices, () => byDtype(ofType))[dtype];
}
