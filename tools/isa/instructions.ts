/** What AMD's instructions do: their kind, the multiply-adds they make and the bytes they load. */
import type { Instruction } from './disassembly.ts';

export const kinds = ['multiplyAdd', 'vector', 'workgroup', 'memory', 'scalar', 'wait'] as const;

/**
 * `multiplyAdd`: multiplies and adds floating-point numbers. `vector`: any other vector arithmetic.
 * `workgroup`: workgroup memory and exchanges between lanes that go through its hardware. `memory`: loads and
 * stores by lane. `scalar`: arithmetic, loads and jumps of a whole subgroup. `wait`: waits, barriers and hints.
 */
export type InstructionKind = (typeof kinds)[number];

const WAIT = /^s_(wait|delay|nop|clause|barrier|sleep|inst_prefetch)/;
/** Integer multiply-adds compute addresses, and are not meant. */
const MULTIPLY_ADD =
  /^v_(dual_)?(pk_)?(fma|fmac|fmamk|fmaak|mad|mac|madmk|madak|dot2c?|wmma|swmmac)_(?!mix)(?!.*[iu](16|24|32|64)$)/;
/** Of float16 and float32, with a float32 result; those with a float16 result (`mixlo`, `mixhi`) convert. */
const MIX = /^v_(fma|mad)_mix_/;

function multiplies(name: string): boolean {
  return MULTIPLY_ADD.test(name) || MIX.test(name);
}

/** Of an instruction, or of half a pair. */
export function kindOf(name: string): InstructionKind {
  if (multiplies(name)) return 'multiplyAdd';
  if (name.startsWith('v_')) return 'vector';
  if (name.startsWith('ds_')) return 'workgroup';
  if (/^(buffer|global|flat|scratch|image|tbuffer)_/.test(name)) return 'memory';
  return WAIT.test(name) ? 'wait' : 'scalar';
}

/** Multiply-adds of a matrix instruction, by the whole subgroup; 0 of any other. */
export function matrixMultiplyAdds(name: string): number {
  const [, m, n, k] = /^v_wmma_\w+?_(\d+)x(\d+)x(\d+)/.exec(name) ?? [];
  return m === undefined ? 0 : Number(m) * Number(n) * Number(k);
}

function ofLane(name: string): number {
  if (!multiplies(name)) return 0;
  return /^v_(pk_|dot2)/.test(name) ? 2 : 1;
}

/** Multiply-adds of one instruction, by the whole subgroup. */
export function multiplyAdds({ name, second = '' }: Instruction, subgroupSize: number): number {
  const matrix = matrixMultiplyAdds(name);
  return matrix > 0 ? matrix : subgroupSize * (ofLane(name) + ofLane(second));
}

/** Bytes of what a load's name ends in: b128, dwordx4, ubyte, d16_b16, 2addr_b64, … */
function bytesNamed(name: string): number {
  const times = name.includes('2addr') || /(load|read)2/.test(name) ? 2 : 1;
  const [, bits] = /_[biu](8|16|32|64|96|128|256|512)$/.exec(name) ?? [];
  if (/_[us]byte|_[iu]8_d16/.test(name)) return 1;
  if (bits !== undefined) return (times * Number(bits)) / 8;
  if (/_[us]?short|_d16/.test(name)) return 2;
  const [, dwords = '1'] = /_dwordx?(\d*)$/.exec(name) ?? [];
  return /_dword/.test(name) ? 4 * Number(dwords === '' ? 1 : dwords) : 0;
}

const LOAD = /^(ds_(load|read)|(buffer|global|flat|scratch|tbuffer)_load|s_(buffer_)?load)/;

/** Bytes that one instruction loads, by the whole subgroup. */
export function bytesLoaded({ name }: Instruction, subgroupSize: number): number {
  if (!LOAD.test(name)) return 0;
  return bytesNamed(name.replace(/_(st64|stride64)/, '')) * (name.startsWith('s_') ? 1 : subgroupSize);
}
