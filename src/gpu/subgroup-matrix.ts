/**
 * Subgroup matrices (`chromium-experimental-subgroup-matrix` in Dawn): which of an adapter's shapes the
 * kernels use. Users know them as matrix units: the option is `requestDevice({ matrixUnits })`.
 */

/** A shape of matrices that a subgroup multiplies together: M × K by K × N, summed in float32. */
export interface SubgroupMatrix {
  /** Type of the two that are multiplied. */
  readonly component: 'f16' | 'f32';
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Invocations of a subgroup, asked for where that can be. Another number makes kernels slower, not wrong. */
  readonly lanes: number;
  /** The invocations of a workgroup must be a multiple of this. */
  readonly maxLanes: number;
}

/** An entry of Dawn's `adapterInfo.subgroupMatrixConfigs`. */
interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

export const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

/**
 * Whether the kernels can use a shape: a 32 × 32 block must consist of whole matrices whose rows start on 16
 * bytes, and 16 steps of k of whole matrices.
 */
function usable({ M, N, K, resultComponentType }: SubgroupMatrixConfig): boolean {
  return (
    resultComponentType === 'f32' && 32 % M === 0 && 32 % N === 0 && 16 % K === 0 && Math.min(M, N, K) >= 8
  );
}

/**
 * The largest of each component that the adapter of `device` lists and the kernels can use, float16 before
 * float32; none if it has no such matrices.
 */
export function subgroupMatricesOf(device: GPUDevice, adapter: GPUAdapterInfo): readonly SubgroupMatrix[] {
  if (!device.features.has(SUBGROUP_MATRIX) || !device.features.has('subgroups')) return [];
  // The device's own `adapterInfo` has the subgroup bounds, but an empty list.
  const info = adapter as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig>;
  };
  const { subgroupMinSize: least = 0, subgroupMaxSize: most = 0 } = info;
  const found = [...(info.subgroupMatrixConfigs ?? [])].filter(usable);
  // The smallest, which Intel's units are made for. Metal does not report its size of 32, and Dawn then gives
  // wide bounds.
  const lanes = least < 8 ? Math.min(32, most) : least;
  const out: SubgroupMatrix[] = [];
  for (const component of ['f16', 'f32'] as const) {
    if (component === 'f16' && !device.features.has('shader-f16')) continue;
    const fitting = found.filter((config) => config.componentType === component);
    if (fitting.length === 0 || most === 0) continue;
    const { M, N, K } = fitting.reduce((best, next) => (volume(next) > volume(best) ? next : best));
    out.push({ component, M, N, K, lanes, maxLanes: most });
  }
  return out;
}

function volume({ M, N, K }: SubgroupMatrixConfig): number {
  return M * N * K;
}
