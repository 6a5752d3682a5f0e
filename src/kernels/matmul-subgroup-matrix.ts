/** Matrix multiplication on an adapter's matrix units: the tiles that fit it. */
import type { GpuContext } from '../gpu/context.ts';
import type { SubgroupMatrix } from '../gpu/subgroup-matrix.ts';
import type { MatmulTechnique } from './matmul-variants.ts';

/** Blocks of a workgroup, each a subgroup's, and elements of a block. */
interface MatrixTile {
  readonly down: number;
  readonly across: number;
  readonly rows: number;
  readonly columns: number;
}

/** From those that keep many subgroups busy to those that read each operand least often. */
export const matrixTiles = {
  small: { down: 2, across: 2, rows: 32, columns: 32 },
  tall: { down: 2, across: 2, rows: 64, columns: 32 },
  large: { down: 2, across: 4, rows: 64, columns: 32 },
} as const satisfies Record<string, MatrixTile>;

export type MatrixTileName = keyof typeof matrixTiles;

const SHADER = 'matmul_subgroup_matrix';

/** 64 bytes of k at a time; lines of a tile 16 bytes apart. */
const STEP = { f16: 32, f32: 16 };
const PAD = { f16: 2, f32: 1 };
const VECTOR_BYTES = { f16: 8, f32: 16 };

/** By tile and matrices: techniques are compared by identity. */
const made = new Map<string, MatmulTechnique>();

export function matrixTechnique(
  { component, M, N, K, lanes }: SubgroupMatrix,
  name: MatrixTileName,
): MatmulTechnique {
  const key = [name, component, M, N, K, lanes].join(' ');
  const known = made.get(key);
  if (known !== undefined) return known;
  const { down, across, rows, columns } = matrixTiles[name];
  const technique: MatmulTechnique = {
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
    splits: 1,
  };
  made.set(key, technique);
  return technique;
}

export function onMatrixUnits({ shader }: MatmulTechnique): boolean {
  return shader === SHADER;
}

/** Bytes of workgroup memory, at most: operands that lie along k take the most. */
function bytesOf({ component, M }: SubgroupMatrix, { down, across, rows, columns }: MatrixTile): number {
  const operand = (lines: number): number => {
    const along = lines * (STEP[component] / 4 + PAD[component]);
    const across = STEP[component] * (lines / 4 + PAD[component]);
    return Math.max(along, across) * VECTOR_BYTES[component];
  };
  return operand(down * rows) + operand(across * columns) + 4 * down * across * M * columns;
}

/** What the shader takes for granted, and the adapter's limits. */
function fits(gpu: GpuContext, matrix: SubgroupMatrix, tile: MatrixTile): boolean {
  const { component, M, lanes, maxLanes } = matrix;
  const { down, across, rows, columns } = tile;
  const { limits } = gpu;
  const invocations = down * across * lanes;
  const whole = (elements: number): boolean => ((elements * STEP[component]) / 4) % invocations === 0;
  return (
    invocations % maxLanes === 0 &&
    invocations <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX) &&
    bytesOf(matrix, tile) <= limits.maxComputeWorkgroupStorageSize &&
    whole(down * rows) &&
    whole(across * columns) &&
    // The sums of rows: every invocation brings the same rows each time, and has room for what it summed.
    invocations % ((down * rows) / 4) === 0 &&
    M * columns >= 4 * lanes
  );
}

/** The techniques that `matrix` and the adapter's limits allow, those with the smallest tiles first. */
export function techniquesOf(gpu: GpuContext, matrix: SubgroupMatrix): readonly MatmulTechnique[] {
  const names = Object.keys(matrixTiles) as MatrixTileName[];
  return names
    .filter((name) => fits(gpu, matrix, matrixTiles[name]))
    .map((name) => matrixTechnique(matrix, name));
}

/** By a context's units, for float32 and for float16: every launch asks. */
const byUnits = new WeakMap<
  readonly SubgroupMatrix[],
  Readonly<Record<'float32' | 'float16', readonly MatmulTechnique[]>>
>();

/** Those for operands of float16 (`half`) or float32; none where the adapter has no fitting units. */
export function matrixTechniques(gpu: GpuContext, half: boolean): readonly MatmulTechnique[] {
  const units = gpu.subgroupMatrices;
  let known = byUnits.get(units);
  if (known === undefined) {
    // Matrices of float16 would round operands of float32; those of float32 hold either.
    const wide = units.find(({ component }) => component === 'f32');
    const of = (matrix: SubgroupMatrix | undefined) =>
      matrix === undefined ? [] : techniquesOf(gpu, matrix);
    known = { float32: of(wide), float16: of(units[0]) };
    byUnits.set(units, known);
  }
  return half ? known.float16 : known.float32;
}

/**
 * Some of each kind, so that the test that compiles every variant finds them; others differ in numbers only.
 */
export const declaredMatrixTechniques: readonly MatmulTechnique[] = [
  matrixTechnique({ component: 'f16', M: 16, N: 16, K: 16, lanes: 32, maxLanes: 32 }, 'large'),
  matrixTechnique({ component: 'f16', M: 8, N: 16, K: 16, lanes: 32, maxLanes: 32 }, 'small'),
  matrixTechnique({ component: 'f32', M: 8, N: 8, K: 8, lanes: 32, maxLanes: 32 }, 'small'),
];
