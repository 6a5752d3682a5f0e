/** What one kernel's machine code needs of the hardware, and what its hot loop does. */
import type { CompiledKernel } from './chip.ts';
import { type Chip, SIMD_UNITS } from './chips.ts';
import { type Block, findLoops, type Instruction, innermostLoops, parseDisassembly } from './disassembly.ts';
import {
  bytesLoaded,
  type InstructionKind,
  kindOf,
  kinds,
  matrixMultiplyAdds,
  multiplyAdds,
} from './instructions.ts';

export interface HotLoop {
  /** Operations of one round, by kind: instructions, and each half of a dual-issued pair. */
  counts: Record<InstructionKind, number>;
  /** Dual-issued pairs of them. */
  pairs: number;
  /** Multiply-adds that a subgroup makes in one round. */
  multiplyAdds: number;
  /** Bytes that a subgroup loads in one round. */
  bytes: { memory: number; workgroup: number };
  /**
   * Turns of the vector unit in one round, in those of an ordinary instruction: one for each vector or
   * workgroup-memory instruction and each pair, more for one of a matrix.
   */
  turns: number;
  /** Multiply-adds' share of the vector and workgroup-memory operations, of which one of a matrix counts as
   * many as it takes turns. Pairs do not change it. */
  share: number;
  /** Multiply-adds of one round by those that as many turns of unpaired ones would make. */
  rate: number;
}

export interface KernelCode {
  subgroupSize: number;
  registers: number;
  /** Registers of the vector unit and of the scalar unit that do not fit and live in memory. */
  spills: { vector: number; scalar: number };
  /** Subgroups that one SIMD unit holds at once, at most. */
  waves: number;
  workgroupBytes: number;
  /** Null where the program has no loop. */
  hot: HotLoop | null;
}

/** Turns of one instruction: a matrix instruction's as its multiply-adds take. */
function turnsOf({ name }: Instruction, subgroupSize: number, chip: Chip): number {
  const products = matrixMultiplyAdds(name);
  if (products === 0) return 1;
  const ordinary = subgroupSize / LANES_A_CYCLE;
  return products / chip.matrixMultiplyAdds / ordinary;
}

const TAKES_TURNS: readonly InstructionKind[] = ['multiplyAdd', 'vector', 'workgroup'];

/** Lanes of a SIMD unit of RDNA. */
export const LANES_A_CYCLE = 32;

function measureLoop(body: readonly Instruction[], subgroupSize: number, chip: Chip): HotLoop {
  const counts = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<InstructionKind, number>;
  const hot = { counts, pairs: 0, multiplyAdds: 0, bytes: { memory: 0, workgroup: 0 }, turns: 0 };
  let [multiplying, all] = [0, 0];
  for (const instruction of body) {
    const turns = turnsOf(instruction, subgroupSize, chip);
    const { name, second } = instruction;
    for (const kind of (second === undefined ? [name] : [name, second]).map(kindOf)) {
      counts[kind] += 1;
      if (!TAKES_TURNS.includes(kind)) continue;
      all += turns;
      if (kind === 'multiplyAdd') multiplying += turns;
    }
    if (second !== undefined) hot.pairs += 1;
    const kind = kindOf(name);
    if (TAKES_TURNS.includes(kind)) hot.turns += turns;
    hot.multiplyAdds += multiplyAdds(instruction, subgroupSize);
    hot.bytes[kind === 'workgroup' ? 'workgroup' : 'memory'] += bytesLoaded(instruction, subgroupSize);
  }
  const rate = hot.turns === 0 ? 0 : hot.multiplyAdds / (hot.turns * subgroupSize);
  return { ...hot, share: all === 0 ? 0 : multiplying / all, rate };
}

/**
 * The innermost loop with the most multiply-adds; of programs that make none in a loop, the one that loads
 * the most.
 */
function hotLoop(blocks: readonly Block[], subgroupSize: number, chip: Chip): HotLoop | null {
  const measured = innermostLoops(findLoops(blocks)).map(({ first, last }) => {
    const body = blocks.slice(first, last + 1).flatMap(({ instructions }) => instructions);
    return measureLoop(body, subgroupSize, chip);
  });
  const loaded = ({ bytes }: HotLoop): number => bytes.memory + bytes.workgroup;
  const hotter = (a: HotLoop, b: HotLoop): number => b.multiplyAdds - a.multiplyAdds || loaded(b) - loaded(a);
  return measured.sort(hotter)[0] ?? null;
}

/** Bytes of workgroup memory for each SIMD unit. */
const WORKGROUP_MEMORY = 65536 / SIMD_UNITS;
/** Subgroups take registers in portions of this part of a SIMD unit's. */
const PORTIONS = 64;
const MAX_SUBGROUPS = 16;

/**
 * Subgroups that one SIMD unit holds at once, in units of 32 invocations. The driver tells it, but takes RDNA
 * 4 for a chip with the registers of RDNA 2 where it runs without hardware (Mesa before 25.1), while its
 * compiler knows better.
 */
export function wavesOf(
  {
    subgroupSize,
    statistics,
    invocations,
  }: Pick<CompiledKernel, 'subgroupSize' | 'statistics' | 'invocations'>,
  { registers }: Pick<Chip, 'registers'>,
): number {
  const units = subgroupSize / LANES_A_CYCLE;
  // Registers of a whole subgroup.
  const all = registers / units;
  const portion = all / PORTIONS;
  const used = Math.ceil(statistics.VGPRs! / portion) * portion;
  const bytes = statistics['LDS size']! / Math.ceil(invocations / subgroupSize);
  const byMemory = bytes === 0 ? MAX_SUBGROUPS : Math.ceil(WORKGROUP_MEMORY / bytes);
  return units * Math.floor(Math.min(MAX_SUBGROUPS, all / used, byMemory));
}

export function readKernelCode(compiled: CompiledKernel, chip: Chip): KernelCode {
  const { subgroupSize, disassembly, statistics } = compiled;
  const statistic = (name: string): number => {
    const value = statistics[name];
    if (value === undefined) throw new Error(`the driver says nothing of '${name}'`);
    return value;
  };
  return {
    subgroupSize,
    registers: statistic('VGPRs'),
    spills: { vector: statistic('Spilled VGPRs'), scalar: statistic('Spilled SGPRs') },
    waves: wavesOf(compiled, chip),
    workgroupBytes: statistic('LDS size'),
    hot: hotLoop(parseDisassembly(disassembly), subgroupSize, chip),
  };
}
