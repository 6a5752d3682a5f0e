/** Measures the adapter's ceilings, in the same run as everything else. */
import { readFileSync } from 'node:fs';
import { measure } from '../src/gpu/measure.ts';
import type { KernelVariant } from '../src/gpu/pipelines.ts';
import type { SubgroupMatrix } from '../src/gpu/subgroup-matrix.ts';
import { assembleShader, type Defines } from '../src/gpu/wgsl.ts';
import type { Slot } from '../src/kernels/launch.ts';
import type { Device } from '../src/tensor/device.ts';

export interface Ceilings {
  /** Multiply-adds on registers in operations per second: float32, and float16 if supported. */
  fma: number;
  fmaHalf: number | null;
  /**
   * The same for multiply-accumulates on matrix units that accumulate in float32, by operand type; empty if
   * the adapter has none.
   */
  matrices: { component: 'f16' | 'f32'; rate: number }[];
  /** Bytes per second read and written by a copy too large for the caches. */
  bandwidth: number;
  /** Host seconds to record one dispatch, and total seconds per dispatch in a long chain of empty ones. */
  dispatchHost: number;
  dispatchTotal: number;
  /** Bytes per second to the GPU and back. */
  upload: number;
  readback: number;
}

/** The ceiling of float16 products, on whichever unit is fastest. */
export function halfCeiling({ fma, fmaHalf, matrices }: Ceilings): number {
  const onUnits = matrices.filter(({ component }) => component === 'f16').map(({ rate }) => rate);
  return Math.max(fma, fmaHalf ?? 0, ...onUnits);
}

const source = (name: string): string =>
  readFileSync(new URL(`shaders/${name}.wgsl`, import.meta.url), 'utf8');
const sources = { fma: source('fma'), copy: source('copy'), subgroup_matrix: source('subgroup_matrix') };

/** Makes a variant of the benchmark's own shaders, expanded like the engine's. */
function variant(device: Device, shader: keyof typeof sources, defines: Defines) {
  const key = `bench/${shader} ${JSON.stringify(defines)}`;
  const made: KernelVariant = { shader, defines, key };
  return device.gpu.pipelines.get(made, () => assembleShader(shader, defines, sources));
}

const GROUP = 64;
/**
 * Numbers of independent chains, and of multiply-adds per chain in one loop iteration; the fastest shape
 * depends on the adapter.
 */
export const SHAPES = [
  { CHAINS: 2, UNROLL: 16 },
  { CHAINS: 3, UNROLL: 16 },
  { CHAINS: 4, UNROLL: 8 },
  { CHAINS: 8, UNROLL: 4 },
];

/** The best of several programs: the ceiling is a property of the adapter, not of one program. */
async function fmaRate(device: Device, seconds: number, HALF: boolean): Promise<number> {
  let best = 0;
  for (const shape of SHAPES)
    best = Math.max(best, await fmaRateOf(device, seconds / SHAPES.length, { ...shape, HALF }));
  return best;
}

interface FmaShape {
  CHAINS: number;
  UNROLL: number;
  HALF: boolean;
}

/** A program of multiply-adds, which fills `result`. */
export function fmaWork(device: Device, defines: FmaShape) {
  const pipeline = variant(device, 'fma', { ...defines });
  // Enough invocations for a large GPU, and enough steps to make launch costs negligible.
  const groups = device.software ? 64 : 8192;
  const steps = device.software ? 500 : 250;
  const result = device.empty([groups * GROUP]);
  const slots: Slot[] = [result.slot];
  const record = (): void => {
    device.gpu.recorder.dispatch(pipeline, slots, { uints: [steps], floats: [0.99] }, groups, 1, 1);
  };
  return { operations: groups * GROUP * defines.CHAINS * defines.UNROLL * 8 * steps, record, result };
}

async function fmaRateOf(device: Device, seconds: number, defines: FmaShape): Promise<number> {
  const { operations, record, result } = fmaWork(device, defines);
  const { median } = await measure(device, record, { seconds });
  result.dispose();
  return operations / median;
}

/** Matrices that a subgroup accumulates at once; the fastest depends on how many fit into registers. */
const CHAINS = [4, 8, 16];

async function matrixRate(device: Device, seconds: number, matrix: SubgroupMatrix): Promise<number> {
  let best = 0;
  for (const chains of CHAINS)
    best = Math.max(best, await matrixRateOf(device, seconds / CHAINS.length, matrix, chains));
  return best;
}

