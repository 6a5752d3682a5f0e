/** How kernels share out rows: `shaders/common/rows.wgsl`. */
import type { GpuContext } from '../gpu/context.ts';
import { byDtype, type FloatDtype, floatDtypeOf, type WgslType } from '../gpu/dtype.ts';
import type { Defines } from '../gpu/wgsl.ts';
import { foldedGrid, type Grid, type KernelVariant, kernel, type Slot } from './launch.ts';

interface Team {
  /** Invocations that share a row. */
  readonly size: number;
  /** They are a subgroup; otherwise they sum up through workgroup memory. */
  readonly subgroups: boolean;
}

/**
 * Of adapters without subgroups of a known size: a GPU's team, a CPU's. Then SwiftShader's and lavapipe's, the
 * latter's with vectors of 512 bits, and GPUs'.
 */
const teams: readonly Team[] = [
  { size: 64, subgroups: false },
  { size: 8, subgroups: false },
  ...[4, 8, 16, 32, 64].map((size) => ({ size, subgroups: true })),
];

/** Columns of the longest row that a GPU's subgroup works on: of longer ones there are too few to fill it. */
const MAX_SUBGROUP_COLUMNS = 4096;
/** Teams of fewer invocations leave a GPU half empty. */
const LEAST_SUBGROUP = 32;

/** The index into `teams`. */
function teamOf({ kernels, subgroupSize }: GpuContext, cols: number): number {
  const own = teams.findIndex(({ size, subgroups }) => subgroups && size === subgroupSize);
  if (kernels === 'cpu') return Math.max(1, own);
  return subgroupSize >= LEAST_SUBGROUP && cols <= MAX_SUBGROUP_COLUMNS ? Math.max(0, own) : 0;
}

/** Invocations that share a row of `cols` elements. */
export function teamSize(gpu: GpuContext, cols: number): number {
  return teams[teamOf(gpu, cols)]!.size;
}

/** Elements that an invocation reads before it works on them, and rows that a workgroup works on at once. */
export interface RowShape {
  unroll: number;
  rows?: 1 | 2 | 4;
  /** Types that x may have; float32 unless given. */
  dtypes?: readonly FloatDtype[];
}

/** Numbers that are read at once: the most that divide the row. */
const widths = [4, 2, 1] as const;

/** The variant of a kernel over rows for this adapter, for rows of `cols` elements, and for x's type. */
export type RowKernel = (gpu: GpuContext, cols: number, x: Slot) => KernelVariant;

/** Declares a kernel over rows for every team, every width of its reads and every type. */
export function rowKernel(
  shader: string,
  defines: Defines,
  { unroll, rows = 1, dtypes = ['float32'] }: RowShape,
): RowKernel {
  const ofType = (T: WgslType) =>
    teams.map(({ size, subgroups }) =>
      widths.map((WIDTH) => {
        const shape = { TEAM: size, SUBGROUPS: subgroups, ROWS: rows, UNROLL: unroll, WIDTH };
        return kernel(shader, { ...defines, ...shape, T });
      }),
    );
  const variants = byDtype(ofType, dtypes);
  return (gpu, cols, x) =>
    variants[floatDtypeOf(x)][teamOf(gpu, cols)]![widths.findIndex((width) => cols % width === 0)]!;
}

/**
 * Workgroups that keep every core of a CPU busy; each costs as much to start as a short row, so there are no
 * more than these.
 */
const CPU_GROUPS = 64;

export interface RowShares {
  /** Rows of each workgroup. */
  share: number;
  groups: number;
  grid: Grid;
}

/**
 * Shares `rows` out, in multiples of `atOnce`, over at most `most` workgroups (on a GPU; one for each
 * `atOnce` rows unless given).
 */
export function shareRows(
  gpu: GpuContext,
  rows: number,
  { atOnce = 1, most = Number.POSITIVE_INFINITY }: { atOnce?: number; most?: number } = {},
): RowShares {
  const limit = gpu.kernels === 'cpu' ? CPU_GROUPS : most;
  const share = Math.max(1, Math.ceil(rows / limit / atOnce)) * atOnce;
  const groups = Math.ceil(rows / share);
  return { share, groups, grid: foldedGrid(groups) };
}