async function matrixRateOf(
  device: Device,
  seconds: number,
  { component, M, N, K, maxLanes }: SubgroupMatrix,
  chains: number,
): Promise<number> {
  const GROUP = Math.max(128, maxLanes);
  const pipeline = variant(device, 'subgroup_matrix', {
    CHAINS: chains,
    COMPONENT: component,
    M,
    N,
    K,
    GROUP,
  });
  const groups = device.software ? 8 : 2048;
  const steps = device.software ? 400 : 500;
  const result = device.empty([groups * GROUP * 2]);
  const slots: Slot[] = [result.slot];
  const record = (): void => {
    device.gpu.recorder.dispatch(pipeline, slots, { uints: [steps], floats: [0.99] }, groups, 1, 1);
  };
  const { median } = await measure(device, record, { seconds });
  // The driver may choose the subgroup size; the shader reports the number of subgroups.
  const [subgroups] = await result.float32Data();
  result.dispose();
  return (groups * subgroups! * chains * steps * 2 * M * N * K) / median;
}

/** Workgroups that share a copy; few if starting one is expensive. */
const COPY_GROUPS = { software: 256, hardware: 16_384 };

/** The best of two programs, as for multiply-adds. */
async function copyRate(device: Device, seconds: number): Promise<number> {
  const vectors = (device.software ? 64 : 256) * 2 ** 16;
  const [x, y] = [device.zeros([vectors * 4]), device.zeros([vectors * 4])];
  const groups = COPY_GROUPS[device.software ? 'software' : 'hardware'];
  const slots: Slot[] = [x.slot, y.slot];
  let best = Number.POSITIVE_INFINITY;
  for (const RUNS of [false, true]) {
    const pipeline = variant(device, 'copy', { RUNS });
    const record = (): void => {
      device.gpu.recorder.dispatch(pipeline, slots, { uints: [vectors, groups] }, groups, 1, 1);
    };
    const { median } = await measure(device, record, { seconds: seconds / 2 });
    best = Math.min(best, median);
  }
  for (const tensor of [x, y]) tensor.dispose();
  return (vectors * 32) / best;
}

async function dispatchCost(device: Device): Promise<{ host: number; total: number }> {
  const pipeline = variant(device, 'copy', { RUNS: false });
  const [x, y] = [device.zeros([4]), device.zeros([4])];
  const slots: Slot[] = [x.slot, y.slot];
  const count = 2000;
  let host = Number.POSITIVE_INFINITY;
  let total = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round += 1) {
    await device.sync();
    const start = performance.now();
    for (let i = 0; i < count; i += 1)
      device.gpu.recorder.dispatch(pipeline, slots, { uints: [1, 1] }, 1, 1, 1);
    host = Math.min(host, (performance.now() - start) / 1000 / count);
    await device.sync();
    total = Math.min(total, (performance.now() - start) / 1000 / count);
  }
  for (const tensor of [x, y]) tensor.dispose();
  return { host, total };
}

async function transferRates(device: Device): Promise<{ upload: number; readback: number }> {
  const values = new Float32Array(2 ** 22);
  const x = device.zeros([values.length]);
  const best = async (run: () => Promise<unknown>): Promise<number> => {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round += 1) {
      await device.sync();
      const start = performance.now();
      await run();
      least = Math.min(least, (performance.now() - start) / 1000);
    }
    return values.byteLength / least;
  };
  const upload = await best(async () => {
    x.write(values);
    await device.sync();
  });
  const readback = await best(() => x.data());
  x.dispose();
  return { upload, readback };
}

export async function measureCeilings(
  device: Device,
  seconds: number,
  { matrixUnits = true }: { matrixUnits?: boolean } = {},
): Promise<Ceilings> {
  const half = device.gpu.float16;
  const { host, total } = await dispatchCost(device);
  const matrices: Ceilings['matrices'] = [];
  for (const matrix of matrixUnits ? device.gpu.subgroupMatrices : [])
    matrices.push({ component: matrix.component, rate: await matrixRate(device, seconds, matrix) });
  return {
    matrices,
    fma: await fmaRate(device, seconds, false),
    fmaHalf: half ? await fmaRate(device, seconds, true) : null,
    bandwidth: await copyRate(device, seconds),
    dispatchHost: host,
    dispatchTotal: total,
    ...(await transferRates(device)),
  };
}
